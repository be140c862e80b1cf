//! Output files: written whole under a temporary name, then renamed.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// Files that appear under their names together, when all of them are complete.
///
/// Each is written to a temporary file in its folder and flushed to the disk; [`commit`] gives them
/// their names. Dropped before that, they leave nothing behind. An older file of a name keeps its
/// permissions, and stays as it was when anything fails; a symbolic link keeps pointing to the file
/// it points to.
///
/// [`commit`]: Outputs::commit
#[derive(Debug, Default)]
pub struct Outputs {
    staged: Vec<Staged>,
}

#[derive(Debug)]
struct Staged {
    /// The name asked for.
    path: PathBuf,
    /// The file behind that name.
    target: PathBuf,
    file: NamedTempFile,
}

impl Outputs {
    /// Writes the content of `path` to a temporary file.
    ///
    /// # Errors
    /// When the folder cannot be written, the disk is full, `path` is no regular file, or
    /// `write_content` fails.
    pub fn add(
        &mut self,
        path: &Path,
        write_content: impl FnOnce(&mut OutputFile) -> io::Result<()>,
    ) -> Result<()> {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let older = fs::metadata(&target).ok();
        if older.as_ref().is_some_and(|older| !older.is_file()) {
            // Renaming would replace the folder or device itself.
            let problem = "expected a file to write, found a folder or a device";
            return Err(Error::data(path, "", problem));
        }
        let file = temporary(&target, older.map(|older| older.permissions()), write_content)
            .map_err(|source| Error::io(path, source))?;
        self.staged.push(Staged { path: path.to_owned(), target, file });
        Ok(())
    }

    /// The files written so far by the names asked for, each at its start.
    ///
    /// # Panics
    /// If one cannot be wound back, which regular files can.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &File)> {
        self.staged.iter().map(|Staged { path, file, .. }| {
            let mut file = file.as_file();
            file.rewind().expect("a regular file");
            (path.as_path(), file)
        })
    }

    /// Gives every file its name.
    ///
    /// # Errors
    /// When a file cannot be renamed; those before it have their names by then.
    pub fn commit(self) -> Result<()> {
        for Staged { path, target, file } in self.staged {
            file.persist(target).map_err(|e| Error::io(path, e.error))?;
        }
        Ok(())
    }
}

/// Writes one file so that its name never shows a partial one; see [`Outputs`].
///
/// # Errors
/// As [`Outputs::add`] and [`Outputs::commit`].
pub fn write_atomically(
    path: &Path,
    write_content: impl FnOnce(&mut OutputFile) -> io::Result<()>,
) -> Result<()> {
    let mut outputs = Outputs::default();
    outputs.add(path, write_content)?;
    outputs.commit()
}

/// Fills a folder under a temporary name and gives it its own when it is complete; the folder must be
/// new or empty.
///
/// # Errors
/// If there is something of that name already, the folder cannot be made, or `fill` fails.
pub fn write_folder<T>(path: &Path, fill: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let error = |e| Error::io(path, e);
    let parent = folder(path);
    fs::create_dir_all(parent).map_err(error)?;
    let exists = fs::symlink_metadata(path).is_ok();
    if exists && !fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) {
        let problem = "expected a new or an empty folder, found another";
        return Err(Error::data(path, "", problem));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".flowrake-").suffix(".part");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let part = builder.tempdir_in(parent).map_err(error)?;
    let filled = fill(part.path())?;
    if exists {
        fs::remove_dir(path).map_err(error)?;
    }
    fs::rename(part.keep(), path).map_err(error)?;
    Ok(filled)
}

fn temporary(
    target: &Path,
    permissions: Option<fs::Permissions>,
    write_content: impl FnOnce(&mut OutputFile) -> io::Result<()>,
) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    let prefix = prefix(target);
    builder.prefix(&prefix).suffix(SUFFIX);
    // A temporary file is private by default; an output is as readable as any new file, which
    // the creation mask then restricts.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder(target))?;
    // As long as this process lives, its file is not abandoned. Some network disks have no locks.
    let _ = file.as_file().lock();
    write_content(&mut OutputFile { file: file.as_file_mut(), position: 0, under_way: 0 })?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    // Network disks report a full quota here at the latest.
    file.as_file().sync_all()?;
    Ok(file)
}

const SUFFIX: &str = ".part";

/// How names of temporary files of a target begin. Its own name may be too long for more.
fn prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().as_encoded_bytes();
    format!(".flowrake-{}-", &blake3::hash(name).to_hex()[..8])
}

/// Removes what killed processes left while they wrote `path`, but not what others are writing: that
/// is locked, or empty if its writer is about to lock it.
///
/// # Errors
/// If the folder cannot be read.
pub fn remove_abandoned(path: &Path) -> Result<()> {
    let (folder, prefix) = (folder(path), prefix(path));
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|n| n.starts_with(&prefix) && n.ends_with(SUFFIX));
        let is_left = |file: File| {
            file.try_lock().is_ok() && file.metadata().is_ok_and(|metadata| metadata.len() > 0)
        };
        if is_ours && File::open(entry.path()).is_ok_and(is_left) {
            // If it has gone meanwhile, so much the better.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Bytes that set out for the disk together.
const WRITEBACK_BYTES: u64 = 16 << 20;

/// A file being written. Its bytes are on their way to the disk while more of them are made, so that
/// little is left to wait for when it is flushed at the end.
#[derive(Debug)]
pub struct OutputFile<'a> {
    file: &'a mut File,
    position: u64,
    /// The bytes before this are on their way.
    under_way: u64,
}

