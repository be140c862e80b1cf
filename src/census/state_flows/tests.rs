use rust_xlsxwriter::Workbook;

use super::*;

/// A sheet to be written: texts that are numbers become numbers, unless they start with `'`.
#[derive(Clone)]
struct Book {
    name: &'static str,
    cells: Vec<Vec<String>>,
}

/// People who lived in state `o` and live in state `d`.
fn flow(o: usize, d: usize) -> u32 {
    if o == d { 0 } else { ((o * 7 + d * 13) % 50) as u32 }
}

/// Values of a row in the order of the table: population, same house, same state, different state,
/// origins, abroad and its three parts.
fn values(d: usize) -> Vec<u32> {
    let origins: Vec<u32> = (0..51).map(|o| flow(o, d)).collect();
    let moved: u32 = origins.iter().sum();
    let k = d as u32;
    let (house, same, parts) = (1000 * (k + 1), 100 + k, [k % 3, 2, 3]);
    let abroad: u32 = parts.iter().sum();
    [vec![house + same + moved + abroad, house, same, moved], origins, vec![abroad], parts.into()]
        .concat()
}

impl Book {
    /// The layout of 2010 to 2022: pages of state names and five origins, the header again below
    /// the 27th state. Or that of 2023: neither.
    fn new(year: i32, pages: bool) -> Self {
        let mut groups = vec!["Current residence in"];
        let (mut leaves, mut fields) = (vec![String::new()], vec![None]);
        let page = |groups: &mut Vec<_>, leaves: &mut Vec<_>, fields: &mut Vec<_>| {
            groups.push("Current residence in");
            leaves.push(String::new());
            fields.push(None);
        };
        for field in 0..59 {
            if pages && (field == 55 || field > 4 && field < 55 && field % 5 == 0) {
                page(&mut groups, &mut leaves, &mut fields);
            }
            let group = match field {
                0 => "Population 1 year and over",
                1 => "Same house 1 year ago",
                2 => "Same state of residence 1 year ago",
                3 => "Different state of residence 1 year ago",
                55 => "Abroad 1 year ago",
                5..55 if pages && field % 5 == 0 => {
                    "Different state of residence 1 year ago (continued)"
                }
                _ => "",
            };
            let leaf = match field {
                0..3 => "",
                3 | 55 => "Total",
                4..55 => STATES[field - 4].1,
                56 => "Puerto Rico",
                57 => "U.S. Island Area3",
                _ => "Foreign Country",
            };
            groups.extend([group, ""]);
            leaves.extend([leaf.to_owned(), String::new()]);
            fields.extend([Some(field), None]);
        }
        let texts = |row: &[&str]| row.iter().map(|&t| t.to_owned()).collect::<Vec<String>>();
        let kinds: Vec<String> = (0..fields.len())
            .map(|c| match (fields[c], c.checked_sub(1).and_then(|c| fields[c])) {
                (Some(_), _) => "Estimate".to_owned(),
                (None, Some(_)) => "MOE".to_owned(),
                _ => String::new(),
            })
            .collect();
        let header = [texts(&groups), leaves, kinds.clone()];
        let mut cells = vec![
            vec![
                "Table with row headers in column A and column headers in rows 6 through 8.".into(),
            ],
            vec![format!("Table 1.  State-to-State Migration Flows1: {year}")],
            vec![format!("Dataset: {year} American Community Survey 1-Year Estimates")],
            vec!["Universe: Population 1 year and over".into()],
            vec![],
        ];
        cells.extend(header.clone());
        let row = |name: &str, values: &[u32], own: Option<usize>| -> Vec<String> {
            (0..fields.len())
                .map(|c| match (fields[c], kinds[c].as_str()) {
                    (Some(field), _) if Some(field) == own => "N/A".to_owned(),
                    (Some(field), _) => values[field].to_string(),
                    (None, "MOE") if fields[c - 1] == own && own.is_some() => "N/A".to_owned(),
                    (None, "MOE") => "7".to_owned(),
                    _ => name.to_owned(),
                })
                .collect()
        };
        let states: Vec<Vec<u32>> = (0..51).map(values).collect();
        let nation: Vec<u32> =
            (0..59).map(|field| states.iter().map(|state| state[field]).sum()).collect();
        cells.extend([vec![], row("United States2", &nation, None), vec![]]);
        for (d, values) in states.iter().enumerate() {
            if pages && d == 27 {
                cells.push(vec![]);
                cells.extend(header.clone());
            }
            cells.push(row(STATES[d].1, values, Some(4 + d)));
        }
        let mut abroad = values(50);
        abroad[55] -= abroad[56];
        abroad[0] -= abroad[56];
        cells.extend([vec![], row("Puerto Rico", &abroad, Some(56))]);
        for note in ["Footnotes:", "1Includes Puerto Rico", "N/A - Not Applicable"] {
            cells.push(vec![note.into()]);
        }
        Self { name: "Table", cells }
    }

