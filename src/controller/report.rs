//! What is told: one log line and one count a reconcile, one Event a change, and the population gauges.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures::{StreamExt, stream};
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
/// How often the objects are counted, at most.
const COUNT: Duration = Duration::from_secs(1);
const BATCH: i64 = 64;
/// Events for one object within the window; what is beyond becomes one summary.
const BURST: usize = 25;
const WINDOW: Duration = Duration::from_secs(300);
/// How often objects that had no Event for a window are forgotten.
const TIDY: Duration = Duration::from_secs(10);
/// Events that are published at the same time.
const AT_ONCE: usize = 8;

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
    let mut counted: Option<Instant> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = context.told.notified() => {}
            () = tokio::time::sleep(NET) => {}
        }
        // nobody scrapes more often, and with many objects a count is no trifle
        if counted.is_none_or(|last| last.elapsed() >= COUNT) {
            populations(&context);
            counted = Some(Instant::now());
        }
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
        let told = publish(context, reports, limit).await;
        context.provisioner.reported(&told.ids).await?;
        limit.forget(&told.ids);
        if let Some(error) = told.failed {
            return Err(error);
        }
    }
}

/// What was told of a batch, and why not all of it.
#[derive(Default)]
struct Told {
    ids: Vec<i64>,
    failed: Option<Error>,
}

/// Publishes several at a time: a batch of thousands must not keep the news of one drift waiting. When one fails no other
/// is begun; what is under way counts, or the same one in the way could keep all from being told.
async fn publish(context: &Context, reports: Vec<Report>, limit: &mut Limit) -> Told {
    let admitted: Vec<_> = reports.iter().map(|report| (report.id, admit(report, limit))).collect();
    let failed = AtomicBool::new(false);
    let failed = &failed;
    let begin = |(id, report)| async move {
        if failed.load(Relaxed) {
            return None;
        }
        let published = one(context, report).await;
        failed.fetch_or(published.is_err(), Relaxed);
        Some(published.map(|()| id))
    };
    let mut publishing = stream::iter(admitted).map(begin).buffered(AT_ONCE);
    let mut told = Told::default();
    while let Some(published) = publishing.next().await {
        match published {
            Some(Ok(id)) => told.ids.push(id),
            Some(Err(error)) => told.failed = told.failed.or(Some(error)),
            None => {}
        }
    }
    told
}

/// The report, a summary in its place, or nothing. What is tried again is neither logged nor counted again.
fn admit(report: &Report, limit: &mut Limit) -> Option<Report> {
    let admitted = limit.untold.get(&report.id).copied().unwrap_or_else(|| {
        log(report);
        limit.admits(report, Instant::now())
    });
    match admitted {
        Admitted::Yes => Some(report.clone()),
        Admitted::AsSummary => {
            let note =
                format!("more than {BURST} Events in {} minutes; the log has all of them", WINDOW.as_secs() / 60);
            Some(Report { reason: Reason::EventsSummarized, field_path: String::new(), note, ..report.clone() })
        }
        Admitted::No => None,
    }
}

async fn one(context: &Context, report: Option<Report>) -> Result<(), Error> {
    let Some(report) = report else { return Ok(()) };
    let published = event::publish(&context.client, &report, &context.settings.identity).await;
    context.metrics.kubernetes_event(matches!(published, Ok(true)));
    published.map(drop)
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
    let tally = context.board.tally();
    context.metrics.secret_rotation_overdue(tally.overdue);
    for kind in Kind::ALL {
        let (total, ready) = tally.managed.get(&kind).copied().unwrap_or_default();
        context.metrics.managed(kind, total, ready);
        context.metrics.ownership_conflicts(kind, tally.conflicts.get(&kind).copied().unwrap_or_default());
        for class in [Class::Security, Class::Behavior, Class::Cosmetic] {
            for mode in [DriftMode::Enforce, DriftMode::Warn, DriftMode::Ignore] {
                let drifted = tally.drifted.get(&(kind, class, mode)).copied().unwrap_or_default();
                context.metrics.drift_active(kind, class, mode, drifted);
            }
        }
    }
}

/// How many Events each object had lately.
#[derive(Default)]
struct Limit {
    told: HashMap<String, VecDeque<Instant>>,
    /// What was decided of reports that could not be told yet: no outage of the API server makes a flood of them.
    untold: HashMap<i64, Admitted>,
    /// When those were forgotten that had none for a while.
    tidied: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admitted {
    Yes,
    /// The first one too many.
    AsSummary,
    No,
}

impl Limit {
    fn admits(&mut self, report: &Report, now: Instant) -> Admitted {
        let admitted = self.count(&report.object_uid, now);
        self.untold.insert(report.id, admitted);
        admitted
    }

    /// Told and marked: these do not come again.
    fn forget(&mut self, ids: &[i64]) {
        self.untold.retain(|id, _| !ids.contains(id));
    }

    fn count(&mut self, object_uid: &str, now: Instant) -> Admitted {
        if self.tidied.is_none_or(|last| now.duration_since(last) >= TIDY) {
            self.told.retain(|_, times| times.back().is_some_and(|last| now.duration_since(*last) < WINDOW));
            self.tidied = Some(now);
        }
        let times = self.told.entry(object_uid.to_owned()).or_default();
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
    use jiff::Timestamp;

    fn report(id: i64, object_uid: &str) -> Report {
        let owner = OwnerKey::new(Kind::OAuthClient, "web", object_uid);
        let report = Report::new(owner, object_uid, Reason::Updated, "changed".to_owned(), Timestamp::UNIX_EPOCH);
        Report { id, ..report }
    }

    #[test]
    fn a_flood_becomes_one_summary_until_it_is_over() {
        let (mut limit, start) = (Limit::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(limit.count("a", start), Admitted::Yes);
        }
        assert_eq!(limit.count("a", start), Admitted::AsSummary);
        assert_eq!(limit.count("a", start), Admitted::No);
        assert_eq!(limit.count("b", start), Admitted::Yes);
        assert_eq!(limit.count("a", start + WINDOW), Admitted::Yes);
    }

    #[test]
    fn what_is_tried_again_counts_once() {
        let mut limit = Limit::default();
        let waiting: Vec<Report> = (0..3).map(|id| report(id, "a")).collect();
        for attempt in 0..BURST {
            for report in &waiting {
                assert_eq!(admit(report, &mut limit).as_ref(), Some(report), "attempt {attempt}");
            }
        }
        limit.forget(&[0, 1, 2]);
        assert!(limit.untold.is_empty());
        let more: Vec<_> = (3..=BURST as i64 + 1).map(|id| admit(&report(id, "a"), &mut limit)).collect();
        let reasons: Vec<_> = more.iter().map(|told| told.as_ref().map(|told| told.reason)).collect();
        let (summary, before) = reasons.split_last().expect("some");
        assert!(before[..BURST - 3].iter().all(|reason| *reason == Some(Reason::Updated)), "{reasons:?}");
        assert_eq!(before[BURST - 3], Some(Reason::EventsSummarized));
        assert_eq!(*summary, None);
    }
}
