//! Finds the columns of the table by the words of its header.

use super::super::sheet::cell_name;
use super::{Error, STATES, Sheet, states};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Population,
    SameHouse,
    SameState,
    DifferentState,
    Abroad,
    PuertoRico,
    IslandAreas,
    ForeignCountry,
    /// Position in [`STATES`].
    Origin(usize),
}

impl Field {
    /// The fields that every table has, but for the origins.
    const REQUIRED: [Self; 5] =
        [Self::Population, Self::SameHouse, Self::SameState, Self::DifferentState, Self::Abroad];

    /// Number of places.
    pub const COUNT: usize = 8 + STATES.len();

    /// Place among the values of a row.
    pub fn place(self) -> usize {
        match self {
            Self::Population => 0,
            Self::SameHouse => 1,
            Self::SameState => 2,
            Self::DifferentState => 3,
            Self::Abroad => 4,
            Self::PuertoRico => 5,
            Self::IslandAreas => 6,
            Self::ForeignCountry => 7,
            Self::Origin(state) => 8 + state,
        }
    }

    /// Whether a cell of this field may hold no number.
    pub fn is_optional(self) -> bool {
        !Self::REQUIRED.contains(&self)
    }

    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Population => "Population 1 year and over",
            Self::SameHouse => "Same house 1 year ago",
            Self::SameState => "Same state of residence 1 year ago",
            Self::DifferentState => "Different state of residence 1 year ago, Total",
            Self::Abroad => "Abroad 1 year ago, Total",
            Self::PuertoRico => "Abroad, Puerto Rico",
            Self::IslandAreas => "Abroad, U.S. Island Area",
            Self::ForeignCountry => "Abroad, Foreign Country",
            Self::Origin(state) => STATES[state].1,
        }
    }

    /// The field of a column by the heading of its group and its own, both in lower case.
    fn of(group: &str, leaf: &str) -> Option<Self> {
        let total = leaf == "total" || leaf.is_empty();
        if group.contains("population 1 year") {
            Some(Self::Population)
        } else if group.contains("different state") {
            if total {
                return Some(Self::DifferentState);
            }
            states::position_of_name(leaf).map(Self::Origin)
        } else if group.contains("abroad") {
            match leaf {
                "puerto rico" => Some(Self::PuertoRico),
                "u.s. island area" | "u.s. island areas" => Some(Self::IslandAreas),
                "foreign country" | "foreign countries" => Some(Self::ForeignCountry),
                _ => total.then_some(Self::Abroad),
            }
        } else if group.contains("same state") {
            Some(Self::SameState)
        } else if group.contains("same house") || group.contains("same residence") {
            Some(Self::SameHouse)
        } else {
            None
        }
    }
}

/// An estimate's columns.
pub(super) struct Column {
    pub field: Field,
    pub estimate: u32,
    pub moe: u32,
}

/// Where the table is in its sheet.
pub(super) struct Layout {
    pub year: i32,
    /// Where it says so, ready for an error: `: sheet 2011: cell A2`.
    pub year_place: String,
    /// Row of `Current residence in`.
    pub header: u32,
    /// Row of `Estimate` and `MOE`, the last of the header.
    pub last_header: u32,
    /// Columns of state names, the first of which counts.
    pub names: Vec<u32>,
    pub columns: Vec<Column>,
}

/// How far a sheet was recognized before it was refused.
pub(super) type Refused = (u8, Error);

impl Layout {
    /// Finds the table of a sheet.
    pub fn find(sheet: &Sheet) -> Result<Self, Refused> {
        let (year, title, year_place) = year(sheet)?;
        let is_name = |row, column| sheet.text(row, column).to_lowercase().starts_with(NAME_HEADER);
        let columns = 0..sheet.columns();
        let names_of = |row| columns.clone().filter(|&c| is_name(row, c)).collect::<Vec<_>>();
        let header = (title + 1..sheet.rows()).find(|&row| !names_of(row).is_empty());
        let Some(header) = header else {
            let problem =
                "expected a header `Current residence in` below the title, found none".to_owned();
            return Err((2, sheet.sheet_error(problem)));
        };
        let refuse = |row, column, problem: String| (3, sheet.error(row, column, problem));
        let names = names_of(header);
        let pairs = columns
            .clone()
            .find(|&c| sheet.text(header, c).to_lowercase().starts_with("residence 1 year ago"));
        if let Some(column) = pairs {
            let problem = "expected a column of each state of residence 1 year ago, found a row of \
                           each pair of states, the layout of 2024, which is not read";
            return Err(refuse(header, column, problem.to_owned()));
        }
        let is = |row, column, word: &str| sheet.text(row, column).eq_ignore_ascii_case(word);
        let last = (header..sheet.rows().min(header + 8))
            .find(|&row| columns.clone().any(|c| is(row, c, "Estimate")))
            .ok_or_else(|| {
                let problem = "expected a row of `Estimate` and `MOE` below, found none".to_owned();
                refuse(header, names[0], problem)
            })?;
        let mut layout =
            Self { year, year_place, header, last_header: last, names, columns: Vec::new() };
        let mut places = [None; Field::COUNT];
        for estimate in columns.clone().filter(|&c| is(last, c, "Estimate")) {
            let field = layout.field(sheet, estimate).map_err(|e| (3, e))?;
            let moe = estimate + 1;
            if !is(last, moe, "MOE") && !is(last, moe, "Margin of Error") {
                let found = sheet.text(last, moe);
                return Err(refuse(last, moe, format!("expected `MOE`, found `{found}`")));
            }
            if let Some(first) = places[field.place()].replace(estimate) {
                let problem = format!(
                    "expected one column `{}`, found another at {}",
                    field.name(),
                    cell_name(last, first)
                );
                return Err(refuse(last, estimate, problem));
            }
            layout.columns.push(Column { field, estimate, moe });
        }
        let mut required = Field::REQUIRED.into_iter().chain((0..STATES.len()).map(Field::Origin));
        if let Some(field) = required.find(|field| places[field.place()].is_none()) {
            let whole = match field {
                Field::Origin(_) => "of each of the 51 states",
                _ => "of each total",
            };
            let problem = format!("expected a column {whole}, found none of {}", field.name());
            return Err(refuse(header, layout.names[0], problem));
        }
        Ok(layout)
    }

