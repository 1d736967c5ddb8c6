//! Signing keys as PEM files of a folder (`keys.store: file`): PKCS#8 (RFC 5958), one key a file, its owner's alone.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::domain::resource_server::SigningAlgorithm;
use crate::oauth::public_key::PublicKey;
use crate::oauth::signer::{KeyError, Signer};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// Larger files are no keys.
const LARGEST: u64 = 64 * 1024;

/// Why the folder is of no use. No part of a key is in the message.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("failed to {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} can be read or written by others: chmod 600", path.display())]
    Open { path: PathBuf },
    #[error("{} is not one unencrypted PKCS#8 key for ES256, EdDSA or RS256 (2048 bits or more) in PEM", path.display())]
    NoKey { path: PathBuf },
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A key that lies there.
pub(super) struct FileKey {
    pub name: String,
    pub signer: Signer,
    pub public: PublicKey,
}

/// The folder.
pub(super) struct Folder(pub PathBuf);

impl Folder {
    /// All keys, by name. One file that cannot be read is an error: what is not understood is not passed over.
    pub fn read(&self) -> Result<Vec<FileKey>, FolderError> {
        let failed = |source| FolderError::Io { doing: "read", path: self.0.clone(), source };
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut keys = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str().filter(|name| name.ends_with(".pem") && !name.starts_with('.')) else {
                continue;
            };
            keys.push(self.read_one(name)?);
        }
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(keys)
    }

    fn read_one(&self, name: &str) -> Result<FileKey, FolderError> {
        let path = self.0.join(name);
        let failed = |source| FolderError::Io { doing: "read", path: path.clone(), source };
        let metadata = std::fs::metadata(&path).map_err(failed)?;
        if !is_private(&metadata) {
            return Err(FolderError::Open { path });
        }
        let no_key = || FolderError::NoKey { path: path.clone() };
        if metadata.len() > LARGEST {
            return Err(no_key());
        }
        let text = Zeroizing::new(std::fs::read_to_string(&path).map_err(failed)?);
        let der = pkcs8(&text).ok_or_else(no_key)?;
        for algorithm in SigningAlgorithm::ALL {
            if let Ok(signer) = Signer::parse(algorithm, &der) {
                let public = PublicKey::parse(algorithm, &signer.jwk()?)?;
                return Ok(FileKey { name: name.to_owned(), signer, public });
            }
        }
        Err(no_key())
    }

    /// Puts a key there, whole or not at all, and never over another.
    pub fn create(&self, algorithm: SigningAlgorithm, pkcs8: &[u8]) -> Result<FileKey, FolderError> {
        let signer = Signer::parse(algorithm, pkcs8)?;
        let public = PublicKey::parse(algorithm, &signer.jwk()?)?;
        let name = format!("{}-{}.pem", algorithm.as_str().to_ascii_lowercase(), &public.kid[..16]);
        let path = self.0.join(&name);
        let failed = |source| FolderError::Io { doing: "write", path: path.clone(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(failed)?;
        let draft = self.0.join(format!(".{name}.new"));
        write(&draft, &pem(pkcs8)).and_then(|()| std::fs::rename(&draft, &path)).map_err(failed)?;
        std::fs::File::open(&self.0).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(FileKey { name, signer, public })
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Nobody else's: not even the group's, unless the file was lent to us through it, as a mounted Secret is.
fn is_private(metadata: &std::fs::Metadata) -> bool {
    let mode = metadata.permissions().mode();
    let lent = || std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() != metadata.uid());
    mode & 0o027 == 0 && (mode & 0o040 == 0 || lent())
}

fn pkcs8(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = text.split_once(BEGIN)?;
    let (body, after) = rest.split_once(END)?;
    if after.contains("-----BEGIN") {
        return None;
    }
    let body: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
    STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new)
}

fn pem(der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(format!("{BEGIN}\n"));
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(END);
    text.push('\n');
    text
}
