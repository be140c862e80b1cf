//! Text as the Census Bureau writes it: encodings, codes, counts and annotations.

use std::borrow::Cow;
use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// A file as text, unpacked where it is gzip: UTF-8 with or without a byte order mark, else
/// latin-1.
pub(super) fn read(path: &Path) -> Result<String> {
    let mut bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    if bytes.starts_with(&[0x1F, 0x8B]) {
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).map_err(|e| {
            Error::data(path, "", format!("expected a whole gzip file, found: {e}"))
        })?;
        bytes = unpacked;
    }
    Ok(decode(&bytes).into_owned())
}

/// Text of bytes that are UTF-8 or, failing that, latin-1; without a byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect::<String>().into(),
    }
}

/// A part of a GEOID with its leading zeros: `1` of 2 digits is `01`.
///
/// An error is what was expected and found.
pub(crate) fn code(text: &str, digits: usize) -> std::result::Result<String, String> {
    let mut code = String::with_capacity(digits);
    push_code(&mut code, text, digits)?;
    Ok(code)
}

/// Adds such a part to those before.
///
/// # Errors
/// As [`code`].
pub(crate) fn push_code(
    geoid: &mut String,
    text: &str,
    digits: usize,
) -> std::result::Result<(), String> {
    let is_code =
        !text.is_empty() && text.len() <= digits && text.bytes().all(|b| b.is_ascii_digit());
    if !is_code {
        return Err(format!("expected a code of {digits} digits, found `{text}`"));
    }
    geoid.extend(std::iter::repeat_n('0', digits - text.len()));
    geoid.push_str(text);
    Ok(())
}

/// A number, with thousands separators or without: `-12`, `+32.5`, `1,234,567`.
pub(super) fn number(text: &str) -> Option<f64> {
    let plain = if text.contains(',') { without_commas(text)? } else { text.to_owned() };
    let starts = plain.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit());
    plain.parse::<f64>().ok().filter(|number| starts && number.is_finite())
}

/// A whole number, with thousands separators or without.
pub(super) fn integer(text: &str) -> Option<i64> {
    number(text).filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| n as i64)
}

/// Removes thousands separators; `None` where they are not between groups of three digits.
fn without_commas(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut groups = whole.trim_start_matches(['+', '-']).split(',');
    let digits = |group: &str| group.bytes().all(|b| b.is_ascii_digit());
    let first = groups.next().is_some_and(|g| (1..=3).contains(&g.len()) && digits(g));
    let rest = groups.all(|g| g.len() == 3 && digits(g));
    (first && rest && digits(fraction)).then(|| text.replace(',', ""))
}

/// What a cell of an American Community Survey table holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    /// A number that is not negative.
    Number(f64),
    /// The mark of an estimate that is controlled to a known total: its sampling error is zero.
    Controlled,
    /// A mark that says why there is no number.
    NotGiven,
}

/// Reads a cell by the annotations of the American Community Survey, as words (`N/A`, `(X)`,
/// `*****`) or as the numbers that stand for them (`-555555555`). Footnote digits may be glued to
/// `N/A`. `None` where it is anything else.
///
/// Source: Census Bureau, "Notes on ACS Estimate and Annotation Values".
pub(super) fn annotated(text: &str) -> Option<Cell> {
    let text = text.trim();
    match text {
        "*****" | "-555555555" => return Some(Cell::Controlled),
        "(X)" | "X" | "N" | "-" | "--" | "**" | "***" | "null" | "-222222222" | "-333333333"
        | "-666666666" | "-888888888" | "-999999999" => return Some(Cell::NotGiven),
        _ => {}
    }
    let word = text.trim_end_matches(|c: char| c.is_ascii_digit());
    if word.eq_ignore_ascii_case("N/A") {
        return Some(Cell::NotGiven);
    }
    number(text).filter(|number| *number >= 0.0).map(Cell::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        assert_eq!(decode("\u{feff}Doña Ana".as_bytes()), "Doña Ana");
        assert_eq!(decode(b"Do\xF1a Ana"), "Doña Ana");
        assert_eq!(decode(b""), "");
    }

    #[test]
    fn files_may_be_packed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv.gz");
        let file = std::fs::File::create(&path).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, b"Do\xF1a Ana").unwrap();
        packed.finish().unwrap();
        assert_eq!(read(&path).unwrap(), "Doña Ana");
        std::fs::write(&path, [0x1F, 0x8B, 8, 0]).unwrap();
        let problem = read(&path).unwrap_err().to_string();
        assert!(problem.contains("t.csv.gz: expected a whole gzip file, found: "), "{problem}");
    }

    #[test]
    fn codes_are_padded_and_never_cut() {
        assert_eq!(code("1", 2).unwrap(), "01");
        assert_eq!(code("001", 3).unwrap(), "001");
        for text in ["", "0001", "1x", "-1"] {
            assert_eq!(
                code(text, 3).unwrap_err(),
                format!("expected a code of 3 digits, found `{text}`")
            );
        }
    }

    #[test]
    fn numbers_and_thousands() {
        for (text, expected) in [
            ("1,234,567", Some(1_234_567.0)),
            ("-1,234.5", Some(-1234.5)),
            ("+32.5", Some(32.5)),
            ("0", Some(0.0)),
            ("12,34", None),
            (",123", None),
            ("1,2345", None),
            ("1,234.5,6", None),
            ("inf", None),
            ("NaN", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
        assert_eq!(integer("2,325"), Some(2325));
        assert_eq!(integer("2325.0"), Some(2325));
        assert_eq!(integer("2325.5"), None);
    }

    #[test]
    fn annotations() {
        for (text, expected) in [
            ("1,234", Some(Cell::Number(1234.0))),
            ("N/A", Some(Cell::NotGiven)),
            ("N/A2", Some(Cell::NotGiven)),
            ("(X)", Some(Cell::NotGiven)),
            ("*****", Some(Cell::Controlled)),
            ("-555555555", Some(Cell::Controlled)),
            ("-666666666", Some(Cell::NotGiven)),
            ("-5", None),
            ("", None),
            ("many", None),
        ] {
            assert_eq!(annotated(text), expected, "{text}");
        }
    }
}
