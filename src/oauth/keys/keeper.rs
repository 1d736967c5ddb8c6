//! Where private halves come from: the database, a folder, a Transit engine.

use aws_lc_rs::rsa;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::folder::{FileKey, Folder};
use super::ring::{Half, Private};
use crate::domain::resource_server::SigningAlgorithm;
use crate::domain::signing_key::{KeyLife, KeyState, KeyStore};
use crate::oauth::error::Error;
use crate::oauth::public_key::PublicKey;
use crate::oauth::signer::{KeyError, Signer, generate};
use crate::outbound::{Transit, TransitVersion};
use crate::seal::Sealer;
use crate::store::SigningKey;

/// What private halves are kept in.
pub(super) struct Keeper {
    pub sealer: Sealer,
    pub folder: Option<Folder>,
    pub engine: Option<(Transit, String)>,
}

/// A key that was made or found, with the row that it gets.
pub(super) struct Made {
    pub public: PublicKey,
    pub sealed: Vec<u8>,
    pub reference: String,
    pub store: KeyStore,
}

/// What takes its time about a new key.
pub(super) enum Draft {
    Made(Box<Made>),
    /// Of a folder, which replicas may share: it is finished by one of them at a time.
    File(SigningAlgorithm, Zeroizing<Vec<u8>>),
}

impl Made {
    pub fn row(&self, state: KeyState, (now, activate_at): (Timestamp, Timestamp)) -> SigningKey {
        SigningKey {
            life: KeyLife {
                kid: self.public.kid.clone(),
                algorithm: self.public.algorithm,
                state,
                store: self.store,
                activate_at,
                retire_at: None,
            },
            public_jwk: self.public.jwk.to_string(),
            sealed_private: self.sealed.clone(),
            reference: self.reference.clone(),
            created_at: now,
        }
    }
}

impl Keeper {
    /// The files of the folder; empty where there is none.
    pub async fn files(&self) -> Result<Vec<FileKey>, Error> {
        match &self.folder {
            Some(folder) => Ok(folder.read()?),
            None => Ok(Vec::new()),
        }
    }

    /// Both halves of a key that is published. A private half of the database that cannot be read is an error; one that
    /// another store does not have at present is missing, and its public half is there all the same.
    pub fn open(&self, key: &SigningKey, files: &mut Vec<FileKey>) -> Result<Half, Error> {
        let algorithm = key.life.algorithm;
        let jwk: Value = serde_json::from_str(&key.public_jwk).map_err(|_| KeyError::Parse)?;
        let public = PublicKey::parse(algorithm, &jwk)?;
        let private = match key.life.store {
            KeyStore::Database => {
                let sealed = self.sealer.open(&key.sealed_private, &context(&key.life.kid));
                let pkcs8 = sealed.map_err(|source| Error::Seal { algorithm, source })?;
                Private::Here(Signer::parse(algorithm, &pkcs8)?)
            }
            KeyStore::File => match files.iter().position(|file| file.public.kid == key.life.kid) {
                Some(found) => Private::Here(files.swap_remove(found).signer),
                None => Private::Nowhere,
            },
            KeyStore::Vault => match (&self.engine, version_of(&key.reference)) {
                (Some((engine, _)), Some((name, version))) => {
                    Private::Transit { engine: engine.clone(), name: name.to_owned(), version }
                }
                _ => Private::Nowhere,
            },
        };
        let matches = match &private {
            Private::Here(signer) => PublicKey::parse(algorithm, &signer.jwk()?)?.kid == key.life.kid,
            Private::Transit { .. } | Private::Nowhere => true,
        };
        if !matches || public.kid != key.life.kid {
            return Err(Error::OtherKey { kid: key.life.kid.clone() });
        }
        Ok(Half { public, private })
    }

    /// A new key, or one that lies in the store and that no row of `known` tells of.
    pub async fn make(
        &self,
        algorithm: SigningAlgorithm,
        store: KeyStore,
        known: &[SigningKey],
    ) -> Result<Made, Error> {
        self.finish(self.draft(algorithm, store, known).await?, known)
    }

