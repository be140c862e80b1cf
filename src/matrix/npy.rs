//! NumPy's `.npy` arrays: a text header, then the elements.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use std::marker::PhantomData;
use std::ops::Range;

const MAGIC: &[u8] = b"\x93NUMPY";

/// A number stored little-endian.
pub(super) trait Element: Copy + Send + Sync + 'static {
    /// NumPy's name of the type in a header.
    const DESCR: &'static str;
    const BYTES: usize;

    /// The number at the start of `bytes`, which need not be aligned.
    fn from_le(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($($number:ty, $descr:literal;)*) => {
        $(impl Element for $number {
            const DESCR: &'static str = $descr;
            const BYTES: usize = size_of::<$number>();

            #[inline]
            fn from_le(bytes: &[u8]) -> Self {
                let bytes = bytes.first_chunk().expect("an element is whole");
                <$number>::from_le_bytes(*bytes)
            }
        })*
    };
}

element! { i32, "<i4"; i64, "<i8"; f32, "<f4"; f64, "<f8"; }

/// Elements as they lie in the file: little-endian, at any address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'a, T> {
    bytes: &'a [u8],
    element: PhantomData<T>,
}

impl<'a, T: Element> Elements<'a, T> {
    pub fn len(&self) -> usize {
        self.bytes.len() / T::BYTES
    }

    #[inline]
    pub fn get(&self, k: usize) -> T {
        T::from_le(&self.bytes[k * T::BYTES..])
    }

    pub fn bytes(&self, range: Range<usize>) -> &'a [u8] {
        &self.bytes[range.start * T::BYTES..range.end * T::BYTES]
    }

    #[inline]
    pub fn range(&self, range: Range<usize>) -> impl ExactSizeIterator<Item = T> + 'a {
        self.bytes(range).chunks_exact(T::BYTES).map(T::from_le)
    }
}

/// A parsed array; its elements stay where they are.
#[derive(Debug)]
pub(super) struct Npy<'a> {
    descr: String,
    shape: Vec<usize>,
    data: &'a [u8],
}

impl<'a> Npy<'a> {
    /// Reads the header (format versions 1 to 3). An error is what was expected and found.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let short = || format!("expected a .npy header, found {} bytes", bytes.len());
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| {
            format!("expected a .npy array, found other content of {} bytes", bytes.len())
        })?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
        let (length, rest) = match version[0] {
            1 => {
                let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
                (usize::from(u16::from_le_bytes(*length)), rest)
            }
            2 | 3 => {
                let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
                (u32::from_le_bytes(*length) as usize, rest)
            }
            other => return Err(format!("expected .npy format version 1 to 3, found {other}")),
        };
        let (header, data) = rest.split_at_checked(length).ok_or_else(short)?;
        let header = String::from_utf8_lossy(header);
        let (Some(descr), Some(shape)) = (descr(&header), shape(&header)) else {
            return Err(format!("expected a .npy header, found `{}`", header.trim()));
        };
        Ok(Self { descr, shape, data })
    }

    /// The type in NumPy's short form, `<f8`.
    pub fn descr(&self) -> &str {
        &self.descr
    }

    /// The type in NumPy's long form, `float64`.
    pub fn type_name(&self) -> String {
        let (order, rest) = match self.descr.split_at_checked(1) {
            Some((order @ ("<" | ">" | "|" | "="), rest)) => (order, rest),
            _ => ("", self.descr.as_str()),
        };
        let bits = rest.get(1..).and_then(|b| b.parse::<u32>().ok()).map_or(0, |b| b * 8);
        let name = match rest.chars().next() {
            Some('f') => format!("float{bits}"),
            Some('i') => format!("int{bits}"),
            Some('u') => format!("uint{bits}"),
            Some('c') => format!("complex{bits}"),
            Some('b') => "bool".into(),
            Some('O') => "object".into(),
            _ => rest.to_owned(),
        };
        if order == ">" { format!("big-endian {name}") } else { name }
    }

    /// The elements of a one-dimensional array, after checking that all are there.
    ///
    /// # Panics
    /// If the array is of another type.
    pub fn elements<T: Element>(&self) -> Result<Elements<'a, T>, String> {
        assert_eq!(self.descr, T::DESCR, "the caller looks at the type first");
        let &[len] = self.shape.as_slice() else {
            return Err(format!("expected one dimension, found {}", self.shape.len()));
        };
        let needed = len.checked_mul(T::BYTES);
        let bytes = needed.and_then(|needed| self.data.get(..needed)).ok_or_else(|| {
            format!(
                "expected {len} elements of {} bytes, found {} bytes; is the file truncated?",
                T::BYTES,
                self.data.len()
            )
        })?;
        Ok(Elements { bytes, element: PhantomData })
    }

    /// A text scalar, `|S3` or `<U3`.
    pub fn text(&self) -> Result<String, String> {
        let problem = || format!("expected a text, found {} of shape {:?}", self.descr, self.shape);
        if !self.shape.is_empty() {
            return Err(problem());
        }
        let text: Option<String> = if self.descr.starts_with("|S") {
            Some(self.data.iter().map(|&b| char::from(b)).collect())
        } else if self.descr.starts_with("<U") {
            self.data
                .chunks_exact(4)
                .map(|c| char::from_u32(<i32 as Element>::from_le(c).cast_unsigned()))
                .collect()
        } else {
            None
        };
        Ok(text.ok_or_else(problem)?.trim_end_matches('\0').to_owned())
    }
}

