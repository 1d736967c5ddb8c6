//! Generated secrets as files: 0600 in 0700, written whole by rename, and no link is ever followed.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::domain::SecretText;

/// The folder of one Secret: `<secrets>/<namespace>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFolder {
    root: PathBuf,
    namespace: String,
    name: String,
}

/// No name of a Kubernetes object or key is longer; no value that is ours is larger.
const MAX_VALUE: u64 = 64 << 10;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl SecretFolder {
    /// `None` when a name could lead out of `root`.
    pub fn new(root: &Path, namespace: &str, name: &str) -> Option<Self> {
        let good = is_plain(namespace) && is_plain(name);
        good.then(|| Self { root: root.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() })
    }

    pub fn path(&self) -> PathBuf {
        self.root.join(&self.namespace).join(&self.name)
    }

    /// What the key holds; `None` when it is certain that there is nothing.
    pub fn read(&self, key: &str) -> io::Result<Option<SecretText>> {
        let Some(folder) = absent(self.open(false))? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, plain(key)?, flags, Mode::empty()).map_err(io::Error::from);
        let Some(file) = absent(file)? else { return Ok(None) };
        let file = File::from(file);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{key} is not a file")));
        }
        let mut text = String::new();
        file.take(MAX_VALUE).read_to_string(&mut text)?;
        Ok(Some(SecretText::new(text.trim_end_matches('\n'))))
    }

    /// Puts the value under its key, at once and whole.
    pub fn write(&self, key: &str, value: &str) -> io::Result<()> {
        let folder = self.open(true)?;
        let (key, draft) = (plain(key)?, format!(".{key}.new"));
        absent(rustix::fs::unlinkat(&folder, &draft, AtFlags::empty()).map_err(io::Error::from))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, &draft, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        file.write_all(value.as_bytes())?;
        file.sync_all()?;
        rustix::fs::renameat(&folder, &draft, &folder, key)?;
        Ok(rustix::fs::fsync(&folder)?)
    }

    /// Takes the keys away, and the folder when nothing else is in it.
    pub fn remove(&self, keys: &[&str]) -> io::Result<()> {
        let Some(folder) = absent(self.open(false))? else { return Ok(()) };
        for key in keys {
            absent(rustix::fs::unlinkat(&folder, plain(key)?, AtFlags::empty()).map_err(io::Error::from))?;
        }
        match std::fs::remove_dir(self.path()) {
            Err(error) if !matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound) => Err(error),
            _ => Ok(()),
        }
    }

    fn open(&self, create: bool) -> io::Result<OwnedFd> {
        if create {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root)?;
        }
        let mut folder = rustix::fs::open(&self.root, FOLDER, Mode::empty())?;
        for name in [&self.namespace, &self.name] {
            if create {
                match rustix::fs::mkdirat(&folder, name, Mode::RWXU) {
                    Err(error) if error != rustix::io::Errno::EXIST => return Err(error.into()),
                    _ => {}
                }
            }
            folder = rustix::fs::openat(&folder, name, FOLDER, Mode::empty())?;
        }
        Ok(folder)
    }
}

/// Only names that stay in their folder; the characters that the API server allows, and never hidden.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=253).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
}

fn plain(key: &str) -> io::Result<&str> {
    let refused = || io::Error::new(ErrorKind::InvalidInput, format!("{key:?} cannot be the name of a file here"));
    is_plain(key).then_some(key).ok_or_else(refused)
}

fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_value_is_only_its_owner_s_to_read_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let folder = SecretFolder::new(&dir.path().join("secrets"), "web", "portal").unwrap();
        assert!(folder.read("client_secret").unwrap().is_none());
        folder.write("client_secret", "one").unwrap();
        folder.write("client_secret", "two").unwrap();
        assert_eq!(folder.read("client_secret").unwrap().unwrap().expose(), "two");
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(folder.path().join("client_secret"))), (0o700, 0o600));
        assert_eq!((mode(dir.path().join("secrets")), mode(dir.path().join("secrets/web"))), (0o700, 0o700));
        folder.remove(&["client_secret", "absent"]).unwrap();
        assert!(!folder.path().exists());
        folder.remove(&["client_secret"]).unwrap();
    }

    #[test]
    fn no_link_is_followed_and_no_name_leads_away() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("victim"), "kept").unwrap();
        let root = dir.path().join("secrets");
        std::fs::create_dir_all(root.join("web")).unwrap();
        symlink(&outside, root.join("web/portal")).unwrap();
        let folder = SecretFolder::new(&root, "web", "portal").unwrap();
        assert!(folder.write("victim", "overwritten").is_err() && folder.read("victim").is_err());
        let real = SecretFolder::new(&root, "web", "other").unwrap();
        real.write("key", "x").unwrap();
        symlink(outside.join("victim"), real.path().join("linked")).unwrap();
        assert!(real.read("linked").is_err());
        real.write("linked", "y").unwrap();
        assert_eq!(std::fs::read_to_string(outside.join("victim")).unwrap(), "kept");
        for bad in ["..", ".", "a/b", "", ".hidden"] {
            assert!(SecretFolder::new(&root, bad, "n").is_none() && real.write(bad, "x").is_err(), "{bad}");
        }
    }
}
