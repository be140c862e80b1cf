//! The run manifest: what went in, what was done, what came out.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::stage::Made;
use crate::{Error, Result};

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub(super) size_bytes: u64,
    blake3: String,
}

impl Content {
    /// From what is left of a file to read.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(file: impl io::Read) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file)?;
        let blake3 = hasher.finalize().to_hex().to_string();
        Ok(Self { size_bytes: hasher.count(), blake3 })
    }
}

/// A file read.
#[derive(Clone, Debug, Serialize)]
pub struct Input {
    pub(super) path: PathBuf,
    #[serde(flatten)]
    pub(super) content: Content,
}

impl Input {
    pub(super) fn hashed(path: &Path) -> Result<Self> {
        let content = File::open(path).and_then(Content::of).map_err(|e| Error::io(path, e))?;
        Ok(Self { path: path.to_owned(), content })
    }
}

/// Hashes files, one after the other on the thread that asks for it.
///
/// # Errors
/// If one can not, or no longer, be read.
pub fn hash_inputs(inputs: &[PathBuf]) -> Result<Vec<Input>> {
    inputs.iter().map(|path| Input::hashed(path)).collect()
}

/// A file written.
#[derive(Clone, Debug, Serialize)]
pub struct Output {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds, in a word.
    pub what: &'static str,
}

/// Everything needed to repeat a run and to trust its output; written beside it.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest<R> {
    program: &'static str,
    version: &'static str,
    command: Vec<String>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Made>,
    report: R,
}

impl<R: Serialize> Manifest<R> {
    /// From what [`hash_inputs`] found.
    pub fn new(command: Vec<String>, inputs: Vec<Input>, outputs: Vec<Output>, report: R) -> Self {
        Self {
            program: "flowrake",
            version: env!("CARGO_PKG_VERSION"),
            command,
            inputs,
            outputs,
            stage: None,
            report,
        }
    }

    /// Of a stage of a run that may be taken up again.
    pub(super) fn of_stage(self, made: Made) -> Self {
        Self { stage: Some(made), ..self }
    }

    /// Where the manifest of an output goes: its name with `.manifest.json` added.
    pub fn path_for(output: &Path) -> PathBuf {
        let mut name = output.as_os_str().to_owned();
        name.push(".manifest.json");
        name.into()
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_hashed_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for length in [0, 1, 1 << 16, 300_007] {
            let bytes: Vec<u8> = (0..length).map(|k| (k % 251) as u8).collect();
            std::fs::write(file.path(), &bytes).unwrap();
            let input = Input::hashed(file.path()).unwrap();
            assert_eq!(input.content.size_bytes, length);
            assert_eq!(
                input.content.blake3,
                blake3::hash(&bytes).to_hex().as_str(),
                "{length} bytes"
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let missing = Input::hashed(&folder.path().join("none")).unwrap_err();
        assert!(matches!(missing, Error::Io { .. }), "{missing}");
    }
}