impl Write for OutputFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.position += written as u64;
        if self.position >= self.under_way + WRITEBACK_BYTES {
            start_writeback(self.file, self.under_way..self.position);
            self.under_way = self.position;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for OutputFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.file.seek(to)?;
        Ok(self.position)
    }
}

/// Asks the system to write these bytes of a file to the disk from now on, where it can be asked.
/// It may do so later, or never: only `sync_all` promises anything.
fn start_writeback(file: &File, bytes: Range<u64>) {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        let start = bytes.start.cast_signed();
        let length = (bytes.end - bytes.start).cast_signed();
        // SAFETY: the descriptor is open as long as `file`, and no memory is passed.
        unsafe {
            libc::sync_file_range(file.as_raw_fd(), start, length, libc::SYNC_FILE_RANGE_WRITE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, bytes);
}

/// The folder of a file.
pub fn folder(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The same path for all names of a file, which may not exist yet.
pub fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| match (folder(path).canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

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

    #[test]
    fn files_appear_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let mut outputs = Outputs::default();
        outputs.add(&a, |f| f.write_all(b"1")).unwrap();
        assert!(outputs.add(&b, |_| Err(io::ErrorKind::StorageFull.into())).is_err());
        assert!(!a.exists());
        drop(outputs);
        assert!(names(folder.path()).is_empty());

        let mut outputs = Outputs::default();
        outputs.add(&a, |f| f.write_all(b"1")).unwrap();
        outputs.add(&b, |f| f.write_all(b"2")).unwrap();
        outputs.commit().unwrap();
        assert_eq!((fs::read(a).unwrap(), fs::read(b).unwrap()), (b"1".to_vec(), b"2".to_vec()));
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn a_folder_appears_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let fill = |part: &Path| {
            fs::write(part.join("file"), b"1").unwrap();
            Ok(fs::exists(&path).unwrap())
        };
        let failed: Result<()> = write_folder(&path, |part| {
            fill(part)?;
            Err(Error::request("no"))
        });
        assert!(failed.is_err() && names(&folder.path().join("a")).is_empty());
        fs::create_dir(&path).unwrap();
        assert!(write_folder(&path, fill).unwrap());
        assert_eq!(
            (names(&folder.path().join("a")), names(&path)),
            (vec!["b".into()], vec!["file".into()])
        );
        for taken in [path.clone(), path.join("file")] {
            let error = write_folder(&taken, fill).unwrap_err().to_string();
            assert!(error.ends_with("expected a new or an empty folder, found another"), "{error}");
        }
        assert_eq!(names(&path), ["file"]);
    }

    #[test]
    fn what_nobody_writes_any_more_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut outputs = Outputs::default();
        outputs.add(&at("a"), |f| f.write_all(b"1")).unwrap();
        let prefix = prefix(&at("a"));
        for name in [format!("{prefix}x.part"), format!("{prefix}x.csv"), ".b.part".to_owned()] {
            fs::write(at(&name), b"2").unwrap();
        }
        remove_abandoned(&at("a")).unwrap();
        assert!(!at(&format!("{prefix}x.part")).exists());
        assert_eq!(names(folder.path()).len(), 3);
        outputs.commit().unwrap();
        assert_eq!(fs::read(at("a")).unwrap(), b"1");
        assert_eq!(outputs_of(folder.path(), "b"), b"3");
    }

    /// What a file holds that is read back before it has its name.
    fn outputs_of(folder: &Path, name: &str) -> Vec<u8> {
        let mut outputs = Outputs::default();
        outputs.add(&folder.join(name), |f| f.write_all(b"3")).unwrap();
        let mut bytes = Vec::new();
        for (path, mut file) in outputs.files() {
            assert_eq!(path, folder.join(name));
            file.read_to_end(&mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn bytes_on_their_way_may_still_be_changed() {
        let mut file = tempfile::tempfile().unwrap();
        let mut out = OutputFile { file: &mut file, position: 0, under_way: 0 };
        let chunk = vec![1; WRITEBACK_BYTES as usize - 1];
        for _ in 0..2 {
            out.write_all(&chunk).unwrap();
        }
        assert_eq!(out.under_way, 2 * WRITEBACK_BYTES - 2);
        out.seek(SeekFrom::Start(5)).unwrap();
        out.write_all(&[7]).unwrap();
        out.seek(SeekFrom::End(0)).unwrap();
        out.write_all(&[8]).unwrap();
        assert_eq!(out.position, 2 * WRITEBACK_BYTES - 1);
        file.rewind().unwrap();
        let mut found = Vec::new();
        file.read_to_end(&mut found).unwrap();
        let mut expected = vec![1; 2 * WRITEBACK_BYTES as usize - 1];
        (expected[5], *expected.last_mut().unwrap()) = (7, 8);
        assert!(found == expected, "{} bytes", found.len());
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
