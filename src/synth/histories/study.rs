//! The study file of a synthetic nation, and what its files are called.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use super::Truth;
use super::records::ADDRESSES;
use crate::synth::nation::centers_file;
use crate::{Error, Result};

/// Persons with their addresses.
pub(super) const PEOPLE: &str = "people.csv";
/// Answers of the geocoder.
pub(super) const ANSWERS: &str = "answers.csv";
/// The study file.
pub(super) const STUDY: &str = "study.toml";

/// The files of a nation's histories.
pub fn names(truth: &Truth) -> Vec<String> {
    let mut names = [PEOPLE, ANSWERS, STUDY].map(ToOwned::to_owned).to_vec();
    names.extend((truth.base_year..=truth.last_year()).map(crosswalk));
    names
}

/// Crosswalk of the last quarter of a year.
pub(super) fn crosswalk(year: u16) -> String {
    format!("ZIP_TRACT_12{year:04}.csv")
}

/// First line of the file of persons.
pub(super) fn people_header() -> String {
    let mut header = "person_id,first_seen,last_seen,deceased".to_owned();
    for k in 1..=ADDRESSES {
        write!(header, ",address_id_{k},effective_date_{k},category_{k}")
            .expect("writing to a string does not fail");
    }
    header + "\n"
}

/// The study file in `folder`, with the files that the nation has for the targets.
///
/// # Errors
/// If one of the folders cannot be looked up.
pub(super) fn study_toml(truth: &Truth, folder: &Path) -> Result<String> {
    let nation = relative(folder, &truth.folder)?;
    let quoted = |name: &str| {
        // A string of JSON is one of TOML.
        serde_json::Value::from(nation.join(name).to_string_lossy()).to_string()
    };
    let (base, last) = (truth.base_year, truth.last_year());
    let crosswalks: Vec<String> =
        (base..=last).map(|year| format!("\"{}\"", crosswalk(year))).collect();
    let mut text = format!(
        "# Made-up persons and their addresses, of a nation whose truth is known.\n\
         units = {}\nlatest_date = \"{last}-12-31\"\ngeocoded = [\"{ANSWERS}\"]\n\
         zip_tracts = [{}]\n\n[wide]\nfiles = [\"{PEOPLE}\"]\n\n[targets]\ncounties = {}\n\
         census = {}\n\n[targets.state_flows]\n",
        quoted("units.csv"),
        crosswalks.join(", "),
        quoted(&format!("co-est{last}-alldata.csv")),
        quoted(&centers_file(base + 1))
    );
    let mut table = |title: &str, name: &dyn Fn(u16) -> String| {
        text += title;
        for year in base + 1..=last {
            writeln!(text, "{year} = {}", quoted(&name(year)))
                .expect("writing to a string does not fail");
        }
    };
    table("", &|year| format!("state_to_state_migrations_table_{year}.xlsx"));
    table("\n[targets.acs5]\n", &|year| {
        format!("acs5_{}-{year}_bg_total_population.csv", year - 4)
    });
    Ok(text)
}

/// A folder as it is called from another, both of which are there.
fn relative(from: &Path, to: &Path) -> Result<PathBuf> {
    let full = |path: &Path| path.canonicalize().map_err(|e| Error::io(path, e));
    let (from, to) = (full(from)?, full(to)?);
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    Ok(up.chain(to.components().skip(common)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_called_from_each_other() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a/b", "a/c", "d"] {
            std::fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let at = |name: &str| root.path().join(name);
        for (from, to, expected) in
            [("a/b", "a/c", "../c"), ("a/b", "d", "../../d"), ("a", "a/c", "c"), ("d", "d", "")]
        {
            assert_eq!(relative(&at(from), &at(to)).unwrap(), Path::new(expected), "{from} {to}");
        }
    }
}
