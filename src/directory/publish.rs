//! Publishing a generated secret: make it, write it, read it back, and only then is it the current one.

use std::io;
use std::path::Path;

use crate::crd::secret::{SecretKeys, SecretSource};
use crate::domain::{Desired, SecretHash, SecretText};
use crate::manifest::Object;
use crate::provision::{self, Held, Provisioner, SecretState, SecretStep};

use super::secret_file::SecretFolder;

/// Steps after which something else writes the file at the same time.
const STEPS: usize = 6;

/// Where a generated secret of an object belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub folder: SecretFolder,
    pub keys: SecretKeys,
}

/// Why the secret could not be published; the live one stays live.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to write the secret below {place}")]
    File { place: String, source: io::Error },
    #[error("failed to keep the secret below {place}: something else writes there")]
    Contended { place: String },
    #[error(transparent)]
    Provision(#[from] provision::Error),
}

impl Place {
    /// Where the object's generated secret goes; `None` when it has none.
    pub fn of(object: &Object, root: &Path) -> Option<Self> {
        let (name, keys) = named(object)?;
        let folder = SecretFolder::new(root, object.namespace(), &name)?;
        Some(Self { folder, keys })
    }

    /// What the secret file holds now; `None` when it holds nothing or cannot be read.
    pub fn hash(&self) -> Option<SecretHash> {
        self.folder.read(&self.keys.client_secret).ok().flatten().map(|text| text.hash())
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::File { place: self.folder.path().display().to_string(), source }
    }

    fn held(&self) -> Result<Held, Error> {
        let held = self.folder.read(&self.keys.client_secret).map_err(|source| self.failed(source))?;
        Ok(held.map_or(Held::Absent, Held::Value))
    }

    /// The secret comes last: who sees it sees what belongs to it.
    fn write(&self, id: &str, issuer: &str, secret: &SecretText) -> Result<(), Error> {
        self.accompany(id, issuer)?;
        self.folder.write(&self.keys.client_secret, secret.expose()).map_err(|source| self.failed(source))
    }

    /// What lies beside the secret; written only when it is not there as it should be.
    fn accompany(&self, id: &str, issuer: &str) -> Result<(), Error> {
        for (key, value) in [(&self.keys.client_id, id), (&self.keys.issuer, issuer)] {
            let held = self.folder.read(key).map_err(|source| self.failed(source))?;
            if held.is_none_or(|held| held.expose() != value) {
                self.folder.write(key, value).map_err(|source| self.failed(source))?;
            }
        }
        Ok(())
    }

    /// What was written for an object that is gone.
    pub fn remove(&self) -> Result<(), Error> {
        let keys = [self.keys.client_id.as_str(), &self.keys.issuer, &self.keys.client_secret];
        self.folder.remove(&keys).map_err(|source| self.failed(source))
    }
}

/// Name and keys of the generated Secret that the object asks for.
pub fn named(object: &Object) -> Option<(String, SecretKeys)> {
    match object {
        Object::OAuthClient(client) => {
            let secret = client.spec.authentication.secret.as_ref()?;
            (secret.source == SecretSource::Generated).then(|| (secret.name.clone(), secret.keys.clone()))
        }
        Object::ResourceServer(server) => {
            let introspection = server.spec.introspection.as_ref()?;
            Some((introspection.secret.name.clone(), SecretKeys::default()))
        }
        Object::Provider(_) => None,
    }
}

/// Brings the file and the database together, in steps of which each may be the last one before a crash.
pub async fn publish(
    provisioner: &Provisioner,
    desired: &Desired,
    entity_id: &str,
    place: &Place,
    issuer: &str,
) -> Result<SecretState, Error> {
    for _ in 0..STEPS {
        match provisioner.settle_secret(desired, entity_id, place.held()?).await? {
            SecretStep::Settled(state) => {
                if state.current.is_some() {
                    place.accompany(entity_id, issuer)?;
                }
                return Ok(state);
            }
            SecretStep::Write(secret) => place.write(entity_id, issuer, &secret)?,
        }
    }
    Err(Error::Contended { place: place.folder.path().display().to_string() })
}
