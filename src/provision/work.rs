//! What follows from a situation, credentials included. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::secret;
use super::situation::{Claim, Situation};
use crate::domain::credential::Rotation;
use crate::domain::desired::SecretSource;
use crate::domain::diff::{self, Plan};
use crate::domain::drift::{DriftedField, OWNERSHIP, OpenDrift, SECRETS, UNREADABLE};
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
    let known = diff::Known { last, observed: observed.map(|e| &e.spec), open };
    let mut plan = diff::plan(desired, known);
    plan.record = plan.record || (managed.is_none() && !desired.paused);
    if situation.claim == Claim::Forgotten && !desired.paused {
        forgotten(&mut plan);
    }

    if situation.unreadable {
        for field in plan.corrected.iter_mut().chain(&mut plan.kept).chain(&mut plan.news) {
            field.observed = Value::from(UNREADABLE);
        }
    }
    let found = observed.map(|e| e.credentials.as_slice()).unwrap_or_default();
    let mut credentials = found.to_vec();
    if let (Some(managed), Some(_)) = (managed, observed)
        && let Some(field) = mismatch(managed, found)
    {
        credentials = compare_secrets(desired, &mut plan, open, field, managed, found);
    } else if let (Some(managed), None) = (managed, observed) {
        credentials = managed.credentials.iter().filter_map(KnownCredential::restore).collect();
    }
    let revoked = revocation(desired, managed, now);
    let level = revoked.map(|(level, first)| level.min(first));
    let moves =
        if desired.paused { Default::default() } else { secret::tend(&desired.secret, &credentials, level, now) };
    let remember = !desired.paused
        && (managed.is_none_or(|m| m.owner != desired.owner || m.deletion != desired.deletion)
            || revoked != managed.and_then(|m| m.revoked_before));
    Work { plan, credentials, moves, revoked, remember }
}

/// OwnershipLost: whoever deleted the memory is named, whatever else they changed.
fn forgotten(plan: &mut Plan) {
    let (path, class) = (OWNERSHIP.to_owned(), Class::Security);
    let field = DriftedField { path, class, expected: Value::Bool(true), observed: Value::Null };
    plan.news.insert(0, field.clone());
    plan.corrected.insert(0, field);
}

/// SecretMismatch: hashes that are not the ones that were written.
fn mismatch(managed: &Managed, found: &[Credential]) -> Option<DriftedField> {
    let mut now: Vec<_> = found.iter().map(|c| (c.id.clone(), KnownCredential::of(c).hash)).collect();
    let mut then: Vec<_> = managed.credentials.iter().map(|c| (c.id.clone(), c.hash.clone())).collect();
    now.sort();
    then.sort();
    if now == then {
        return None;
    }
    // ids, and whether the hash behind one is another: no hash leaves this function
    let same = |id: &String, hash: &String| then.iter().any(|(i, h)| i == id && h == hash);
    let shown = now.iter().map(|(id, hash)| if same(id, hash) { id.clone() } else { format!("{id} (other value)") });
    Some(DriftedField {
        path: SECRETS.to_owned(),
        class: Class::Security,
        expected: then.iter().map(|(id, _)| Value::from(id.as_str())).collect(),
        observed: shown.map(Value::from).collect(),
    })
}

/// Adds the mismatch to the plan; answers with the credentials that stand afterwards.
fn compare_secrets(
    desired: &Desired,
    plan: &mut Plan,
    open: Option<&OpenDrift>,
    field: DriftedField,
    managed: &Managed,
    found: &[Credential],
) -> Vec<Credential> {
    let reported = open.is_some_and(|o| o.fields.iter().any(|f| f.path == SECRETS && f.observed == field.observed));
    plan.cleared.retain(|path| path != SECRETS);
    if !reported {
        plan.news.push(field.clone());
    }
    if desired.drift == DriftMode::Enforce && !desired.paused {
        plan.corrected.push(field);
        return managed.credentials.iter().filter_map(KnownCredential::restore).collect();
    }
    plan.kept.push(field);
    found.to_vec()
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
