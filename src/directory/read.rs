//! One complete look at the folder: every YAML file below it, or the reason why there was none.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes: the API server takes no larger object either, and a file has several.
const MAX_FILE: u64 = 4 << 20;
/// The most files that are read.
const MAX_FILES: usize = 10_000;
/// How deep folders may lie in folders; ends a loop of links too.
const MAX_DEPTH: usize = 16;

/// Text by path below the folder. Two looks are the same exactly when nothing changed.
pub type Files = BTreeMap<PathBuf, String>;

/// The folder could not be read completely, which says nothing about what is in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to read {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("failed to read {}: a device, a socket or a pipe", path.display())]
    NoFile { path: PathBuf },
    #[error("failed to read {}: larger than 4 MiB", path.display())]
    TooLarge { path: PathBuf },
    #[error("failed to read {}: more than 10000 files", path.display())]
    TooMany { path: PathBuf },
    #[error("failed to read {}: folders lie deeper than 16 levels", path.display())]
    TooDeep { path: PathBuf },
}

/// Reads all of it. Names that begin with a dot are left out, as those of a mounted ConfigMap and of editors.
pub fn read(folder: &Path) -> Result<Files, Error> {
    let mut files = Files::new();
    enter(folder, folder, 0, &mut files)?;
    Ok(files)
}

fn enter(root: &Path, folder: &Path, depth: usize, files: &mut Files) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep { path: folder.to_owned() });
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        // a link is followed: a mounted ConfigMap is nothing but links
        let metadata = std::fs::metadata(&path).map_err(failed(&path))?;
        if metadata.is_dir() {
            enter(root, &path, depth + 1, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            if !metadata.is_file() {
                return Err(Error::NoFile { path });
            }
            let text = text(&path)?;
            let name = path.strip_prefix(root).unwrap_or(&path).to_owned();
            files.insert(name, text);
            if files.len() > MAX_FILES {
                return Err(Error::TooMany { path: root.to_owned() });
            }
        }
    }
    Ok(())
}

/// What is not UTF-8 is no YAML; it is shown as such and not as a folder that cannot be read.
fn text(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::TooLarge { path: path.to_owned() });
    }
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_files_are_found_at_any_depth_and_hidden_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::create_dir_all(dir.path().join("..data")).unwrap();
        for (name, text) in
            [("a/b/x.yaml", "1"), ("y.yaml", "2"), ("z.yml", "3"), (".h.yaml", "4"), ("..data/w.yaml", "5")]
        {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        std::os::unix::fs::symlink("..data/w.yaml", dir.path().join("w.yaml")).unwrap();
        let files = read(dir.path()).unwrap();
        let found: Vec<_> = files.iter().map(|(path, text)| (path.to_str().unwrap(), text.as_str())).collect();
        assert_eq!(found, [("a/b/x.yaml", "1"), ("w.yaml", "5"), ("y.yaml", "2")]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_never_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(&dir.path().join("absent")).is_err());
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling.yaml")).unwrap();
        assert!(read(dir.path()).is_err());
        std::fs::remove_file(dir.path().join("dangling.yaml")).unwrap();
        std::os::unix::fs::symlink(".", dir.path().join("loop")).unwrap();
        assert!(matches!(read(dir.path()), Err(Error::TooDeep { .. } | Error::Io { .. })));
        std::fs::remove_file(dir.path().join("loop")).unwrap();
        std::fs::write(dir.path().join("big.yaml"), vec![b'#'; MAX_FILE as usize + 1]).unwrap();
        assert!(matches!(read(dir.path()), Err(Error::TooLarge { .. })));
    }
}
