//! Texts of a dictionary, read as numbers.
//!
//! A column of texts is mostly stored as a dictionary and, per value, the position in it. The
//! decoder of such pages does not care what the dictionary holds: given one of numbers in place of
//! the texts, it decodes the same pages to numbers, without a text per value.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Encoding, Type as PhysicalType};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::Int32Type;
use parquet::errors::Result;
use parquet::schema::types::{ColumnDescriptor, Type};

/// Pages of a column of texts as far as they refer to its dictionary, each entry of which is
/// replaced by a number.
pub(super) struct EntryPages {
    dictionary: Option<Page>,
    /// The pages to come; none after one that holds texts.
    pages: Option<Box<dyn PageReader>>,
}

impl EntryPages {
    /// The pages, and `number` for every entry; `None` if they do not start with a dictionary.
    pub fn new(
        mut pages: Box<dyn PageReader>,
        number: impl FnMut(&[u8]) -> i32,
    ) -> Result<Option<Self>> {
        let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else {
            return Ok(None);
        };
        let Some(numbers) = numbers(&buf, num_values, number) else { return Ok(None) };
        let dictionary = Page::DictionaryPage {
            buf: numbers,
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        Ok(Some(Self { dictionary: Some(dictionary), pages: Some(pages) }))
    }

    /// A decoder of the numbers, for a column that is not nested.
    pub fn into_reader(self, texts: &ColumnDescriptor) -> ColumnReaderImpl<Int32Type> {
        let number = Type::primitive_type_builder(texts.name(), PhysicalType::INT32)
            .with_repetition(texts.self_type().get_basic_info().repetition())
            .build()
            .expect("a plain type");
        let descr = ColumnDescriptor::new(
            Arc::new(number),
            texts.max_def_level(),
            texts.max_rep_level(),
            texts.path().clone(),
        );
        ColumnReaderImpl::new(Arc::new(descr), Box::new(self))
    }
}

/// Numbers for the texts of a dictionary page, plainly encoded as those are; `None` of a broken one.
fn numbers(page: &[u8], entries: u32, mut number: impl FnMut(&[u8]) -> i32) -> Option<Bytes> {
    let mut rest = page;
    let mut numbers = Vec::new();
    for _ in 0..entries {
        let (len, after) = rest.split_first_chunk()?;
        let (text, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        numbers.extend(number(text).to_le_bytes());
        rest = after;
    }
    Some(numbers.into())
}

impl PageReader for EntryPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        if let Some(dictionary) = self.dictionary.take() {
            return Ok(Some(dictionary));
        }
        let Some(pages) = &mut self.pages else { return Ok(None) };
        let page = pages.get_next_page()?;
        let by_entries = |page: &Page| {
            let encoding = page.encoding();
            matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY)
                && page.is_data_page()
        };
        let page = page.filter(by_entries);
        if page.is_none() {
            self.pages = None;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.as_mut().map_or(Ok(None), |pages| pages.peek_next_page())
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.as_mut().map_or(Ok(()), |pages| pages.skip_next_page())
    }
}

impl Iterator for EntryPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(texts: &[&[u8]]) -> Vec<u8> {
        let text = |t: &&[u8]| [&(t.len() as u32).to_le_bytes(), *t].concat();
        texts.iter().flat_map(text).collect()
    }

    #[test]
    fn every_entry_becomes_its_number() {
        let page = plain(&[b"01001", b"", b"\xff"]);
        let mut seen = Vec::new();
        let mut number = |text: &[u8]| {
            seen.push(text.to_owned());
            !i32::try_from(seen.len()).unwrap()
        };
        let made = numbers(&page, 3, &mut number).unwrap();
        assert_eq!(bytemuck::pod_collect_to_vec::<u8, i32>(&made), [-2, -3, -4]);
        assert_eq!(seen, [&b"01001"[..], b"", b"\xff"]);
        assert_eq!(numbers(&[], 0, |_| 0).unwrap().len(), 0);
    }

    #[test]
    fn a_broken_dictionary_is_none() {
        let page = plain(&[b"01001", b"01003"]);
        for length in 0..page.len() {
            assert!(numbers(&page[..length], 2, |_| 0).is_none(), "{length} bytes");
        }
        assert!(numbers(&page, 3, |_| 0).is_none());
        assert!(numbers(&[0xff; 8], 1, |_| 0).is_none());
    }
}
