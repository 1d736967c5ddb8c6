//! How policy reaches its enforcement points, by resource server: as many series as there are custom resources, up to a
//! limit, beyond which they share the value `other`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

use super::Metrics;
use super::label::{Publication, Refresh};

type Declared = (&'static str, &'static str, &'static [&'static str], &'static str);

pub(super) const VERSION: Declared =
    ("holdfast_policy_version", "gauge", &["resource_server"], "Version of the policy in force; told by the leader");
pub(super) const LAG: Declared = (
    "holdfast_policy_sync_lag_seconds",
    "gauge",
    &["resource_server"],
    "Seconds since the version that the slowest enforcement point lacks came into force; told by the leader",
);
pub(super) const POINTS: Declared = (
    "holdfast_enforcement_points",
    "gauge",
    &["resource_server", "state"],
    "Enforcement points that report, by whether they run the policy in force; told by the leader",
);

/// Whoever has no series of its own: not managed by an object, or one too many.
pub(super) const OTHER: &str = "other";
/// `metrics.max_resource_servers`
pub const DEFAULT_MOST: usize = 200;

/// How one resource server stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Enforced {
    /// Namespace and name; `None` when no object manages it.
    pub resource_server: Option<String>,
    pub version: i64,
    pub reporting: i64,
    pub current: i64,
    pub lag_seconds: f64,
}

pub(super) struct ByResourceServer {
    version: IntGaugeVec,
    lag: GaugeVec,
    points: IntGaugeVec,
    /// Who has series of their own.
    shown: Mutex<BTreeSet<String>>,
    most: AtomicUsize,
}

impl ByResourceServer {
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let options = |(name, _, _, help): Declared| Opts::new(name, help);
        let version = IntGaugeVec::new(options(VERSION), VERSION.2)?;
        let lag = GaugeVec::new(options(LAG), LAG.2)?;
        let points = IntGaugeVec::new(options(POINTS), POINTS.2)?;
        registry.register(Box::new(version.clone()))?;
        registry.register(Box::new(lag.clone()))?;
        registry.register(Box::new(points.clone()))?;
        let all = Self { version, lag, points, shown: Mutex::default(), most: AtomicUsize::new(DEFAULT_MOST) };
        all.set(OTHER, &Enforced { resource_server: None, version: 0, reporting: 0, current: 0, lag_seconds: 0.0 });
        Ok(all)
    }

    /// So many have series of their own.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    fn set(&self, label: &str, enforced: &Enforced) {
        self.version.with_label_values(&[label]).set(enforced.version);
        self.lag.with_label_values(&[label]).set(enforced.lag_seconds);
        self.points.with_label_values(&[label, "current"]).set(enforced.current);
        self.points.with_label_values(&[label, "lagging"]).set(enforced.reporting - enforced.current);
    }

    fn remove(&self, label: &str) {
        // what is not there need not be removed
        drop(self.version.remove_label_values(&[label]));
        drop(self.lag.remove_label_values(&[label]));
        drop(self.points.remove_label_values(&[label, "current"]));
        drop(self.points.remove_label_values(&[label, "lagging"]));
    }
}

impl Metrics {
    /// So many resource servers have series of their own; 0 = none.
    pub fn most_resource_servers(&self, most: usize) {
        self.by_resource_server.most.store(most, Ordering::Relaxed);
    }

    /// How all resource servers stand; whoever is not named is gone.
    pub fn enforcement(&self, all: &[Enforced]) {
        let by = &self.by_resource_server;
        let most = by.most.load(Ordering::Relaxed);
        let mut shown = by.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let named: BTreeSet<&str> = all.iter().filter_map(|enforced| enforced.resource_server.as_deref()).collect();
        for gone in shown.iter().filter(|label| !named.contains(label.as_str())) {
            by.remove(gone);
        }
        shown.retain(|label| named.contains(label.as_str()));
        let mut other = Enforced { resource_server: None, version: 0, reporting: 0, current: 0, lag_seconds: 0.0 };
        for enforced in all {
            match &enforced.resource_server {
                Some(label) if shown.contains(label) || shown.len() < most => {
                    shown.insert(label.clone());
                    by.set(label, enforced);
                }
                _ => {
                    other.version = other.version.max(enforced.version);
                    other.reporting += enforced.reporting;
                    other.current += enforced.current;
                    other.lag_seconds = other.lag_seconds.max(enforced.lag_seconds);
                }
            }
        }
        by.set(OTHER, &other);
    }

    /// Somebody asked for a policy.
    pub fn policy_refreshed(&self, outcome: Refresh) {
        self.policy_refreshes_total.with((outcome,)).inc();
    }

    /// Somebody sent a manifest.
    pub fn manifest_published(&self, outcome: Publication) {
        self.manifests_published_total.with((outcome,)).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enforced(label: Option<&str>, reporting: i64, current: i64) -> Enforced {
        let resource_server = label.map(str::to_owned);
        Enforced { resource_server, version: 7, reporting, current, lag_seconds: (reporting - current) as f64 }
    }

    /// D10: one series for each object, and one for all that are too many.
    #[test]
    fn resource_servers_have_series_of_their_own_up_to_a_limit() {
        let metrics = Metrics::new().unwrap();
        metrics.most_resource_servers(1);
        let has = |line: &str| metrics.render().unwrap().lines().any(|found| found == line);
        let of = |label: &str, state: &str, points: i64| {
            has(&format!("holdfast_enforcement_points{{resource_server=\"{label}\",state=\"{state}\"}} {points}"))
        };
        metrics.enforcement(&[enforced(Some("a/b"), 3, 1), enforced(Some("a/c"), 2, 2), enforced(None, 1, 0)]);
        assert!(of("a/b", "current", 1) && of("a/b", "lagging", 2));
        assert!(of("other", "current", 2) && of("other", "lagging", 1));
        assert!(has("holdfast_policy_version{resource_server=\"a/b\"} 7"));
        assert!(has("holdfast_policy_sync_lag_seconds{resource_server=\"a/b\"} 2"));
        // the second keeps its place when one comes before it
        metrics.enforcement(&[enforced(Some("a/c"), 4, 4)]);
        metrics.enforcement(&[enforced(Some("a/a"), 1, 1), enforced(Some("a/c"), 4, 4)]);
        assert!(of("a/c", "current", 4) && of("other", "current", 1));
        assert!(!metrics.render().unwrap().contains("a/b"), "who is gone has no series");
    }
}
