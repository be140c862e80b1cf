//! Stages of a run that may be taken up again: what one was made from, and what it made.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::manifest::{Content, Input, Manifest, Output};
use crate::output::{Outputs, identity};
use crate::{Error, Result};

/// What files hold, each hashed once, on the thread that asks first.
#[derive(Debug, Default)]
pub struct Hashes {
    known: Mutex<HashMap<PathBuf, Arc<OnceLock<Content>>>>,
}

impl Hashes {
    /// Hashes files that have not been hashed yet, one after the other.
    ///
    /// # Errors
    /// If one can not, or no longer, be read.
    pub fn of(&self, paths: &[PathBuf]) -> Result<Vec<Input>> {
        paths.iter().map(|path| self.hashed(path)).collect()
    }

    fn hashed(&self, path: &Path) -> Result<Input> {
        let slot = self.slot(path);
        if let Some(content) = slot.get() {
            return Ok(Input { path: path.to_owned(), content: content.clone() });
        }
        let input = Input::hashed(path)?;
        slot.get_or_init(|| input.content.clone());
        Ok(input)
    }

    fn slot(&self, path: &Path) -> Arc<OnceLock<Content>> {
        let mut known = self.known.lock().expect("nothing panics with it");
        known.entry(identity(path)).or_default().clone()
    }

    /// Takes note of what was written.
    fn learn(&self, path: &Path, content: Content) {
        let mut known = self.known.lock().expect("nothing panics with it");
        known.insert(identity(path), Arc::new(content.into()));
    }
}

/// What a stage made, in its manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Made {
    configuration: Value,
    /// By the names of the files, which are in the folder of the manifest.
    outputs: BTreeMap<String, Content>,
}

/// A part of a run whose outputs depend on its inputs, its configuration and this program only.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its manifest, in the folder of its outputs.
    pub manifest: PathBuf,
    /// What it was told to do.
    pub configuration: Value,
    /// What it reads.
    pub inputs: Vec<PathBuf>,
}

/// A manifest as far as it tells whether a stage is finished.
#[derive(Deserialize)]
struct Record {
    version: String,
    inputs: Vec<Content>,
    stage: Made,
}

impl Stage {
    /// Whether the stage was finished with the same inputs, configuration and version, and its
    /// outputs are as it left them.
    pub fn finished(&self, hashes: &Hashes) -> bool {
        let bytes = std::fs::read(&self.manifest).unwrap_or_default();
        let Ok(record) = serde_json::from_slice::<Record>(&bytes) else { return false };
        let Made { configuration, outputs } = record.stage;
        if record.version != env!("CARGO_PKG_VERSION")
            || configuration != self.configuration
            || record.inputs.len() != self.inputs.len()
        {
            return false;
        }
        let folder = self.manifest.parent().unwrap_or(Path::new(""));
        let outputs = outputs.into_iter().map(|(name, content)| (folder.join(name), content));
        let inputs = self.inputs.iter().cloned().zip(record.inputs);
        let files: Vec<(PathBuf, Content)> = outputs.chain(inputs).collect();
        let has_size = |(path, content): &(PathBuf, Content)| {
            std::fs::metadata(path).is_ok_and(|found| found.len() == content.size_bytes)
        };
        let is_same = |(path, content): &(PathBuf, Content)| {
            hashes.hashed(path).is_ok_and(|found| found.content == *content)
        };
        // Sizes are told without reading.
        files.iter().all(has_size) && files.iter().all(is_same)
    }

    /// Gives the outputs of the stage their names, its manifest last.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    ///
    /// # Panics
    /// If an output is in another folder than the manifest.
    pub fn commit(
        &self,
        mut staged: Outputs,
        outputs: Vec<Output>,
        hashes: &Hashes,
        report: impl Serialize,
    ) -> Result<()> {
        let mut contents = Vec::new();
        for (path, file) in staged.files() {
            let content = Content::of(file).map_err(|e| Error::io(path, e))?;
            contents.push((path.to_owned(), content));
        }
        let by_name = contents.iter().map(|(path, content)| {
            assert_eq!(path.parent(), self.manifest.parent(), "{}", path.display());
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, content.clone())
        });
        let made = Made { configuration: self.configuration.clone(), outputs: by_name.collect() };
        let command = std::env::args().collect();
        let manifest = Manifest::new(command, hashes.of(&self.inputs)?, outputs, report);
        let json = manifest.of_stage(made).to_json();
        staged.add(&self.manifest, |file| file.write_all(json.as_bytes()))?;
        staged.commit()?;
        for (path, content) in contents {
            hashes.learn(&path, content);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stage that reads `in` and has written `out` in a folder.
    fn made(folder: &Path) -> Stage {
        let [input, output] = ["in", "out"].map(|name| folder.join(name));
        std::fs::write(&input, "1").unwrap();
        let stage = Stage {
            manifest: Manifest::<()>::path_for(&output),
            configuration: serde_json::json!({"tolerance": 0.1 + 0.2}),
            inputs: vec![input],
        };
        let mut staged = Outputs::default();
        staged.add(&output, |file| file.write_all(b"made of 1")).unwrap();
        let outputs = vec![Output { path: output, what: "test" }];
        stage.commit(staged, outputs, &Hashes::default(), 2.5).unwrap();
        stage
    }

    #[test]
    fn a_stage_is_finished_while_nothing_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let finished = |stage: &Stage| stage.finished(&Hashes::default());
        let stage = made(folder.path());
        assert!(finished(&stage));
        for (name, text) in [("in", "2"), ("in", "11"), ("out", "made of 2"), ("out", "made")] {
            let stage = made(folder.path());
            std::fs::write(at(name), text).unwrap();
            assert!(!finished(&stage), "{name} is {text}");
        }
        for name in ["in", "out", "out.manifest.json"] {
            let stage = made(folder.path());
            std::fs::remove_file(at(name)).unwrap();
            assert!(!finished(&stage), "no {name}");
        }
        let stage = made(folder.path());
        let other = Stage { configuration: serde_json::json!({"tolerance": 0.3}), ..stage.clone() };
        assert!(!finished(&other));
        let other = Stage { inputs: vec![], ..stage.clone() };
        assert!(!finished(&other));
        let text = std::fs::read_to_string(&stage.manifest).unwrap();
        let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&version), "{text}");
        std::fs::write(&stage.manifest, text.replace(&version, "\"version\": \"0.0.0\"")).unwrap();
        assert!(!finished(&stage));
    }

    #[test]
    fn a_file_is_hashed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "1").unwrap();
        let hashes = Hashes::default();
        let first = hashes.of(std::slice::from_ref(&path)).unwrap().remove(0).content;
        std::fs::write(&path, "2").unwrap();
        let again = hashes.of(&[folder.path().join("./a")]).unwrap().remove(0).content;
        assert_eq!(first, again);
        let second = Content::of(&b"2"[..]).unwrap();
        hashes.learn(&path, second.clone());
        assert_eq!(hashes.of(&[path]).unwrap()[0].content, second);
    }
}