/// A header (format version 1) that fills a multiple of 64 bytes, so that aligned members hold
/// aligned elements.
pub(super) fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let dims = dims.join(", ") + comma;
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}), }}");
    let before = MAGIC.len() + 4;
    let length = (before + dict.len() + 1).next_multiple_of(64) - before;
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend(u16::try_from(length).expect("a header of a few dimensions").to_le_bytes());
    bytes.extend(format!("{dict:<width$}\n", width = length - 1).into_bytes());
    bytes
}

/// What follows a key of the header's dictionary.
fn value_of<'h>(header: &'h str, key: &str) -> Option<&'h str> {
    let (_, rest) = header.split_once(&format!("'{key}'"))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

fn descr(header: &str) -> Option<String> {
    let value = value_of(header, "descr")?;
    match value.strip_prefix('\'') {
        Some(rest) => Some(rest.split_once('\'')?.0.to_owned()),
        None if value.starts_with('[') => Some("a structured type".into()),
        None => None,
    }
}

fn shape(header: &str) -> Option<Vec<usize>> {
    let (dims, _) = value_of(header, "shape")?.strip_prefix('(')?.split_once(')')?;
    let dims = dims.split(',').map(str::trim).filter(|d| !d.is_empty());
    dims.map(|d| d.trim_end_matches('L').parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_back() {
        for shape in [vec![], vec![0], vec![5], vec![2, 3]] {
            let mut bytes = header("<f8", &shape);
            assert_eq!(bytes.len() % 64, 0);
            assert_eq!(bytes.last(), Some(&b'\n'));
            bytes.extend([0; 48]);
            let npy = Npy::parse(&bytes).unwrap();
            assert_eq!((npy.descr(), &npy.shape), ("<f8", &shape));
        }
    }

    #[test]
    fn later_header_versions_have_longer_lengths() {
        let text = b"{'shape': (3L,), 'fortran_order': False, 'descr': '<i4'}";
        for version in [2, 3] {
            let mut bytes = [MAGIC, &[version, 0, text.len() as u8, 0, 0, 0], text].concat();
            bytes.extend([1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 128]);
            let elements = Npy::parse(&bytes).unwrap().elements::<i32>().unwrap();
            assert_eq!(elements.range(0..3).collect::<Vec<_>>(), [1, -1, i32::MIN]);
            assert_eq!((elements.len(), elements.get(1)), (3, -1));
        }
    }

    #[test]
    fn types_have_long_names() {
        let name = |descr: &str| Npy { descr: descr.into(), shape: vec![], data: &[] }.type_name();
        assert_eq!(
            ["<i8", "|u1", ">f8", "<c16", "|b1", "|O"].map(name),
            ["int64", "uint8", "big-endian float64", "complex128", "bool", "object"]
        );
    }

    #[test]
    fn broken_arrays_say_what_is_wrong() {
        let whole = [header("<f8", &[2]), vec![0; 16]].concat();
        for cut in 0..whole.len() {
            let problem = Npy::parse(&whole[..cut])
                .and_then(|npy| npy.elements::<f64>().map(drop))
                .unwrap_err();
            assert!(problem.starts_with("expected "), "{problem}");
        }
        let text = Npy { descr: "<f8".into(), shape: vec![], data: &[] }.text();
        assert_eq!(text.unwrap_err(), "expected a text, found <f8 of shape []");
    }
}
