//! Conditions from an `Outcome`: pure, and the only place where their reasons and messages are spelled.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::crd::condition::{self, ConditionType, MAX_MESSAGE, Status, shorten};
use crate::domain::client::ClientState;
use crate::domain::clock::whole_second;
use crate::domain::drift::{Correction, DriftedField, OpenDrift};
use crate::domain::enforcement::Coverage;
use crate::domain::{Kind, Reason, Spec};
use crate::manifest::{Cause, Stranger, Unresolved};
use crate::provision::{Done, Refused, field_path};

use super::outcome::{Launch, Outcome, Published, Verdict};

/// The longest mention of one item that is not the author's, and of all, in bytes: the message has room for its cause.
const MAX_STRANGER: usize = 300;
const MAX_STRANGERS: usize = 512;

/// A condition before its times and generation are known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fact {
    kind: ConditionType,
    status: Status,
    reason: String,
    message: String,
}

impl Fact {
    fn new(kind: ConditionType, status: impl Into<Status>, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, status: status.into(), reason: reason.to_owned(), message: message.into() }
    }

    fn fails(&self) -> bool {
        self.status == Status::False
    }
}

/// All conditions of the object, in the order in which people read them.
pub(super) fn conditions(
    kind: Kind,
    outcome: &Outcome,
    previous: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let mut facts = vec![accepted(outcome), resolved(&outcome.unresolved)];
    facts.extend(synced(outcome).or_else(|| kept(previous, ConditionType::Synced)));
    facts.extend(drifted(outcome).or_else(|| kept(previous, ConditionType::Drifted)));
    if kind == Kind::ResourceServer {
        facts.extend(launched(outcome).or_else(|| kept(previous, ConditionType::Launched)));
        facts.extend(policy_synced(outcome).or_else(|| kept(previous, ConditionType::PolicySynced)));
    }
    if kind == Kind::Provider {
        let message = "The provider is contacted when it is first used";
        facts.push(Fact::new(ConditionType::Reachable, Status::Unknown, "NotChecked", message));
    }
    facts.extend(secret_current(outcome, now).or_else(|| {
        let untouched = outcome.secret == Published::Untouched;
        if untouched { kept(previous, ConditionType::SecretCurrent) } else { None }
    }));
    let ready = ready(outcome, &facts);
    // after Ready, which repeats the cause alone
    for fact in facts.iter_mut().filter(|fact| fact.kind == ConditionType::Accepted) {
        fact.message = with_strangers(&fact.message, &outcome.strangers);
    }
    facts.extend(progress(&ready, outcome));
    if outcome.is_paused() {
        let message = "spec.reconciliation is Paused: drift is found and nothing is written";
        facts.push(Fact::new(ConditionType::Paused, true, "Paused", message));
    }
    facts.insert(0, ready);
    let next = facts.iter().map(|f| condition::condition(f.kind, f.status, &f.reason, &f.message, now)).collect();
    condition::settle(previous, next, generation)
}

/// The conditions of an object whose deletion waits: all as they were but for those that say so.
pub(super) fn waiting(
    previous: &[Condition],
    reason: Reason,
    note: &str,
    (generation, now): (i64, Timestamp),
) -> Vec<Condition> {
    // the brake waits for somebody, a blocked deletion for something
    let progress = match reason {
        Reason::MassChangeBrake => Fact::new(ConditionType::Stalled, true, reason.as_str(), note),
        _ => Fact::new(ConditionType::Reconciling, true, "Progressing", note),
    };
    let facts = [
        Fact::new(ConditionType::Ready, false, reason.as_str(), note),
        Fact::new(ConditionType::Synced, false, reason.as_str(), note),
        progress,
    ];
    replaced(previous, &facts, generation, now)
}

/// The conditions of an object that this program cannot read, as after a downgrade.
pub(super) fn unreadable(
    previous: &[Condition],
    note: &str,
    strangers: &[Stranger],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let facts = [
        Fact::new(ConditionType::Ready, false, "InvalidSpec", note),
        Fact::new(ConditionType::Accepted, false, "InvalidSpec", with_strangers(note, strangers)),
        Fact::new(ConditionType::Stalled, true, "InvalidSpec", note),
    ];
    replaced(previous, &facts, generation, now)
}

/// These, and what was said before of everything else.
fn replaced(previous: &[Condition], facts: &[Fact], generation: i64, now: Timestamp) -> Vec<Condition> {
    let next = facts.iter().map(|f| condition::condition(f.kind, f.status, &f.reason, &f.message, now));
    let progress = [ConditionType::Reconciling, ConditionType::Stalled];
    let said = |c: &&Condition| facts.iter().map(|f| f.kind).chain(progress).any(|kind| kind.as_str() == c.type_);
    let others = previous.iter().filter(|c| !said(c)).cloned();
    condition::settle(previous, next.chain(others).collect(), generation)
}

