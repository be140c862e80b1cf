//! The layouts with numbers at fixed columns.

use std::path::Path;

use super::places::by_codes;
use super::{CountyFlows, optional_number};
use crate::census::text;
use crate::{Error, Result};

/// First characters (from 0) of the numbers of `Net_Gross_US.txt`.
const NET_GROSS_STARTS: [usize; 8] = [145, 154, 163, 172, 181, 190, 199, 208];

/// Width of those numbers.
const NET_GROSS_WIDTH: usize = 8;

/// Lines of `CtyxCty_US.txt` are longer than this, those of `Net_Gross_US.txt` are not.
const NET_GROSS_LONGEST: usize = 220;

impl CountyFlows {
    /// Adds the lines of a file.
    pub(super) fn read_fixed_width(&mut self, path: &Path) -> Result<()> {
        let text = text::read(path)?;
        for (line, number) in text.lines().zip(1..) {
            let error = |problem: String| Error::data(path, format!(":{number}"), problem);
            // Columns are counted in characters.
            let chars: Vec<char> = line.trim_end().chars().collect();
            if chars.is_empty() {
                continue;
            }
            let part = |start: usize, width: usize| -> String {
                let end = (start + width).min(chars.len());
                chars
                    .get(start..end)
                    .unwrap_or_default()
                    .iter()
                    .collect::<String>()
                    .trim()
                    .to_owned()
            };
            if chars.len() < NET_GROSS_STARTS[1] {
                return Err(error(format!(
                    "expected a line of {} characters or more, found {}",
                    NET_GROSS_STARTS[1],
                    chars.len()
                )));
            }
            let mut numbers = [None; 8];
            let is_net_gross = chars.len() <= NET_GROSS_LONGEST;
            if is_net_gross {
                for (slot, start) in numbers.iter_mut().zip(NET_GROSS_STARTS) {
                    *slot = optional_number(&part(start, NET_GROSS_WIDTH))
                        .map_err(|p| error(format!("column {}: {p}", start + 1)))?;
                }
            } else {
                let mut last = line.split_whitespace().rev();
                for slot in [1, 0] {
                    let text = last.next().unwrap_or_default();
                    numbers[slot] = optional_number(text).map_err(&error)?;
                }
            }
            let place = |k: usize, names: usize| {
                let codes = [part(k, 3), part(k + 3, 3)];
                // In the longer lines, other things are in place of the second name.
                let names = if is_net_gross {
                    [part(names, 30), part(names + 30, 35)]
                } else {
                    codes.clone()
                };
                let [codes, names] =
                    [&codes, &names].map(|[state, county]| [state.as_str(), county.as_str()]);
                by_codes(codes, names).map_err(&error)
            };
            let (a, b) = (place(0, 13)?, place(6, 79)?);
            self.add(a, b, numbers).map_err(&error)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geography::Geoid;

    fn read(name: &str, text: &str) -> std::result::Result<CountyFlows, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let short = |e: Error| e.to_string().replace(&format!("{}/", folder.path().display()), "");
        CountyFlows::read(&path, None).map_err(short)
    }

    fn flow(flows: &CountyFlows, origin: &str, destination: &str) -> Option<(f64, f64)> {
        let pair = (Geoid::new(origin), Geoid::new(destination));
        flows.flows.get(&pair).map(|e| (e.persons, e.moe))
    }

    #[test]
    fn fixed_width_lines() {
        let line = |codes: &str, a: (&str, &str), b: (&str, &str), numbers: [&str; 8]| {
            let numbers = numbers.map(|n| format!(" {n:>8}")).concat();
            format!("{codes:<12} {:<30}{:<35} {:<30}{:<35}{numbers}\r\n", a.0, a.1, b.0, b.1)
        };
        let (appling, fulton) = (("Georgia", "Appling County"), ("Georgia", "Fulton County"));
        let text =
            line("013001013121", appling, fulton, ["10", "5", "7", "6", "3", "8", "17", "8"])
                + &line(
                    "013001ASI   ",
                    appling,
                    ("Asia", "-"),
                    ["9", "4", ".", ".", ".", ".", ".", "."],
                );
        let flows = read("Net_Gross_US.txt", &text).unwrap();
        assert_eq!(flow(&flows, "13121", "13001"), Some((10.0, 5.0)));
        assert_eq!(flow(&flows, "13001", "13121"), Some((7.0, 6.0)));
        assert_eq!(flows.abroad[&("Asia".into(), Geoid::new("13001"))].persons, 9.0);

        let totals = " 1000  20".repeat(30);
        let line = |codes: &str, flow: u32| {
            format!("{codes:<12} {:<70}{totals} {flow:>7}      12\n", "Georgia Appling County")
        };
        let text = line("013001013121", 44)
            + &line("013001072127", 3)
            + &line("013001072113", 4)
            + &line("013001EUR", 5);
        let flows = read("CtyxCty_US.txt", &text).unwrap();
        assert_eq!(flow(&flows, "13121", "13001"), Some((44.0, 12.0)));
        let abroad: Vec<_> =
            flows.abroad.iter().map(|((region, _), e)| (region.as_str(), e.persons)).collect();
        assert_eq!(abroad, [("113, 072", 4.0), ("127, 072", 3.0), ("EUR", 5.0)]);
        assert_eq!(
            read("a.txt", "013001013121\n").unwrap_err(),
            "a.txt:1: expected a line of 154 characters or more, found 12"
        );
        assert_eq!(
            read("a.txt", &text.replace("     44", "     x4")).unwrap_err(),
            "a.txt:1: expected a number, found `x4`"
        );
    }
}
