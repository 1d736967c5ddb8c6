//! What runs beside the doors: keys are followed everywhere, and the leader clears away and replaces.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::Notify;

use super::running::Running;
use crate::activity::Activity;
use crate::config::Settings;
use crate::domain::purge::Keep;
use crate::domain::{Clock, Leadership, Observer, chain};
use crate::jobs::{self, Parts, population::Census, purge::Schedule};
use crate::metrics::Metrics;
use crate::oauth::AuthorizationServer;
use crate::provision::Provisioner;
use crate::store::Store;

/// The configuration is validated: each fits.
fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// How long things are kept, by the configuration.
pub fn keep(settings: &Settings) -> Keep {
    let config = &settings.config;
    Keep {
        issuance: signed(config.audit.issuance_retention),
        audit: config.audit.retention.map(signed),
        never_used: SignedDuration::from_hours(config.dcr.unused_hours),
        last_used: SignedDuration::from_hours(24 * config.dcr.idle_days),
        change_log: signed(config.purge.change_log_retention),
        access_log: signed(config.access_log.retention),
        access_log_rows: config.access_log.max_rows,
    }
}

/// Who has a part in them.
pub type Parties<'a> =
    (&'a AuthorizationServer, &'a Provisioner, &'a Store, &'a Activity, &'a Arc<Metrics>, &'a Arc<dyn Clock>);

/// Starts them.
pub fn begin(
    settings: &Settings,
    (server, provisioner, store, activity, metrics, clock): Parties<'_>,
    (leadership, hangup): (Leadership, Arc<Notify>),
    running: &mut Running,
) {
    let (followed, observer) = (server.clone(), Arc::clone(metrics));
    running.background("keys", |stop| async move {
        followed.follow_keys(&*observer as &dyn Observer, stop).await;
    });
    let (refusing, observer) = (server.clone(), Arc::clone(metrics));
    running.background("refusals", |stop| async move {
        refusing.record_refusals(&*observer as &dyn Observer, stop).await;
    });
    let reloaded = server.clone();
    running.background("hangup", |stop| async move {
        while stop.run_until_cancelled(hangup.notified()).await.is_some() {
            match reloaded.reload_keys().await {
                Ok(()) => tracing::info!(event = "keys_reloaded"),
                Err(error) => tracing::warn!(event = "keys_kept", error = chain(&error)),
            }
        }
    });
    let parts = Parts {
        server: server.clone(),
        store: store.clone(),
        activity: activity.clone(),
        provisioner: provisioner.clone(),
        metrics: Arc::clone(metrics),
        clock: Arc::clone(clock),
        purge: Schedule { interval: settings.config.purge.interval, keep: keep(settings) },
        census: Census {
            interval: settings.config.metrics.population_interval,
            idle: signed(settings.config.sessions.idle_timeout),
        },
        scan_interval: settings.config.operator.drift.scan_interval,
    };
    running.background("jobs", |stop| jobs::run(parts, leadership, stop));
}
