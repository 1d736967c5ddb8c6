//! Calls that were decided about, by resource server and tool: as many series as there are custom resources and tools that
//! they list, up to two limits, beyond which they share the value `other`. A name that only a caller chose is none.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use prometheus::{HistogramVec, IntCounterVec, Opts, Registry};

use super::Metrics;
use super::enforcement::OTHER;
use super::family::Metric;
use super::label::Publication;
use crate::domain::decide::call::CallDenial;
use crate::domain::decision::{Decision, DecisionOutcome, DecisionReason};

type Declared = (&'static str, &'static str, &'static [&'static str], &'static str);

pub(super) const TOTAL: Declared = (
    "holdfast_decisions_total",
    "counter",
    &["resource_server", "tool", "outcome", "reason"],
    "Calls that enforcement points decided about, as they report them",
);
pub(super) const DURATION: Declared = (
    "holdfast_tool_call_duration_seconds",
    "histogram",
    &["resource_server", "outcome"],
    "Seconds that calls took, as enforcement points report them",
);

/// A tool that the policy does not list.
const UNDECLARED: &str = "undeclared";
/// The reason of a call that was allowed.
const NONE: &str = "none";
/// `metrics.per_tool`
const MOST_TOOLS: usize = 500;

pub(super) struct Decisions {
    total: IntCounterVec,
    duration: HistogramVec,
    /// Who has series of their own. A counter keeps its place until the process ends.
    servers: Mutex<BTreeSet<String>>,
    tools: Mutex<BTreeSet<(String, String)>>,
    most_tools: AtomicUsize,
}

impl Decisions {
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let total = IntCounterVec::new(Opts::new(TOTAL.0, TOTAL.3), TOTAL.2)?;
        let duration = <prometheus::Histogram as Metric>::vector(DURATION.0, DURATION.3, DURATION.2)?;
        registry.register(Box::new(total.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        for outcome in DecisionOutcome::ALL {
            duration.with_label_values(&[OTHER, outcome.as_str()]);
        }
        total.with_label_values(&[OTHER, OTHER, DecisionOutcome::Allowed.as_str(), NONE]);
        let denied = DecisionReason::Policy(CallDenial::InsufficientScope).as_str();
        total.with_label_values(&[OTHER, OTHER, DecisionOutcome::Denied.as_str(), denied]);
        let (servers, tools) = (Mutex::default(), Mutex::default());
        Ok(Self { total, duration, servers, tools, most_tools: AtomicUsize::new(MOST_TOOLS) })
    }

    /// The label of a resource server.
    fn server<'a>(&self, name: Option<&'a str>, most: usize) -> &'a str {
        let Some(name) = name else { return OTHER };
        let mut shown = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.contains(name) || shown.len() < most && shown.insert(name.to_owned()) { name } else { OTHER }
    }

    /// The label of a tool of this resource server.
    fn tool<'a>(&self, server: &str, tool: &'a str, listed: &BTreeSet<String>) -> &'a str {
        if server == OTHER {
            return OTHER;
        }
        if !listed.contains(tool) {
            return UNDECLARED;
        }
        let most = self.most_tools.load(Ordering::Relaxed);
        let mut shown = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (server.to_owned(), tool.to_owned());
        if shown.contains(&key) || shown.len() < most && shown.insert(key) { tool } else { OTHER }
    }
}

impl Metrics {
    /// So many tools have series of their own; 0 = none.
    pub fn most_tools(&self, most: usize) {
        self.decisions.most_tools.store(most, Ordering::Relaxed);
    }

    /// Somebody sent decisions.
    pub fn decisions_ingested(&self, outcome: Publication) {
        self.activity_ingested_total.with((outcome,)).inc();
    }

    /// These were new, of the resource server that this object owns, whose policy lists these tools.
    pub fn decided(&self, resource_server: Option<&str>, listed: &BTreeSet<String>, decisions: &[Decision]) {
        let of = &self.decisions;
        let server = of.server(resource_server, self.by_resource_server.most());
        for decision in decisions {
            let (outcome, reason) = (decision.outcome.as_str(), decision.reason.map_or(NONE, DecisionReason::as_str));
            let tool = of.tool(server, &decision.tool, listed);
            of.total.with_label_values(&[server, tool, outcome, reason]).inc();
            if let Some(micros) = decision.duration_micros {
                of.duration.with_label_values(&[server, outcome]).observe(micros as f64 / 1_000_000.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn decision(tool: &str, reason: Option<DecisionReason>) -> Decision {
        Decision {
            id: "d".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            tool: tool.to_owned(),
            outcome: if reason.is_some() { DecisionOutcome::Denied } else { DecisionOutcome::Allowed },
            reason,
            client_id: None,
            subject: None,
            scopes: BTreeSet::new(),
            policy_version: None,
            duration_micros: Some(20_000),
            jti: None,
        }
    }

    /// D10: what callers choose makes no series, and what policy lists makes as many as are allowed.
    #[test]
    fn tools_have_series_of_their_own_up_to_a_limit() {
        let metrics = Metrics::new().unwrap();
        metrics.most_resource_servers(1);
        metrics.most_tools(1);
        let listed = BTreeSet::from(["list".to_owned(), "pay".to_owned()]);
        let all = [
            decision("pay", None),
            decision("pay", Some(DecisionReason::NoToken)),
            decision("list", None),
            decision("'; DROP TABLE", Some(DecisionReason::Policy(CallDenial::ToolUnlisted))),
        ];
        metrics.decided(Some("a/b"), &listed, &all);
        metrics.decided(Some("a/c"), &listed, &all[..1]);
        metrics.decided(None, &listed, &all[..1]);
        let text = metrics.render().unwrap();
        let has = |labels: &str, count: u64| {
            let line = format!("holdfast_decisions_total{{{labels}}} {count}");
            assert!(text.lines().any(|found| found == line), "{line}");
        };
        has("outcome=\"allowed\",reason=\"none\",resource_server=\"a/b\",tool=\"pay\"", 1);
        has("outcome=\"denied\",reason=\"no_token\",resource_server=\"a/b\",tool=\"pay\"", 1);
        has("outcome=\"allowed\",reason=\"none\",resource_server=\"a/b\",tool=\"other\"", 1);
        has("outcome=\"denied\",reason=\"tool_unlisted\",resource_server=\"a/b\",tool=\"undeclared\"", 1);
        has("outcome=\"allowed\",reason=\"none\",resource_server=\"other\",tool=\"other\"", 2);
        assert!(!text.contains("DROP") && !text.contains("a/c"));
        let took = "holdfast_tool_call_duration_seconds_count{outcome=\"denied\",resource_server=\"a/b\"} 2";
        assert!(text.contains(took));
    }
}
