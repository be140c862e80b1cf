//! Many short texts, one after the other in one.

use std::ops::Index;

/// A list of texts: their letters and 4 bytes each, where a `Vec<String>` takes 40 bytes more.
///
/// Invariant: `ends` never decreases, and every end is one of a letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    letters: String,
    ends: Vec<u32>,
}

impl Texts {
    /// Adds a text at the end.
    ///
    /// # Panics
    /// If all together have 4 GiB or more.
    pub fn push(&mut self, text: &str) {
        self.letters.push_str(text);
        self.ends.push(u32::try_from(self.letters.len()).expect("less than 4 GiB of texts"));
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The texts in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.len()).map(|k| &self[k])
    }
}

impl Index<usize> for Texts {
    type Output = str;

    fn index(&self, k: usize) -> &str {
        let start = k.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        &self.letters[start..self.ends[k] as usize]
    }
}

impl<S: AsRef<str>> FromIterator<S> for Texts {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let mut list = Self::default();
        texts.into_iter().for_each(|text| list.push(text.as_ref()));
        list
    }
}

impl<S: AsRef<str>, const N: usize> From<[S; N]> for Texts {
    fn from(texts: [S; N]) -> Self {
        texts.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_as_they_went_in() {
        let given = ["", "01001", "é", "", "x"];
        let texts: Texts = given.iter().collect();
        assert_eq!(texts.iter().collect::<Vec<_>>(), given);
        assert_eq!((texts.len(), &texts[2], &texts[3]), (5, "é", ""));
        assert!(Texts::default().is_empty());
    }
}