    /// Row of a state.
    fn row(&self, state: &str) -> usize {
        self.cells.iter().rposition(|row| row.first().is_some_and(|name| name == state)).unwrap()
    }

    /// Column of the estimates of an origin.
    fn column(&self, origin: &str) -> usize {
        self.cells[6].iter().position(|name| name == origin).unwrap()
    }

    /// A changed copy.
    fn with(&self, change: impl FnOnce(&mut Vec<Vec<String>>)) -> Self {
        let mut book = self.clone();
        change(&mut book.cells);
        book
    }

    fn edit(&self, row: usize, column: usize, text: &str) -> Self {
        self.with(|cells| text.clone_into(&mut cells[row][column]))
    }

    fn replace(&self, from: &str, to: &str) -> Self {
        self.with(|cells| cells.iter_mut().flatten().for_each(|c| *c = c.replace(from, to)))
    }
}

fn read_as(name: &str, books: &[&Book]) -> Result<StateFlows> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut workbook = Workbook::new();
    for book in books {
        let sheet = workbook.add_worksheet().set_name(book.name).unwrap();
        for (row, cells) in book.cells.iter().enumerate() {
            for (column, text) in cells.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
                let at = (row as u32, column as u16);
                match text.parse::<f64>() {
                    Ok(number) => sheet.write_number(at.0, at.1, number).unwrap(),
                    Err(_) => {
                        sheet.write_string(at.0, at.1, text.trim_start_matches('\'')).unwrap()
                    }
                };
            }
        }
    }
    workbook.save(&path).unwrap();
    StateFlows::read(&path)
}

fn read(book: &Book) -> StateFlows {
    read_as("flows.xlsx", &[book]).unwrap()
}

#[track_caller]
fn refused(book: &Book, expected: &str) {
    let message = read_as("flows.xlsx", &[book]).unwrap_err().to_string();
    assert!(message.ends_with(&format!("flows.xlsx{expected}")), "{message}");
}

#[track_caller]
fn assert_all_there(flows: &StateFlows) {
    for (d, (code, state)) in flows.states().enumerate() {
        assert_eq!(state.population.value, f64::from(values(d)[0]), "{code}");
        for (o, (origin, _)) in STATES.iter().enumerate() {
            let value = flows.flow(origin, code).map(|estimate| estimate.value);
            assert_eq!(value, (o != d).then(|| f64::from(flow(o, d))), "{origin} to {code}");
        }
    }
    assert_eq!(flows.states().count(), 51);
}

#[test]
fn both_layouts() {
    for (year, pages) in [(2019, true), (2023, false)] {
        let flows = read_as(
            &format!("State_to_State_Migration_Table_{year}_T13_updated_2024_06_27.xlsx"),
            &[&Book::new(year, pages)],
        )
        .unwrap();
        assert_eq!(flows.year, year);
        assert_eq!(flows.warnings(), [""; 0]);
        assert_all_there(&flows);
        let alaska = flows.state("02").unwrap();
        assert_eq!(alaska.same_house, Estimate { value: 2000.0, moe: Some(7.0) });
        assert_eq!(alaska.same_state.value, 101.0);
        assert_eq!(alaska.different_state.value, f64::from(values(1)[3]));
        assert_eq!(alaska.abroad.value, 6.0);
        assert_eq!(alaska.puerto_rico.unwrap().value, 1.0);
        assert_eq!(alaska.island_areas.unwrap().value, 2.0);
        assert_eq!(alaska.foreign_country.unwrap().value, 3.0);
        assert_eq!(alaska.origin("02"), None);
        assert_eq!(flows.nation.same_house.value, 1_326_000.0);
        assert_eq!(flows.state("72").unwrap().puerto_rico, None);
        assert_eq!(flows.state("72").unwrap().abroad.value, 5.0);
        assert_eq!(flows.state("03"), None);
    }
}

