//! What is told: one log line and one count a reconcile, one Event a change, and the population gauges.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{Class, DriftMode, Kind, OwnerKey, Reason, Report};
use crate::metrics::ReconcileOutcome;

use super::context::Context;
use super::error::Error;
use super::event;
use super::reconcile::Ended;

/// The outbox is looked at when something was put in, and this often as a net.
const NET: Duration = Duration::from_secs(2);
const BATCH: i64 = 64;
/// Events for one object within the window; what is beyond becomes one summary.
const BURST: usize = 25;
const WINDOW: Duration = Duration::from_secs(300);

/// One line and one count for a walk that ended.
pub(super) fn reconciled(context: &Context, key: &OwnerKey, ended: Result<Ended, &Error>, took: Duration) {
    let outcome = match ended {
        Ok(Ended::Changed) => ReconcileOutcome::Changed,
        Ok(Ended::Unchanged) => ReconcileOutcome::Unchanged,
        Ok(Ended::Invalid) => ReconcileOutcome::Invalid,
        Ok(Ended::Ignored) => return,
        Err(error) if error.is_fenced() => ReconcileOutcome::Fenced,
        Err(_) => ReconcileOutcome::Error,
    };
    context.metrics.reconcile(key.kind, outcome, took.as_secs_f64());
    let (kind, namespace, name) = (key.kind.as_str(), &key.namespace, &key.name);
    let seconds = took.as_secs_f64();
    match ended {
        Ok(Ended::Changed) => tracing::info!(event = "reconciled", kind, namespace, name, outcome = "changed", seconds),
        Ok(Ended::Invalid) => tracing::info!(event = "reconciled", kind, namespace, name, outcome = "invalid", seconds),
        Ok(_) => tracing::debug!(event = "reconciled", kind, namespace, name, outcome = "unchanged", seconds),
        // told with the time of the next attempt
        Err(_) => {}
    }
}

/// Empties the outbox as it fills, until the term ends.
pub(super) async fn tell(context: Arc<Context>, stop: CancellationToken) {
    let mut limit = Limit::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = context.told.notified() => {}
            () = tokio::time::sleep(NET) => {}
        }
        populations(&context);
        match empty(&context, &mut limit).await {
            Err(error) if error.is_fenced() => context.fenced.cancel(),
            Err(error) => {
                tracing::warn!(event = "events_delayed", error = error.chain());
                let _ = stop.run_until_cancelled(tokio::time::sleep(NET)).await;
            }
            Ok(()) => {}
        }
    }
}

async fn empty(context: &Context, limit: &mut Limit) -> Result<(), Error> {
    loop {
        let reports = context.provisioner.reports(BATCH).await?;
        if reports.is_empty() {
            return Ok(());
        }
        let mut told = Vec::with_capacity(reports.len());
        let mut failed = None;
        for report in reports {
            match one(context, &report, limit).await {
                Ok(()) => told.push(report.id),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        context.provisioner.reported(&told).await?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
}

async fn one(context: &Context, report: &Report, limit: &mut Limit) -> Result<(), Error> {
    log(report);
    let summary;
    let report = match limit.admits(&report.object_uid, Instant::now()) {
        Admitted::Yes => report,
        Admitted::AsSummary => {
            let note =
                format!("more than {BURST} Events in {} minutes; the log has all of them", WINDOW.as_secs() / 60);
            summary = Report { reason: Reason::EventsSummarized, field_path: String::new(), note, ..report.clone() };
            &summary
        }
        Admitted::No => return Ok(()),
    };
    match event::publish(&context.client, report, &context.settings.identity).await {
        Ok(published) => {
            context.metrics.kubernetes_event(published);
            Ok(())
        }
        Err(error) => {
            context.metrics.kubernetes_event(false);
            Err(error)
        }
    }
}

fn log(report: &Report) {
    let owner = &report.owner;
    let (kind, namespace, name) = (owner.kind.as_str(), &owner.namespace, &owner.name);
    let (reason, field, note) = (report.reason.as_str(), &report.field_path, &report.note);
    match report.reason {
        Reason::DriftDetected => {
            tracing::warn!(event = "drift_detected", kind, namespace, name, fields = field, note);
        }
        Reason::DriftCorrected => {
            tracing::info!(event = "drift_corrected", kind, namespace, name, fields = field, note);
        }
        _ => tracing::info!(event = "reported", kind, namespace, name, reason, field, note),
    }
}

fn populations(context: &Context) {
    context.metrics.secret_rotation_overdue(context.board.overdue());
    for kind in Kind::ALL {
        let (total, ready) = context.board.count(kind);
        context.metrics.managed(kind, total, ready);
        for class in [Class::Security, Class::Behavior, Class::Cosmetic] {
            for mode in [DriftMode::Enforce, DriftMode::Warn, DriftMode::Ignore] {
                context.metrics.drift_active(kind, class, mode, context.board.drifted(kind, class, mode));
            }
        }
    }
}

/// How many Events each object had lately.
#[derive(Default)]
struct Limit(HashMap<String, VecDeque<Instant>>);

#[derive(Debug, PartialEq, Eq)]
enum Admitted {
    Yes,
    /// The first one too many.
    AsSummary,
    No,
}

impl Limit {
    fn admits(&mut self, object_uid: &str, now: Instant) -> Admitted {
        self.0.retain(|_, times| times.back().is_some_and(|last| now.duration_since(*last) < WINDOW));
        let times = self.0.entry(object_uid.to_owned()).or_default();
        while times.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
            times.pop_front();
        }
        match times.len() {
            ..BURST => {
                times.push_back(now);
                Admitted::Yes
            }
            BURST => {
                times.push_back(now);
                Admitted::AsSummary
            }
            _ => Admitted::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_one_summary_until_it_is_over() {
        let (mut limit, start) = (Limit::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(limit.admits("a", start), Admitted::Yes);
        }
        assert_eq!(limit.admits("a", start), Admitted::AsSummary);
        assert_eq!(limit.admits("a", start), Admitted::No);
        assert_eq!(limit.admits("b", start), Admitted::Yes);
        assert_eq!(limit.admits("a", start + WINDOW), Admitted::Yes);
    }
}
