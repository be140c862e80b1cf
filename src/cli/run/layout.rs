//! Where the files of a run are.

use std::path::PathBuf;

use flowrake::report::Manifest;
use flowrake::targets::{Step, YearFolder};

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct Layout(pub PathBuf);

impl Layout {
    /// Folder of the seeds.
    pub fn seeds(&self) -> PathBuf {
        self.0.join("seeds")
    }

    /// Folder of the plan and targets of a year.
    pub fn targets(&self, year: i32) -> PathBuf {
        self.0.join(format!("targets-{year}"))
    }

    pub fn plan(&self, year: i32) -> PathBuf {
        YearFolder::plan(&self.targets(year))
    }

    pub fn seed(&self, year: i32) -> PathBuf {
        self.seeds().join(format!("seed-{year}.npz"))
    }

    /// The seed as the plan of its year names it.
    pub fn seed_from_plan(year: i32) -> String {
        format!("../seeds/seed-{year}.npz")
    }

    pub fn harmonized(&self, year: i32) -> PathBuf {
        self.0.join(format!("harmonized-{year}.npz"))
    }

    /// Units of all matrices.
    pub fn units(&self) -> PathBuf {
        self.0.join("units.csv")
    }

    /// The yearly table of a call.
    pub fn table(&self, years: &[i32]) -> PathBuf {
        let (first, last) = (years[0], years[years.len() - 1]);
        let span = if first == last { first.to_string() } else { format!("{first}-{last}") };
        self.0.join(format!("years-{span}.csv"))
    }

    /// Every file that a call for these years may write.
    pub fn outputs(&self, years: &[i32]) -> Vec<PathBuf> {
        let mut outputs = vec![self.units()];
        let mut with_manifest = vec![self.table(years)];
        for &year in years {
            let folder = self.targets(year);
            let tables = Step::ALL.map(Step::file).into_iter();
            let tables = tables.chain(["units.csv".into(), "mismatches.csv".into()]);
            outputs.extend(tables.map(|name| folder.join(name)));
            with_manifest.extend([self.plan(year), self.seed(year), self.harmonized(year)]);
        }
        outputs.extend(with_manifest.iter().map(|path| Manifest::<()>::path_for(path)));
        outputs.extend(with_manifest);
        outputs
    }
}
