//! What follows from a situation, credentials included. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::secret;
use super::situation::{self, Claim, Situation};
use crate::domain::credential::Rotation;
use crate::domain::desired::SecretSource;
use crate::domain::diff::{self, Plan};
use crate::domain::drift::{CHANGED, DriftedField, OWNERSHIP, OpenDrift, ROW, SECRETS, UNREADABLE};
use crate::domain::managed::{KnownCredential, Managed};
use crate::domain::{Class, Credential, Desired, DriftMode};

/// Everything that follows from one comparison.
pub struct Work {
    pub plan: Plan,
    pub credentials: Vec<Credential>,
    pub moves: secret::Moves,
    /// `revokeIssuedBefore` as it is stored from now on: its value and when it was first seen.
    pub revoked: Option<(Timestamp, Timestamp)>,
    /// Rights, deletion policy or namespace were not remembered as they are.
    remember: bool,
}

impl Work {
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty() && self.moves.is_empty() && !self.remember
    }

    /// Nothing but words: what is in force and what is remembered of it stay as they are.
    pub fn is_only_told(&self) -> bool {
        self.plan.write.is_none() && !self.plan.record && self.moves.is_empty() && !self.remember
    }
}

/// What follows from the situation: pure.
pub fn work(desired: &Desired, situation: &Situation, now: Timestamp) -> Work {
    let managed = situation.managed.as_ref().filter(|m| m.deleted_at.is_none());
    let observed = situation.entity.as_ref();
    let last = match situation.claim {
        Claim::Forgotten => Some(&desired.spec),
        _ => managed.and_then(|m| m.last_applied.as_ref()),
    };
    let open = managed.and_then(|m| m.drift.as_ref());
    let missing = if situation.unreadable { Value::from(UNREADABLE) } else { Value::Null };
    let known = diff::Known { last, observed: observed.map(|e| &e.spec), missing, open };
    let mut plan = diff::plan(desired, known);
    plan.record = plan.record || (managed.is_none() && !desired.paused);
    let mut credentials = observed.map(|e| e.credentials.clone()).unwrap_or_default();
    if let (Some(managed), Some(_)) = (managed, observed)
        && let Some(field) = mismatch(managed, &credentials)
    {
        credentials = compare_secrets(desired, &mut plan, field, (situation, managed), credentials);
    } else if let (Some(managed), None, false) = (managed, observed, situation.forged) {
        credentials = managed.credentials.iter().filter_map(KnownCredential::restore).collect();
    }
    if situation.claim == Claim::Forgotten && !desired.paused {
        forgotten(&mut plan, managed.is_some());
    } else if situation.claim == Claim::Ours && desired.drift != DriftMode::Ignore && desired.ignore_fields.is_empty() {
        there_and_back(&mut plan, situation);
    }
    let revoked = revocation(desired, managed, now);
    let level = revoked.map(|(level, first)| level.min(first));
    // what is kept is not reacted to either
    let kept = plan.kept.iter().any(|f| f.path == SECRETS);
    let known = managed.filter(|_| kept).map(|m| m.credentials.iter().filter_map(KnownCredential::restore).collect());
    let standing: &Vec<Credential> = known.as_ref().unwrap_or(&credentials);
    let moves = if desired.paused { Default::default() } else { secret::tend(&desired.secret, standing, level, now) };
    let remember = !desired.paused
        && (managed.is_none_or(|m| m.owner != desired.owner || m.deletion != desired.deletion)
            || revoked != managed.and_then(|m| m.revoked_before));
    Work { plan, credentials, moves, revoked, remember }
}

/// OwnershipLost: whoever deleted the memory is named, whatever else they changed.
fn forgotten(plan: &mut Plan, changed: bool) {
    let (path, class) = (OWNERSHIP.to_owned(), Class::Security);
    let observed = if changed { Value::from(CHANGED) } else { Value::Null };
    let field = DriftedField { path, class, expected: Value::Bool(true), observed };
    plan.news.insert(0, field.clone());
    plan.corrected.insert(0, field);
}

