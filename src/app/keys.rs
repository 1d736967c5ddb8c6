//! The master key: found, or made once, under the migration lock. And where signing keys are kept.

use std::sync::Arc;

use jiff::SignedDuration;

use super::Error;
use crate::config::Settings;
use crate::config::keys::Store as KeyPlace;
use crate::domain::signing_key::{KeyRotation, KeyStore};
use crate::domain::{Actor, Entropy, KeyHome, chain};
use crate::oauth::KeySettings;
use crate::outbound::{Transit, TransitAuthentication, TransitOptions};
use crate::seal::{Sealer, obtain};
use crate::store::Store;

/// The sealer under the key that the database names; the first start names it.
pub async fn sealer(store: &Store, home: &dyn KeyHome, entropy: Arc<dyn Entropy>) -> Result<Sealer, Error> {
    // from the second start on nothing is written: nobody waits for a home that is slow, and none holds up whoever writes
    let named = store.read().await?.key_fingerprint().await?;
    if named.is_some() {
        let obtained = obtain(home, named.as_deref(), &*entropy).await?;
        return Ok(Sealer::new(&obtained.key, entropy)?);
    }
    let mut tx = store.write(&Actor::recorded("serve")).await?;
    tx.lock_migrations().await?;
    let fingerprint = tx.key_fingerprint().await?;
    let obtained = obtain(home, fingerprint.as_deref(), &*entropy).await?;
    if let Some(fingerprint) = &obtained.new_fingerprint {
        tx.set_key_fingerprint(fingerprint).await?;
        tx.commit().await?;
        tracing::info!(event = "master_key_bound", place = home.place());
    }
    Ok(Sealer::new(&obtained.key, entropy)?)
}

/// Where signing keys are kept, and when they are replaced.
pub fn settings(settings: &Settings) -> Result<KeySettings, Error> {
    let keys = &settings.config.keys;
    let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    let rotation = KeyRotation {
        period: keys.rotation.period.map(signed),
        publish_ahead: signed(keys.rotation.publish_ahead),
        store: match keys.store {
            KeyPlace::Database => KeyStore::Database,
            KeyPlace::File => KeyStore::File,
            KeyPlace::Vault => KeyStore::Vault,
        },
    };
    // a store that was left may hold keys that still sign
    let folder = settings.signing_keys.clone();
    Ok(KeySettings { rotation, folder, engine: engine(settings)? })
}

fn engine(settings: &Settings) -> Result<Option<(Transit, String)>, Error> {
    let vault = &settings.config.keys.vault;
    let Some(address) = vault.address.clone() else { return Ok(None) };
    let unusable = |what: String| Error::Usage(format!("keys.vault: {what}"));
    let authentication = match (&vault.token_file, &vault.kubernetes.role) {
        (Some(path), _) => TransitAuthentication::TokenFile(path.clone()),
        (None, role) => TransitAuthentication::Kubernetes {
            mount: vault.kubernetes.mount.clone(),
            role: role.clone().unwrap_or_default(),
            token_file: vault.kubernetes.token_file.clone(),
        },
    };
    let authorities = match &vault.ca_file {
        Some(path) => {
            std::fs::read(path).map_err(|error| unusable(format!("failed to read {}: {error}", path.display())))?
        }
        None => Vec::new(),
    };
    let transit = Transit::new(TransitOptions {
        address,
        mount: vault.mount.clone(),
        namespace: vault.namespace.clone(),
        authentication,
        authorities,
        timeout: vault.timeout,
    });
    let transit = transit.map_err(|error| unusable(chain(&error)))?;
    Ok(Some((transit, vault.key_prefix.clone())))
}
