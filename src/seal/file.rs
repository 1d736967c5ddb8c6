//! A master key in a file: made once with mode 0600, never overwritten.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use futures::future::BoxFuture;

use crate::domain::{KeyHome, KeyHomeError, SecretText};

/// The file and the folder that is made for it, mode 0700, where it is missing.
#[derive(Debug, Clone)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn failed(&self, doing: &'static str, source: std::io::Error) -> KeyHomeError {
        KeyHomeError { doing, place: self.place(), source: Box::new(source) }
    }

    fn read_now(&self) -> std::io::Result<Option<SecretText>> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => Ok(Some(SecretText::new(text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Written whole under another name and linked into place, so that a crash leaves no half of a key.
    fn create_now(&self, key: &SecretText) -> std::io::Result<()> {
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut name = self.0.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let draft = folder.join(name);
        // one of a crash: in a container every process has the same id
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let written = writeln!(file, "{}", key.expose()).and_then(|()| file.sync_all());
        // a hard link fails where a file is: whoever was first keeps the place
        let linked = written.and_then(|()| match std::fs::hard_link(&draft, &self.0) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
        std::fs::remove_file(&draft)?;
        linked?;
        std::fs::File::open(folder)?.sync_all()
    }
}

impl KeyHome for KeyFile {
    fn read(&self) -> BoxFuture<'_, Result<Option<SecretText>, KeyHomeError>> {
        Box::pin(async { self.read_now().map_err(|source| self.failed("read", source)) })
    }

    fn create<'a>(&'a self, key: &'a SecretText) -> BoxFuture<'a, Result<(), KeyHomeError>> {
        Box::pin(async { self.create_now(key).map_err(|source| self.failed("create", source)) })
    }

    fn place(&self) -> String {
        format!("the file {}", self.0.display())
    }
}
