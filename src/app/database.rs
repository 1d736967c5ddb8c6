//! The database: opened, brought to this version, and found to be this installation's.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::Error;
use super::system::{SystemClock, SystemEntropy};
use crate::config::Settings;
use crate::domain::observer::Unobserved;
use crate::domain::{Actor, Observer};
use crate::provision::{self, Provisioner};
use crate::store::{Options, Store};

/// What is stored as the cluster where there is none.
pub const NO_CLUSTER: &str = "none";

/// Opens the database for one command beside a server that may be running, and brings it to this version.
pub async fn beside(settings: &Settings) -> Result<(Store, usize), Error> {
    let store = open(settings, false, Arc::new(Unobserved)).await?;
    let applied = store.migrate().await?;
    Ok((store, applied))
}

/// Opens the database to serve it: the only process that does so on a SQLite file.
pub async fn to_serve(settings: &Settings, cluster: &str, observer: Arc<dyn Observer>) -> Result<Store, Error> {
    let store = open(settings, true, observer).await?;
    let applied = store.migrate().await?;
    if applied > 0 {
        tracing::info!(event = "database_migrated", applied);
    }
    store.bind(&settings.config.installation, cluster).await?;
    Ok(store)
}

/// What holds the database to policy, for one command beside a server that may be running. It does not lead.
pub async fn provisioner_beside(settings: &Settings) -> Result<Provisioner, Error> {
    let (store, _) = beside(settings).await?;
    Ok(Provisioner::new(provision::Parts {
        store,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        observer: Arc::new(Unobserved),
        leadership: watch::channel(None).1,
        actor: Actor::recorded("cli"),
        brake: settings.config.operator.brake.limits(),
    }))
}

async fn open(settings: &Settings, exclusive: bool, observer: Arc<dyn Observer>) -> Result<Store, Error> {
    if let Some(dir) = settings.data_dir.as_deref().filter(|_| uses_data_dir(settings)) {
        make_private(dir)?;
    }
    let options = Options {
        url: settings.database_url.expose().to_owned(),
        wait: settings.config.database.wait,
        exclusive,
        max_waiting: settings.config.tokens.max_waiting,
    };
    Ok(Store::open(&options, observer).await?)
}

fn uses_data_dir(settings: &Settings) -> bool {
    settings.config.database.url.is_none()
}

/// Where the database and the key lie by default is nobody else's to look into.
fn make_private(dir: &Path) -> Result<(), Error> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| Error::DataDir { path: dir.to_owned(), source })
}
