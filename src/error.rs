//! What can go wrong with input, files and requests.

use std::path::{Path, PathBuf};

/// Result of everything that reads input.
pub type Result<T> = std::result::Result<T, Error>;

/// Bad input. Broken contracts between our own modules panic instead.
///
/// Every message says where, what was expected and what was found, and ends without a full stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read, written or renamed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file's content is not what it should be.
    #[error("{}{place}: {problem}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// Where in the file, ready to follow its name: `:12: column target`, `: member data.npy`, or empty.
        place: String,
        /// What was expected and what was found.
        problem: String,
    },
    /// A graphics device is missing, unfit, lost or misused.
    #[error("{0}")]
    Device(String),
    /// A graphics device has too little memory left; it can still be used.
    #[error("{0}")]
    OutOfDeviceMemory(String),
    /// The parts of a request do not fit together.
    #[error("{0}")]
    Request(String),
}

impl Error {
    /// An operating-system error on `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// Bad content of `path`; `place` follows the name directly (`:12: column flow`, `: member data.npy`).
    pub fn data(
        path: impl AsRef<Path>,
        place: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self::Data { path: path.as_ref().to_owned(), place: place.into(), problem: problem.into() }
    }

    /// A device that cannot do what was asked; `problem` says which, and what to do.
    pub fn device(problem: impl Into<String>) -> Self {
        Self::Device(problem.into())
    }

    /// Whether a graphics device is the cause, and not the input.
    pub fn is_device(&self) -> bool {
        matches!(self, Self::Device(_) | Self::OutOfDeviceMemory(_))
    }

    /// Parts of a request that do not fit together.
    pub fn request(problem: impl Into<String>) -> Self {
        Self::Request(problem.into())
    }
}