/// A condition that this outcome says nothing about stays as it was.
fn kept(previous: &[Condition], kind: ConditionType) -> Option<Fact> {
    let before = condition::find(previous, kind.as_str())?;
    let status = [Status::True, Status::False].into_iter().find(|s| s.as_str() == before.status);
    Some(Fact::new(kind, status.unwrap_or(Status::Unknown), &before.reason, before.message.clone()))
}

fn accepted(outcome: &Outcome) -> Fact {
    let refused = |reason, note: &str| Fact::new(ConditionType::Accepted, false, reason, note);
    match &outcome.verdict {
        Verdict::Invalid(invalid) if invalid.cause != Cause::RefUnreadable => {
            refused(invalid.cause.as_str(), &invalid.to_string())
        }
        Verdict::Applied(_) | Verdict::Unavailable | Verdict::Uncorrected(_) | Verdict::Invalid(_) => {
            Fact::new(ConditionType::Accepted, true, "Accepted", "The spec is legal and permitted")
        }
        Verdict::Refused(refusal) => {
            let reason = match refusal {
                Refused::Adoption(_) => "AdoptionRefused",
                Refused::Conflict { .. } => "Conflict",
                Refused::NotPermitted(_) => "NotPermitted",
            };
            refused(reason, refusal.note())
        }
    }
}

/// Names the items that are not the author's after `message`, which gives way: equal lists make equal messages.
fn with_strangers(message: &str, strangers: &[Stranger]) -> String {
    let mut named = String::new();
    for (index, stranger) in strangers.iter().enumerate() {
        let next = shorten(&stranger.to_string(), MAX_STRANGER);
        if named.len() + next.len() > MAX_STRANGERS {
            named.push_str(&format!(" and {} more", strangers.len() - index));
            break;
        }
        named.push_str(if index == 0 { "" } else { ", " });
        named.push_str(&next);
    }
    if named.is_empty() {
        return message.to_owned();
    }
    let mention = format!("; items of other field managers: {named}");
    shorten(message, MAX_MESSAGE.saturating_sub(mention.len())) + &mention
}

/// The list comes with the gravest first.
fn resolved(unresolved: &[Unresolved]) -> Fact {
    match unresolved.first() {
        None => Fact::new(ConditionType::ResolvedRefs, true, "Resolved", "All references resolve"),
        Some(gravest) => {
            let all: Vec<String> = unresolved.iter().map(|u| u.error.to_string()).collect();
            Fact::new(ConditionType::ResolvedRefs, false, gravest.reason, all.join("; "))
        }
    }
}

fn synced(outcome: &Outcome) -> Option<Fact> {
    match &outcome.verdict {
        Verdict::Applied(done) if !done.entity_id.is_empty() => {
            Some(Fact::new(ConditionType::Synced, true, "Synced", "The policy is in force"))
        }
        Verdict::Unavailable => {
            let message = "The database cannot be reached; what was in force stays, and this is tried again";
            Some(Fact::new(ConditionType::Synced, false, "DatabaseUnavailable", message))
        }
        Verdict::Uncorrected(drift) => {
            Some(Fact::new(ConditionType::Synced, false, "DriftCorrectionFailed", uncorrected(drift)))
        }
        _ => None,
    }
}

fn drifted(outcome: &Outcome) -> Option<Fact> {
    if let Verdict::Uncorrected(drift) = &outcome.verdict {
        return Some(Fact::new(ConditionType::Drifted, true, "DriftCorrectionFailed", uncorrected(drift)));
    }
    let done = outcome.done()?;
    let fact = |holds: bool, reason, message| Some(Fact::new(ConditionType::Drifted, holds, reason, message));
    if let Some(drift) = &done.drift {
        return fact(true, "DriftDetected", open_message(drift));
    }
    if !done.ignored.is_empty() {
        return fact(false, "DriftIgnored", format!("{} changed, which is ignored on request", paths(&done.ignored)));
    }
    match &done.correction {
        Some(correction) if correction.corrected => fact(false, "DriftCorrected", correction_message(correction)),
        Some(correction) => fact(false, "DriftCleared", correction_message(correction)),
        None => fact(false, "NoDrift", "Nothing was changed behind the operator's back".to_owned()),
    }
}

fn uncorrected(drift: &OpenDrift) -> String {
    format!("{}; the database refuses to have it put back, and this is tried again", open_message(drift))
}

fn open_message(drift: &OpenDrift) -> String {
    format!("{} changed by {}, found at {}", paths(&drift.fields), drift.actor, whole_second(drift.since))
}

fn correction_message(correction: &Correction) -> String {
    let fields: Vec<String> = correction.fields.iter().map(|path| shown(path)).collect();
    let what = if correction.corrected { "put back" } else { "as applied again" };
    format!("{} {what} at {} after a change by {}", fields.join(", "), whole_second(correction.at), correction.actor)
}

fn paths(fields: &[DriftedField]) -> String {
    fields.iter().map(|field| shown(&field.path)).collect::<Vec<_>>().join(", ")
}

/// A drifted field as the manifest names it.
pub(super) fn shown(path: &str) -> String {
    match field_path(path) {
        manifest if manifest.is_empty() => path.to_owned(),
        manifest => manifest,
    }
}

