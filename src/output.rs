//! Output files: written whole under a temporary name, then renamed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes a file so that its name never shows a partial one: the content goes to a temporary file
/// in the same folder, is flushed to the disk, and takes the name when complete.
///
/// An older file of that name keeps its permissions, and stays as it was when anything fails;
/// nothing else is left behind. A symbolic link keeps pointing to the file it points to.
///
/// # Errors
/// When the folder cannot be written, the disk is full, `path` is no regular file, or
/// `write_content` fails.
pub fn write_atomically(
    path: &Path,
    write_content: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let older = fs::metadata(&target).ok();
    if older.as_ref().is_some_and(|older| !older.is_file()) {
        // Renaming would replace the folder or device itself.
        return Err(Error::data(path, "", "expected a file to write, found a folder or a device"));
    }
    replace(&target, older.map(|older| older.permissions()), write_content)
        .map_err(|source| Error::io(path, source))
}

fn replace(
    target: &Path,
    permissions: Option<fs::Permissions>,
    write_content: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".flowrake-").suffix(".part");
    // A temporary file is private by default; an output is as readable as any new file, which
    // the creation mask then restricts.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder(target))?;
    write_content(file.as_file_mut())?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    // Network disks report a full quota here at the latest.
    file.as_file().sync_all()?;
    file.persist(target).map_err(|e| e.error)?;
    Ok(())
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_failed_write_keeps_the_older_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        write_atomically(&path, |f| f.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |f| {
            f.write_all(b"new")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(error.unwrap_err().to_string().starts_with(path.to_str().unwrap()));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["out.csv"]);
    }

    #[cfg(unix)]
    #[test]
    fn outputs_are_as_readable_as_other_files() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write_atomically(&ours, |f| f.write_all(b"1")).unwrap();
        fs::write(&plain, b"1").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
        fs::set_permissions(&ours, PermissionsExt::from_mode(0o640)).unwrap();
        write_atomically(&ours, |f| f.write_all(b"2")).unwrap();
        assert_eq!(mode(&ours) & 0o777, 0o640);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_folders_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_atomically(&link, |f| f.write_all(b"new")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        let error = write_atomically(folder.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(error.ends_with("expected a file to write, found a folder or a device"), "{error}");
    }
}