    /// The same in two steps, of which this one takes its time and leaves no trace but in an engine, which makes a key
    /// once whoever asks.
    pub async fn draft(
        &self,
        algorithm: SigningAlgorithm,
        store: KeyStore,
        known: &[SigningKey],
    ) -> Result<Draft, Error> {
        let is_new = |public: &PublicKey| known.iter().all(|key| key.life.kid != public.kid);
        Ok(Draft::Made(Box::new(match store {
            KeyStore::Database => self.seal(algorithm)?,
            KeyStore::File => return Ok(Draft::File(algorithm, generate(algorithm)?)),
            KeyStore::Vault => {
                let (engine, prefix) = self.engine.as_ref().ok_or(Error::NoStore(store.as_str()))?;
                let name = format!("{prefix}-{}", algorithm.as_str().to_ascii_lowercase());
                let failed = |source| Error::Engine(Some(source));
                let mut version = engine.latest(&name, algorithm).await.map_err(failed)?;
                if let Some(latest) = &version
                    && !is_new(&public(algorithm, latest)?)
                {
                    engine.rotate(&name).await.map_err(failed)?;
                    version = None;
                } else if version.is_none() {
                    engine.create(&name, algorithm).await.map_err(failed)?;
                }
                if version.is_none() {
                    version = engine.latest(&name, algorithm).await.map_err(failed)?;
                }
                let version = version.ok_or(Error::Engine(None))?;
                let reference = format!("{name}:{}", version.number);
                Made { public: public(algorithm, &version)?, sealed: Vec::new(), reference, store }
            }
        })))
    }

    /// The second step, which is quick.
    pub fn finish(&self, draft: Draft, known: &[SigningKey]) -> Result<Made, Error> {
        let (algorithm, pkcs8) = match draft {
            Draft::Made(made) => return Ok(*made),
            Draft::File(algorithm, pkcs8) => (algorithm, pkcs8),
        };
        let store = KeyStore::File;
        let folder = self.folder.as_ref().ok_or(Error::NoStore(store.as_str()))?;
        let is_new = |public: &PublicKey| known.iter().all(|key| key.life.kid != public.kid);
        let found = folder.read()?.into_iter();
        let found = found.filter(|file| file.public.algorithm == algorithm).find(|file| is_new(&file.public));
        let file = found.map_or_else(|| folder.create(algorithm, &pkcs8), Ok)?;
        Ok(Made { public: file.public, sealed: Vec::new(), reference: file.name, store })
    }

    fn seal(&self, algorithm: SigningAlgorithm) -> Result<Made, Error> {
        let pkcs8 = generate(algorithm)?;
        let public = PublicKey::parse(algorithm, &Signer::parse(algorithm, &pkcs8)?.jwk()?)?;
        let sealed = self.sealer.seal(&pkcs8, &context(&public.kid));
        let sealed = sealed.map_err(|source| Error::Seal { algorithm, source })?;
        Ok(Made { public, sealed, reference: String::new(), store: KeyStore::Database })
    }
}

fn context(kid: &str) -> String {
    format!("signing-key:{kid}")
}

/// `name:version`
fn version_of(reference: &str) -> Option<(&str, u64)> {
    let (name, version) = reference.rsplit_once(':')?;
    Some((name, version.parse().ok()?))
}

/// Before the point of a P-256 key in a SubjectPublicKeyInfo (RFC 5480 §2).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What the engine shows of a key, as a JWK.
fn public(algorithm: SigningAlgorithm, version: &TransitVersion) -> Result<PublicKey, Error> {
    let jwk = jwk(algorithm, &version.public_key).ok_or(KeyError::Parse)?;
    Ok(PublicKey::parse(algorithm, &jwk)?)
}

fn jwk(algorithm: SigningAlgorithm, shown: &str) -> Option<Value> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let body: String = shown.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let der = STANDARD.decode(body).ok()?;
    Some(match algorithm {
        SigningAlgorithm::ES256 => {
            let (x, y) = der.strip_prefix(&P256)?.strip_prefix(&[4])?.split_at_checked(32)?;
            json!({"crv": "P-256", "kty": "EC", "x": text(x), "y": text(y)})
        }
        SigningAlgorithm::EdDSA => json!({"crv": "Ed25519", "kty": "OKP", "x": text(&der)}),
        SigningAlgorithm::RS256 => {
            let key = rsa::PublicKey::from_der(&der).ok()?;
            let (n, e) = (key.modulus(), key.exponent());
            let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
            json!({"kty": "RSA", "n": text(n), "e": text(e)})
        }
    })
}
