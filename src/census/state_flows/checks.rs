//! The identities between the columns and rows of the table.

use super::layout::{Field, Layout};
use super::rows::{Row, Rows};
use super::{Result, STATES, Sheet};

/// Years whose published tables hold the identities without any difference.
const EXACT: std::ops::RangeInclusive<i32> = 2010..=2019;

/// Checks all identities; returns what was off by rounding or not given.
pub(super) fn check(sheet: &Sheet, layout: &Layout, rows: &Rows) -> Result<Vec<String>> {
    let mut check = Check { sheet, layout, warnings: Vec::new() };
    let origins: Vec<Field> = (0..STATES.len()).map(Field::Origin).collect();
    let parts = [Field::PuertoRico, Field::IslandAreas, Field::ForeignCountry];
    let has_parts = parts.iter().all(|part| layout.columns.iter().any(|c| c.field == *part));
    let inside = std::iter::once(&rows.nation).chain(&rows.states);
    for row in inside.chain(&rows.puerto_rico) {
        let population = [Field::SameHouse, Field::SameState, Field::DifferentState, Field::Abroad];
        check.sum_of_fields(
            row,
            Field::Population,
            &population,
            "same house + same state + different state + abroad",
        )?;
        check.sum_of_fields(row, Field::DifferentState, &origins, "the sum of the origins")?;
        if has_parts {
            check.sum_of_fields(row, Field::Abroad, &parts, "the sum of the parts of abroad")?;
        }
    }
    for column in &layout.columns {
        let field = column.field;
        let given = rows.states.iter().filter(|row| row.values[field.place()].is_some()).count();
        let expected: f64 = rows.states.iter().map(|row| row.persons(field)).sum();
        // A state's own column has one cell less.
        let complete = given + usize::from(matches!(field, Field::Origin(_))) >= STATES.len();
        check.compare(
            &rows.nation,
            field,
            expected,
            STATES.len(),
            complete,
            "the sum of the states",
        )?;
    }
    Ok(check.warnings)
}

struct Check<'a> {
    sheet: &'a Sheet,
    layout: &'a Layout,
    warnings: Vec<String>,
}

impl Check<'_> {
    /// A total within a row. Cells that need no number: a state's own, and Puerto Rico's.
    fn sum_of_fields(
        &mut self,
        row: &Row,
        total: Field,
        parts: &[Field],
        what: &str,
    ) -> Result<()> {
        let expected = parts.iter().map(|part| row.persons(*part)).sum();
        let given = |part: &Field| {
            row.values[part.place()].is_some()
                || part.name() == row.name
                || (*part == Field::PuertoRico && row.name == "Puerto Rico")
        };
        let lacking: Vec<&str> =
            parts.iter().filter(|part| !given(part)).map(|part| part.name()).collect();
        if !lacking.is_empty() {
            self.warnings.push(format!("{}: not given: {}", row.name, lacking.join(", ")));
        }
        self.compare(row, total, expected, parts.len(), lacking.is_empty(), what)
    }

    /// A total against the sum of its terms; of which some, where not `complete`, were not given,
    /// so that the sum may be less.
    fn compare(
        &mut self,
        row: &Row,
        total: Field,
        expected: f64,
        terms: usize,
        complete: bool,
        what: &str,
    ) -> Result<()> {
        let Some(found) = row.values[total.place()] else { return Ok(()) };
        let difference = found.value - expected;
        let exact = EXACT.contains(&self.layout.year);
        // Terms and total are each rounded to a whole number.
        let tolerance = if exact { 0.0 } else { 0.5 * (terms + 1) as f64 };
        if difference == 0.0 || (!complete && difference >= -tolerance) {
            return Ok(());
        }
        let problem = format!(
            "expected {what} = {expected} in {} of {}, found {}, {difference:+} off",
            total.name(),
            row.name,
            found.value
        );
        if difference.abs() <= tolerance {
            self.warnings.push(problem);
            return Ok(());
        }
        let columns = &self.layout.columns;
        let column = columns.iter().find(|c| c.field == total).expect("a value has a column");
        Err(self.sheet.error(row.at, column.estimate, problem))
    }
}