fn launched(outcome: &Outcome) -> Option<Fact> {
    outcome.done()?;
    let fact = |holds: bool, reason, message: String| Some(Fact::new(ConditionType::Launched, holds, reason, message));
    match outcome.launch.as_ref()? {
        Launch::Draft => {
            fact(false, "Draft", "spec.lifecycle is Draft: nothing is issued and no metadata is served".to_owned())
        }
        Launch::Live(blockers) if blockers.is_empty() => fact(true, "Launched", "Tokens are issued for it".to_owned()),
        Launch::Live(blockers) => fact(false, "ActivationBlocked", blockers.join("; ")),
    }
}

/// Of those who report. Their number is in the message only while somebody lags, since it moves by itself.
fn policy_synced(outcome: &Outcome) -> Option<Fact> {
    let fact =
        |status: Status, reason, message: String| Some(Fact::new(ConditionType::PolicySynced, status, reason, message));
    let Coverage { reporting, current, lacking_since } = outcome.standing?.coverage;
    if reporting == 0 {
        return fact(Status::Unknown, "NoEnforcementPoint", "No enforcement point reports".to_owned());
    }
    if current == reporting {
        let message = "Every enforcement point that reports runs the policy in force".to_owned();
        return fact(Status::True, "Synced", message);
    }
    let since = lacking_since.map(|at| format!(" since {}", whole_second(at))).unwrap_or_default();
    let lagging = reporting - current;
    let message = format!("{lagging} of {reporting} enforcement points do not run the policy in force{since}");
    fact(Status::False, "Lagging", message)
}

fn secret_current(outcome: &Outcome, now: Timestamp) -> Option<Fact> {
    let fact =
        |holds: bool, reason, message: &str| Some(Fact::new(ConditionType::SecretCurrent, holds, reason, message));
    match &outcome.secret {
        Published::Settled(_) if outcome.overdue(now).is_some() => {
            let id = outcome.overdue(now).map(|credential| credential.id.as_str()).unwrap_or_default();
            fact(false, "RotationOverdue", &format!("secret {id} was replaced, ends soon and is still in use"))
        }
        Published::Settled(state) if state.current.is_some() => {
            fact(true, "Current", "The Secret holds the credential in force")
        }
        Published::Settled(_) => fact(false, "SecretInvalid", "No credential is in force yet"),
        Published::Conflict(note) => fact(false, "SecretConflict", note),
        Published::Unusable(note) => fact(false, "SecretInvalid", note),
        Published::Unwanted | Published::Untouched => None,
    }
}

/// The first failing of Accepted, ResolvedRefs, Synced, SecretCurrent and, when Live, Launched.
fn ready(outcome: &Outcome, facts: &[Fact]) -> Fact {
    use ConditionType::{Accepted, Drifted, Launched, Ready, ResolvedRefs, SecretCurrent, Synced};
    let failing = [Accepted, ResolvedRefs, Synced, SecretCurrent, Launched]
        .into_iter()
        .find_map(|kind| facts.iter().find(|fact| fact.kind == kind && fact.fails() && fact.reason != "Draft"));
    if let Some(fact) = failing {
        return Fact::new(Ready, false, &fact.reason, fact.message.clone());
    }
    if outcome.done().is_none_or(in_force_nowhere) {
        return Fact::new(Ready, Status::Unknown, "Pending", "Not applied yet");
    }
    match outcome.spec() {
        _ if outcome.launch == Some(Launch::Draft) => Fact::new(Ready, true, "Draft", "Applied as a Draft"),
        Some(Spec::Client(client)) if client.state == ClientState::Suspended => {
            Fact::new(Ready, true, "Suspended", "Applied; the client is suspended")
        }
        _ if facts.iter().any(|fact| fact.kind == Drifted && fact.status == Status::True) => {
            Fact::new(Ready, true, "Ready", "In force, but for what has drifted")
        }
        _ => Fact::new(Ready, true, "Ready", "In force as written"),
    }
}

/// Paused before it was ever applied.
fn in_force_nowhere(done: &Done) -> bool {
    done.entity_id.is_empty()
}

/// Reconciling while something moves by itself, Stalled while it needs somebody; never both.
fn progress(ready: &Fact, outcome: &Outcome) -> Option<Fact> {
    if ready.status == Status::True {
        return None;
    }
    let waits_for_somebody = match ready.reason.as_str() {
        "InvalidSpec" | "Conflict" | "NotPermitted" | "AdoptionRefused" | "ActivationBlocked" | "SecretConflict" => {
            true
        }
        "SecretInvalid" => matches!(outcome.secret, Published::Unusable(_)),
        _ => false,
    };
    Some(if waits_for_somebody {
        Fact::new(ConditionType::Stalled, true, &ready.reason, ready.message.clone())
    } else {
        Fact::new(ConditionType::Reconciling, true, "Progressing", ready.message.clone())
    })
}

#[cfg(test)]
mod tests;