#[test]
fn harmless_changes_are_read() {
    let book = Book::new(2019, true);
    let moved = book.with(|cells| {
        cells.insert(5, vec!["Released 2020".into()]);
        cells.insert(0, vec![]);
        for row in cells.iter_mut() {
            row.insert(0, String::new());
        }
    });
    let row = book.row("Montana");
    let with_note = book.with(|cells| cells.insert(row, vec!["4See notes.".into()]));
    let thousands = book.with(|cells| {
        for cell in cells.iter_mut().flatten().filter(|cell| cell.parse::<f64>().is_ok()) {
            let split = cell.len() - cell.len().min(3);
            *cell = match cell.split_at(split) {
                ("", small) => format!("'{small}"),
                (large, small) if large.len() <= 3 => format!("{large},{small}"),
                (large, small) => {
                    let (millions, thousands) = large.split_at(large.len() - 3);
                    format!("{millions},{thousands},{small}")
                }
            };
        }
    });
    let worded = book
        .replace("Same house 1", "Same residence 1")
        .replace("Same state of residence 1", "Different residence, same state 1")
        .replace("Current residence in", "Current  residence in --")
        .replace("(continued)", "(cont.)")
        .replace("Abroad 1 year ago", "Abroad 1 year ago--")
        .replace("District of Columbia", "District of Columbia ")
        .replace("N/A", "N/A2");
    for book in [&moved, &with_note, &thousands, &worded] {
        assert_all_there(&read(book));
    }
    let mut notes = book.with(|cells| *cells = vec![vec!["Notes".into()], vec!["2018".into()]]);
    notes.name = "Notes";
    assert_all_there(&read_as("flows.xlsx", &[&notes, &book]).unwrap());
}

#[test]
fn cells_not_given() {
    let book = Book::new(2019, true);
    let row = book.row("Alaska");
    let column = book.column("Arizona");
    let hidden = book.edit(row, column, "N").edit(row, column + 1, "(X)").edit(row, 2, "*****");
    let flows = read(&hidden);
    assert_eq!(flows.flow("04", "02"), None);
    assert_eq!(flows.state("02").unwrap().population.moe, Some(0.0));
    assert_eq!(flows.warnings(), ["Alaska: not given: Arizona"]);
    refused(
        &book.edit(row, 1, "X"),
        ": sheet Table: cell B13: expected Population 1 year and over of Alaska, found `X`",
    );
    for bad in ["", "many", "-3", "12,34"] {
        refused(
            &book.edit(row, column, bad),
            &format!(": sheet Table: cell O13: expected a count or N/A in Arizona, found `{bad}`"),
        );
    }
}

#[test]
fn states_that_are_missing_or_mistaken() {
    let book = Book::new(2019, true);
    let row = book.row("Montana");
    refused(
        &book.with(|cells| drop(cells.remove(row))),
        ": sheet Table: expected a row of each of the 51 states, found none of Montana",
    );
    refused(
        &book.edit(row, 0, "Missouri"),
        ": sheet Table: cell A38: expected one row of Missouri, found another in row 37",
    );
    refused(
        &book.edit(row, 0, "Montreal"),
        ": sheet Table: cell A38: expected a state, found `Montreal` beside numbers",
    );
    refused(
        &book.edit(row, 11, "Missouri"),
        ": sheet Table: cell L38: expected `Montana`, as at the row's start, found `Missouri`",
    );
    let wide = Book::new(2023, false);
    let column = wide.column("Wyoming");
    refused(
        &wide.with(|cells| {
            for row in cells.iter_mut().filter(|row| row.len() > column) {
                row.drain(column..column + 2);
            }
        }),
        ": sheet Table: cell A6: expected a column of each of the 51 states, found none of Wyoming",
    );
    refused(
        &wide.edit(6, column, "Wisconsin"),
        ": sheet Table: cell DF8: expected one column `Wisconsin`, found another at DD8",
    );
    refused(
        &book.with(|cells| drop(cells.remove(9))),
        ": sheet Table: expected a row `United States`, found none",
    );
}

