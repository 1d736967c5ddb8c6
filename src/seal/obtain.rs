//! The order in which the master key is found or, once in a database's life, made.

use super::{Error, MasterKey};
use crate::domain::{Entropy, KeyHome};

/// The key, and whether its fingerprint is still to be stored.
#[derive(Debug)]
pub struct Obtained {
    pub key: MasterKey,
    /// The database had no fingerprint: store this one, in the transaction that holds the migration lock.
    pub new_fingerprint: Option<String>,
}

/// Finds the key that the database's fingerprint names; with no fingerprint takes or makes the one in `home`.
///
/// Where there is no `fingerprint`, the caller has read that under the migration lock, holds it, and stores the new one
/// under it, so that of two processes that start on an empty database one makes the key and the other finds it. A key is
/// never made because a read failed, nor when the database already names one.
pub async fn obtain(home: &dyn KeyHome, fingerprint: Option<&str>, entropy: &dyn Entropy) -> Result<Obtained, Error> {
    let place = home.place();
    let found = home.read().await?;
    if let Some(expected) = fingerprint {
        let text = found.ok_or_else(|| Error::Missing { place: place.clone() })?;
        let key = MasterKey::parse(&text, &place)?;
        if key.fingerprint() != expected {
            return Err(Error::Other { place });
        }
        return Ok(Obtained { key, new_fingerprint: None });
    }
    let text = match found {
        Some(text) => text,
        None => {
            home.create(&MasterKey::generate(entropy)?.text()).await?;
            // read back: what counts is what lies there, also when someone else was first
            home.read().await?.ok_or_else(|| Error::Lost { place: place.clone() })?
        }
    };
    let key = MasterKey::parse(&text, &place)?;
    let new_fingerprint = Some(key.fingerprint());
    Ok(Obtained { key, new_fingerprint })
}