/// mechanics §2: somebody changed the row, and what is there now is what was applied.
fn there_and_back(plan: &mut Plan, situation: &Situation) {
    let quiet = plan.is_empty() && plan.kept.is_empty() && plan.ignored.is_empty();
    if quiet && situation.traces.iter().any(|trace| situation::is_foreign(&trace.actor)) {
        let (path, class) = (ROW.to_owned(), Class::Security);
        plan.news.push(DriftedField { path, class, expected: Value::Bool(true), observed: Value::from(CHANGED) });
        plan.cleared.push(ROW.to_owned());
    }
}

/// SecretMismatch: credentials that are not the ones that were written.
fn mismatch(managed: &Managed, found: &[Credential]) -> Option<DriftedField> {
    let mut now: Vec<_> = found.iter().map(KnownCredential::of).collect();
    let mut then = managed.credentials.clone();
    now.sort_by(|a, b| a.id.cmp(&b.id));
    then.sort_by(|a, b| a.id.cmp(&b.id));
    if now == then {
        return None;
    }
    // no hash leaves this function
    let shown = |credential: &KnownCredential| match then.iter().find(|known| known.id == credential.id) {
        Some(known) if known == credential => credential.id.clone(),
        Some(known) if known.hash != credential.hash => format!("{} (other value)", credential.id),
        _ => format!("{} ({})", credential.id, life(credential)),
    };
    Some(DriftedField {
        path: SECRETS.to_owned(),
        class: Class::Security,
        expected: then.iter().map(|known| Value::from(known.id.as_str())).collect(),
        observed: now.iter().map(|credential| Value::from(shown(credential))).collect(),
    })
}

fn life(credential: &KnownCredential) -> String {
    let end = credential.retire_at.map(|end| format!(" until {end}")).unwrap_or_default();
    format!("{} since {}{end}", credential.state.as_str(), credential.issued_at)
}

/// Adds the mismatch to the plan; answers with the credentials that stand afterwards.
fn compare_secrets(
    desired: &Desired,
    plan: &mut Plan,
    field: DriftedField,
    (situation, managed): (&Situation, &Managed),
    found: Vec<Credential>,
) -> Vec<Credential> {
    let known = managed.credentials.iter().filter_map(KnownCredential::restore);
    let touched = situation.traces.iter().any(|t| t.table == "credential" && situation::is_foreign(&t.actor));
    if situation.forged && !touched {
        return found;
    }
    let open: Option<&OpenDrift> = managed.drift.as_ref();
    let reported = open.is_some_and(|o| o.fields.iter().any(|f| f.path == SECRETS && f.observed == field.observed));
    plan.cleared.retain(|path| path != SECRETS);
    if !reported {
        plan.news.push(field.clone());
    }
    if desired.drift == DriftMode::Enforce && !desired.paused {
        plan.corrected.push(field);
        // with both sides in doubt, only what they agree on; a claim to be ours counts for nothing here
        let borne_out = |c: &Credential| found.iter().any(|f| KnownCredential::of(f) == KnownCredential::of(c));
        let trusted = touched && !situation.forged;
        return known.filter(|c| trusted || borne_out(c)).collect();
    }
    plan.kept.push(field);
    found
}

/// `revokeIssuedBefore` with the moment its value was first seen.
fn revocation(desired: &Desired, managed: Option<&Managed>, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let before = managed.and_then(|m| m.revoked_before);
    let rotation: &Rotation = match &desired.secret {
        SecretSource::Generated(rotation) | SecretSource::Referenced { rotation, .. } => rotation,
        SecretSource::None | SecretSource::Unresolved => return before,
    };
    match rotation.revoke_issued_before {
        Some(level) if before.is_some_and(|(stored, _)| stored == level) => before,
        Some(level) => Some((level, now)),
        None => before,
    }
}