    /// What the column of an `Estimate` holds. Headings stand at the first column they span.
    fn field(&self, sheet: &Sheet, estimate: u32) -> Result<Field, Error> {
        let group = (0..=estimate).rev().find(|&c| sheet.value(self.header, c).is_some());
        let group = group.map_or(String::new(), |c| sheet.text(self.header, c));
        let below = self.header + 1..self.last_header;
        let leaf = below.rev().find(|&row| sheet.value(row, estimate).is_some());
        let text = leaf.map_or(String::new(), |row| sheet.text(row, estimate));
        Field::of(&group.to_lowercase(), &plain_name(&text)).ok_or_else(|| {
            let problem = format!(
                "expected Population 1 year and over, Same house, Same state, Different state or \
                 Abroad 1 year ago, or one of their parts, found `{text}` under `{group}`"
            );
            sheet.error(leaf.unwrap_or(self.header), estimate, problem)
        })
    }
}

/// Start of the heading of the columns of state names, in lower case.
pub(super) const NAME_HEADER: &str = "current residence";

/// The year of the table, the row of its title, and where the year is.
fn year(sheet: &Sheet) -> Result<(i32, u32, String), Refused> {
    let mut title = None;
    let mut found: Option<(i32, u32, u32)> = None;
    // The title and the header are within a screen, whatever rows are put above them.
    for row in 0..sheet.rows().min(50) {
        for column in 0..sheet.columns() {
            let text = sheet.text(row, column).to_lowercase();
            let is_title = text.contains("state-to-state migration flows") && text.len() < 80;
            let is_dataset = text.starts_with("dataset") && text.contains("community survey");
            if is_title {
                title.get_or_insert(row);
            }
            if !is_title && !is_dataset {
                continue;
            }
            if is_dataset && !text.contains("1-year") {
                let problem = format!("expected 1-Year Estimates, found `{text}`");
                return Err((1, sheet.error(row, column, problem)));
            }
            let Some(&year) = years(&text).last() else { continue };
            match found {
                Some((first, at_row, at_column)) if first != year => {
                    let at = cell_name(at_row, at_column);
                    let problem = format!("expected the year {first}, as at {at}, found {year}");
                    return Err((1, sheet.error(row, column, problem)));
                }
                Some(_) => {}
                None => found = Some((year, row, column)),
            }
        }
    }
    match (title, found) {
        (Some(title), Some((year, row, column))) => {
            let place = format!(": sheet {}: cell {}", sheet.name, cell_name(row, column));
            Ok((year, title, place))
        }
        (Some(title), None) => {
            let problem = "expected a year in the title, found none";
            Err((1, sheet.error(title, 0, problem)))
        }
        (None, _) => {
            let (row, column) = sheet.first().unwrap_or_default();
            let problem = format!(
                "expected a title `State-to-State Migration Flows` and a year, found `{}`",
                sheet.text(row, column)
            );
            Err((0, sheet.error(row, column, problem)))
        }
    }
}

/// The numbers of four digits in a text that can be years.
pub(super) fn years(text: &str) -> Vec<i32> {
    let runs = text.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() == 4);
    runs.filter_map(|run| run.parse().ok()).filter(|year| (1990..2100).contains(year)).collect()
}

/// A name in lower case, without the marks of footnotes at its end.
pub(super) fn plain_name(text: &str) -> String {
    let marks = |c: char| c.is_ascii_digit() || matches!(c, '*' | ' ');
    text.trim_end_matches(marks).to_lowercase()
}
