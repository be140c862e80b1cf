//! A validation to read, and as a table for other programs.

use std::fmt;
use std::io::Write;

use super::{Comparison, Validation};

/// What a table shows where a number is undefined.
const UNDEFINED: &str = "-";

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.comparisons.iter().map(|c| c.level.chars().count()).max().unwrap_or(0);
        let width = width.max("level".len());
        writeln!(
            f,
            "{:width$}  {:17}  {:>11}  {:>7}  {:>7}  {:>12}  {:>12}  {:>9}",
            "level",
            "quantity",
            "values",
            "r raw",
            "r harm.",
            "RMSE raw",
            "RMSE harm.",
            "reduction"
        )?;
        for c in &self.comparisons {
            writeln!(
                f,
                "{:width$}  {:17}  {:>11}  {:>7}  {:>7}  {:>12}  {:>12}  {:>9}",
                c.level,
                c.quantity.to_string(),
                c.values,
                shown(c.pearson_raw, |r| format!("{r:.4}")),
                shown(c.pearson_harmonized, |r| format!("{r:.4}")),
                shown(c.rmse_raw, persons),
                shown(c.rmse_harmonized, persons),
                shown(c.rmse_reduction_percent, |percent| format!("{percent:.1} %")),
            )?;
        }
        if self.comparisons.iter().any(Comparison::has_undefined) {
            writeln!(
                f,
                "{UNDEFINED}  undefined: r of numbers that are all equal, the error of no numbers, the \
                 reduction of an error of 0"
            )?;
        }
        Ok(())
    }
}

impl Comparison {
    fn numbers(&self) -> [Option<f64>; 5] {
        [
            self.pearson_raw,
            self.pearson_harmonized,
            self.rmse_raw,
            self.rmse_harmonized,
            self.rmse_reduction_percent,
        ]
    }

    fn has_undefined(&self) -> bool {
        self.numbers().contains(&None)
    }
}

fn shown(number: Option<f64>, format: impl FnOnce(f64) -> String) -> String {
    number.map_or_else(|| UNDEFINED.to_owned(), format)
}

/// Persons to three digits and more: errors of single flows are thousandths.
fn persons(number: f64) -> String {
    match number {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 1.0 => format!("{n:.2}"),
        n if n >= 1e-4 || n == 0.0 => format!("{n:.5}"),
        n => format!("{n:.1e}"),
    }
}

/// Writes one line per comparison; an undefined number is an empty cell.
///
/// # Errors
/// If the file cannot be written.
pub fn write_csv(validation: &Validation, file: impl Write) -> std::io::Result<()> {
    let mut out = csv::Writer::from_writer(file);
    out.write_record([
        "level",
        "quantity",
        "values",
        "pearson_raw",
        "pearson_harmonized",
        "rmse_raw",
        "rmse_harmonized",
        "rmse_reduction_percent",
    ])?;
    for c in &validation.comparisons {
        let values = c.values.to_string();
        let numbers = c.numbers().map(|number| number.map_or(String::new(), |n| n.to_string()));
        let texts = [c.level.as_str(), c.quantity.name(), &values];
        out.write_record(texts.into_iter().chain(numbers.iter().map(String::as_str)))?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::super::{Persons, Quantity};
    use super::*;

    #[test]
    fn what_is_undefined_is_a_dash_or_empty() {
        let comparison = Comparison {
            level: "state".into(),
            quantity: Quantity::MoversIn,
            values: 51,
            pearson_raw: Some(0.5),
            pearson_harmonized: None,
            rmse_raw: Some(1234.56),
            rmse_harmonized: Some(0.001_234),
            rmse_reduction_percent: Some(99.9),
        };
        let mut validation = Validation {
            persons: Persons { raw: 1.0, harmonized: 1.0, truth: 1.0 },
            raw_scale: 1.0,
            comparisons: vec![comparison],
        };
        let text = validation.to_string();
        let line: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        let expected =
            ["state", "movers", "in", "51", "0.5000", "-", "1235", "0.00123", "99.9", "%"];
        assert_eq!(line, expected);
        assert!(text.lines().nth(2).unwrap().contains("all equal"), "{text}");
        let mut csv = Vec::new();
        write_csv(&validation, &mut csv).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        assert_eq!(csv.lines().nth(1).unwrap(), "state,movers_in,51,0.5,,1234.56,0.001234,99.9");

        validation.comparisons[0].pearson_harmonized = Some(1.0);
        assert_eq!(validation.to_string().lines().count(), 2);
    }
}
