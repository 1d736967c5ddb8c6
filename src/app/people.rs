//! The room of people, as the configuration has it, and the look at all sessions that each server takes.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::system::{SystemClock, SystemEntropy};
use crate::config::Settings;
use crate::config::sessions;
use crate::domain::{Observer, chain};
use crate::identity::{Fingerprint, Identity, Parts, Rules};
use crate::store::Store;

/// How often sessions that nobody uses are ended and counted.
const SWEEP: Duration = Duration::from_secs(15);

/// The room of a server, which counts sessions.
pub fn room(settings: &Settings, store: &Store, observer: Arc<dyn Observer>) -> Result<Identity, Error> {
    make(settings, store, Some(observer))
}

/// The room of a command beside a server, which counts what was done here.
pub fn beside(settings: &Settings, store: &Store) -> Result<Identity, Error> {
    make(settings, store, None)
}

fn make(settings: &Settings, store: &Store, observer: Option<Arc<dyn Observer>>) -> Result<Identity, Error> {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    Ok(Identity::new(Parts { store: store.clone(), clock, entropy, observer, rules: rules(settings) })?)
}

fn rules(settings: &Settings) -> Rules {
    let (login, sessions) = (&settings.config.login, &settings.config.sessions);
    // the configuration is validated: each fits
    let signed = |duration: Duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    Rules {
        hashing: login.hashing,
        max_waiting: login.max_waiting,
        min_password_length: login.min_password_length,
        failure_window: signed(login.failure_window),
        failures_per_pair: login.failures_per_address_and_network,
        failures_per_source: login.failures_per_network,
        failures_per_identity: login.failures_per_address,
        idle: signed(sessions.idle_timeout),
        absolute: signed(sessions.absolute_timeout),
        fingerprint: match sessions.fingerprint {
            sessions::Fingerprint::Browser => Fingerprint::Browser,
            sessions::Fingerprint::BrowserAndNetwork => Fingerprint::BrowserAndNetwork,
            sessions::Fingerprint::None => Fingerprint::None,
        },
    }
}

/// Ends sessions that are past their time, also those that nobody asks for any more; once more at the end, so that what
/// was refused until then is in the audit.
pub async fn sweep(identity: Identity, stop: CancellationToken) {
    loop {
        let last = stop.is_cancelled();
        match identity.sweep().await {
            Ok(swept) => {
                for (reason, sessions) in swept {
                    tracing::info!(event = "session_ended", what = reason.as_str(), outcome = "success", sessions);
                }
            }
            Err(error) => tracing::warn!(event = "database_error", error = chain(&error), pool = "server"),
        }
        if last {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
}