#[test]
fn other_headers() {
    let book = Book::new(2019, true);
    refused(
        &book.edit(6, 9, "Atlantis"),
        ": sheet Table: cell J7: expected Population 1 year and over, Same house, Same state, \
         Different state or Abroad 1 year ago, or one of their parts, found `Atlantis` under \
         `Different state of residence 1 year ago`",
    );
    refused(&book.edit(7, 2, "SE"), ": sheet Table: cell C8: expected `MOE`, found `SE`");
    refused(
        &book.replace("Current residence in", "Residence 1 year ago"),
        ": sheet Table: expected a header `Current residence in` below the title, found none",
    );
    refused(
        &book.edit(5, 1, "Residence 1 year ago"),
        ": sheet Table: cell B6: expected a column of each state of residence 1 year ago, found a \
         row of each pair of states, the layout of 2024, which is not read",
    );
    let montana = book.row("Montana");
    refused(
        &book.edit(montana + 3, 9, "Alaska"),
        ": sheet Table: cell J41: expected the header of row 7, `Alabama`, found `Alaska`",
    );
}

#[test]
fn other_tables_and_years() {
    let book = Book::new(2019, true);
    refused(
        &book.replace("State-to-State Migration Flows", "State of Residence by Place of Birth"),
        ": sheet Table: cell A1: expected a title `State-to-State Migration Flows` and a year, \
         found `Table with row headers in column A and column headers in rows 6 through 8.`",
    );
    refused(
        &book.replace("Dataset: 2019", "Dataset: 2018"),
        ": sheet Table: cell A3: expected the year 2019, as at A2, found 2018",
    );
    refused(
        &book.replace("1-Year", "5-Year"),
        ": sheet Table: cell A3: expected 1-Year Estimates, found `dataset: 2019 american \
         community survey 5-year estimates`",
    );
    let message = read_as("flows_2018.xlsx", &[&book]).unwrap_err().to_string();
    assert!(
        message.ends_with(
            "flows_2018.xlsx: sheet Table: expected the year in the file's name, 2018, found the \
             table of 2019"
        ),
        "{message}"
    );
}

#[test]
fn identities() {
    let book = Book::new(2019, true);
    let row = book.row("Alaska");
    let population = values(1)[0];
    refused(
        &book.edit(row, 1, &(population + 1).to_string()),
        &format!(
            ": sheet Table: cell B13: expected same house + same state + different state + abroad \
             = {population} in Population 1 year and over of Alaska, found {}, +1 off",
            population + 1
        ),
    );
    let column = book.column("Arizona");
    let message = read_as("f.xlsx", &[&book.edit(row, column, "99")]).unwrap_err().to_string();
    assert!(message.contains("cell H13: expected the sum of the origins = "), "{message}");
    let nation = book.edit(9, column, "5");
    let message = read_as("f.xlsx", &[&nation]).unwrap_err().to_string();
    assert!(message.contains("cell H10: expected the sum of the origins = "), "{message}");
    // Later years may be rounded.
    let later = Book::new(2023, false);
    let rounded = read(&later.edit(row, 1, &(population + 1).to_string()));
    assert_eq!(rounded.warnings().len(), 2, "{:?}", rounded.warnings());
    let message =
        read_as("f.xlsx", &[&later.edit(row, 1, &(population + 100).to_string())]).unwrap_err();
    assert!(message.to_string().contains("cell B13: "), "{message}");
}
