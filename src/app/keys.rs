//! The master key: found, or made once, under the migration lock.

use std::sync::Arc;

use super::Error;
use crate::domain::{Actor, Entropy, KeyHome};
use crate::seal::{Sealer, obtain};
use crate::store::Store;

/// The sealer under the key that the database names; the first start names it.
pub async fn sealer(store: &Store, home: &dyn KeyHome, entropy: Arc<dyn Entropy>) -> Result<Sealer, Error> {
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
