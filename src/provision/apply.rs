//! One object, one transaction: compare, write what follows, remember it, say it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::situation::{self, Claim, Situation};
use super::{Applied, ChangeKind, Done, Error, Provisioner, Refused, note, secret};
use crate::domain::credential::Rotation;
use crate::domain::desired::SecretSource;
use crate::domain::diff::{self, Plan};
use crate::domain::drift::{Correction, DriftedField, OpenDrift, ROW, SECRETS};
use crate::domain::managed::{KnownCredential, Managed};
use crate::domain::policy::Trace;
use crate::domain::{Actor, Class, Credential, Desired, DriftMode, Reason, Spec, clock};
use crate::store::{Revoke, RevokeCause, Tx};

/// Everything that follows from one comparison.
struct Work {
    plan: Plan,
    credentials: Vec<Credential>,
    moves: secret::Moves,
    /// `revokeIssuedBefore` as it is stored from now on: its value and when it was first seen.
    revoked: Option<(Timestamp, Timestamp)>,
    /// Rights, deletion policy or namespace were not remembered as they are.
    remember: bool,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.plan.is_empty() && self.moves.is_empty() && !self.remember
    }
}

impl Provisioner {
    /// Holds the database to what `desired` says; writes nothing when it already is so.
    pub async fn apply(&self, desired: &Desired) -> Result<Applied, Error> {
        let mut tx = self.store().read().await?;
        let situation = situation::load(&mut tx, desired, &self.store().snapshot()).await?;
        drop(tx);
        if let Claim::Refused(refused) = situation.claim {
            return Ok(Applied::Refused(refused));
        }
        let work = work(desired, &situation, self.now());
        if work.is_empty() {
            return Ok(Applied::Done(Box::new(unchanged(desired, situation, &work))));
        }
        self.apply_in_transaction(desired).await
    }

    async fn apply_in_transaction(&self, desired: &Desired) -> Result<Applied, Error> {
        let now = self.now();
        let mut tx = self.write().await?;
        if let Some(managed) = tx.managed(&desired.owner.key).await? {
            tx.lock_entity(desired.spec.kind(), &managed.entity_id).await?;
        }
        let situation = situation::load(&mut tx, desired, &self.store().snapshot()).await?;
        if let Claim::Refused(refused) = situation.claim {
            return Ok(Applied::Refused(refused));
        }
        let work = work(desired, &situation, now);
        if work.is_empty() {
            return Ok(Applied::Done(Box::new(unchanged(desired, situation, &work))));
        }
        let mut managed = self.managed(desired, &situation, now)?;
        match self.write_work(&mut tx, desired, &situation, &work, &mut managed).await {
            Err(Error::Store(error)) if error.is_conflict() => {
                let note = format!("{} is held by another object", public_name(desired, &managed.entity_id));
                return Ok(Applied::Refused(Refused::Conflict { holder: None, note }));
            }
            other => other?,
        }
        let entity = tx.entity(desired.spec.kind(), &managed.entity_id).await?;
        tx.commit().await?;
        self.observe(desired, &situation.traces, &work.plan, now);
        Ok(Applied::Done(Box::new(Done {
            entity_id: managed.entity_id,
            revision: entity.as_ref().map_or(0, |e| e.revision),
            change: change_kind(&situation.claim, &work),
            drift: managed.drift,
            ignored: work.plan.ignored,
            correction: managed.correction,
            secret: secret::state(&entity.map(|e| e.credentials).unwrap_or_default(), &desired.secret),
        })))
    }

    /// What is remembered from now on: the row that there was, or a new one with a new id.
    fn managed(&self, desired: &Desired, situation: &Situation, now: Timestamp) -> Result<Managed, Error> {
        let entity_id = match (&situation.managed, &situation.entity, &desired.wanted_id) {
            (Some(managed), ..) => managed.entity_id.clone(),
            (None, Some(entity), _) => entity.id.clone(),
            (None, None, Some(wanted)) => wanted.clone(),
            (None, None, None) => {
                let prefix = match desired.spec {
                    Spec::ResourceServer(_) => "rs_",
                    Spec::Client(_) => "client-",
                    Spec::Provider(_) => "prv_",
                };
                format!("{prefix}{}", clock::uuid_v7(now, &*self.0.parts.entropy)?.simple())
            }
        };
        let before = situation.managed.as_ref();
        Ok(Managed {
            owner: desired.owner.clone(),
            entity_id,
            deletion: desired.deletion,
            last_applied: before.and_then(|m| m.last_applied.clone()),
            credentials: before.map(|m| m.credentials.clone()).unwrap_or_default(),
            drift: before.and_then(|m| m.drift.clone()),
            correction: before.and_then(|m| m.correction.clone()),
            settled: before.map_or(0, |m| m.settled),
            revoked_before: before.and_then(|m| m.revoked_before),
            deleted_at: None,
        })
    }

    async fn write_work(
        &self,
        tx: &mut Tx,
        desired: &Desired,
        situation: &Situation,
        work: &Work,
        managed: &mut Managed,
    ) -> Result<(), Error> {
        let (plan, now) = (&work.plan, self.now());
        if let Claim::Adopted(Some(former)) = &situation.claim {
            tx.delete_managed(former).await?;
        }
        if let Some(spec) = &plan.write {
            tx.put(&managed.entity_id, spec, Some(&desired.owner.key), now).await?;
        }
        let put_back = plan.corrected.iter().any(|f| f.path == SECRETS || f.path == ROW);
        if put_back {
            restore(tx, managed, situation).await?;
        }
        secret::write(tx, desired, managed, (&work.credentials, &work.moves), now).await?;
        if work.revoked != managed.revoked_before
            && let Some((level, first)) = work.revoked
        {
            let what = Revoke::ClientBefore { client_id: &managed.entity_id, before: level.min(first) };
            tx.revoke(what, RevokeCause::Admin, now).await?;
            managed.revoked_before = work.revoked;
        }
        if suspended(situation, plan) {
            tx.revoke(Revoke::Client(&managed.entity_id), RevokeCause::Suspended, now).await?;
        }
        remember(desired, situation, plan, managed, now);
        for report in reports(desired, situation, plan, now) {
            tx.add_report(&report).await?;
        }
        managed.settled = tx.last_sequence().await?;
        tx.put_managed(managed).await?;
        Ok(())
    }

    fn observe(&self, desired: &Desired, traces: &[Trace], plan: &Plan, now: Timestamp) {
        let (kind, observer) = (desired.spec.kind(), &self.0.parts.observer);
        for field in &plan.news {
            let latency = trace(traces, field).and_then(|t| Duration::try_from(now.duration_since(t.at)).ok());
            observer.drift_detected(kind, field.class, desired.drift, latency);
        }
        for field in &plan.corrected {
            observer.drift_corrected(kind, field.class, true);
        }
    }
}

/// What follows from the situation: pure.
fn work(desired: &Desired, situation: &Situation, now: Timestamp) -> Work {
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

/// Puts the remembered credentials back and takes away those that nobody wrote.
async fn restore(tx: &mut Tx, managed: &Managed, situation: &Situation) -> Result<(), Error> {
    let found = situation.entity.as_ref().map(|e| e.credentials.as_slice()).unwrap_or_default();
    for stranger in found.iter().filter(|c| !managed.credentials.iter().any(|known| known.id == c.id)) {
        tx.delete_credential(&stranger.id).await?;
    }
    for credential in managed.credentials.iter().filter_map(KnownCredential::restore) {
        tx.put_credential(&managed.entity_id, &credential).await?;
    }
    Ok(())
}

/// Brings the memory of drift and of what was applied up to date.
fn remember(desired: &Desired, situation: &Situation, plan: &Plan, managed: &mut Managed, now: Timestamp) {
    if !desired.paused {
        managed.last_applied = Some(desired.spec.clone());
    }
    let actor = |fields: &[DriftedField]| {
        fields.iter().map(|f| self::actor(&situation.traces, f)).next().unwrap_or_else(Actor::unknown)
    };
    if !plan.corrected.is_empty() {
        let fields = plan.corrected.iter().map(|f| f.path.clone()).collect();
        managed.correction = Some(Correction { fields, actor: actor(&plan.corrected), at: now, corrected: true });
    } else if !plan.cleared.is_empty() {
        let by = managed.drift.as_ref().map_or_else(Actor::unknown, |d| d.actor.clone());
        managed.correction = Some(Correction { fields: plan.cleared.clone(), actor: by, at: now, corrected: false });
    }
    managed.drift = (!plan.kept.is_empty()).then(|| {
        let standing = managed.drift.as_ref();
        OpenDrift {
            fields: plan.kept.clone(),
            since: standing.map_or(now, |d| d.since),
            actor: match standing {
                Some(drift) if plan.news.is_empty() => drift.actor.clone(),
                _ => actor(&plan.news),
            },
        }
    });
}

/// What is said about it, drift first.
fn reports(desired: &Desired, situation: &Situation, plan: &Plan, now: Timestamp) -> Vec<crate::domain::Report> {
    let mut told = Vec::new();
    let mut tell = |reason, path: &str, text| told.push(note::report(desired, reason, path, text, now));
    for field in &plan.news {
        let text = note::detected(field, &actor(&situation.traces, field));
        tell(Reason::DriftDetected, &note::field_path(&field.path), text);
    }
    for field in &plan.corrected {
        let text = note::corrected(field, &actor(&situation.traces, field));
        tell(Reason::DriftCorrected, &note::field_path(&field.path), text);
    }
    for path in plan.cleared.iter().filter(|path| !plan.corrected.iter().any(|f| &f.path == *path)) {
        tell(Reason::DriftCleared, &note::field_path(path), note::cleared(path));
    }
    match &situation.claim {
        Claim::New | Claim::Returned => tell(Reason::Created, "", "the policy is in force".to_owned()),
        Claim::Adopted(_) => tell(Reason::Adopted, "", "the existing row is managed from now on".to_owned()),
        _ if !plan.intent.is_empty() => tell(Reason::Updated, "", note::updated(&plan.intent)),
        _ => {}
    }
    for change in &plan.intent {
        match (change.path.as_str(), change.to.as_str()) {
            ("state", Some("Suspended")) => tell(Reason::Suspended, "spec.state", "the client is suspended".to_owned()),
            ("state", Some("Active")) if !change.from.is_null() => {
                tell(Reason::Resumed, "spec.state", "the client is active again".to_owned());
            }
            ("lifecycle", Some("Live")) => tell(Reason::Launched, "spec.lifecycle", "the resource is live".to_owned()),
            _ => {}
        }
    }
    told
}

/// A client that stops being active loses what was issued to it.
fn suspended(situation: &Situation, plan: &Plan) -> bool {
    let was = situation.entity.as_ref().map(|e| &e.spec);
    let active = |spec: &Spec| matches!(spec, Spec::Client(c) if c.state == crate::domain::client::ClientState::Active);
    was.is_some_and(active) && plan.write.as_ref().is_some_and(|spec| !active(spec) && matches!(spec, Spec::Client(_)))
}

/// The change that a drifted field comes from: the last one to its table that is not our own.
fn trace<'a>(traces: &'a [Trace], field: &DriftedField) -> Option<&'a Trace> {
    let member = field.path.split('[').next().unwrap_or_default();
    let table = match member {
        "scopes" => Some("scope"),
        "tools" => Some("tool"),
        "roles" => Some("role"),
        "roleBindings" => Some("role_binding"),
        "resources" => Some("client_resource"),
        SECRETS => Some("credential"),
        _ => None,
    };
    let foreign = |t: &&Trace| t.actor != Actor::controller() && t.actor != Actor::directory();
    let of_table = |t: &&Trace| table.is_none_or(|table| t.table == table);
    traces.iter().rev().filter(foreign).find(of_table).or_else(|| traces.iter().rev().find(foreign))
}

fn actor(traces: &[Trace], field: &DriftedField) -> Actor {
    trace(traces, field).map_or_else(Actor::unknown, |t| t.actor.clone())
}

fn unchanged(desired: &Desired, situation: Situation, work: &Work) -> Done {
    let managed = situation.managed;
    let entity_id = match (&managed, &situation.entity) {
        (Some(managed), _) => managed.entity_id.clone(),
        (None, entity) => entity.as_ref().map(|e| e.id.clone()).unwrap_or_default(),
    };
    Done {
        entity_id,
        revision: situation.entity.map_or(0, |e| e.revision),
        change: ChangeKind::Unchanged,
        drift: managed.as_ref().and_then(|m| m.drift.clone()),
        ignored: work.plan.ignored.clone(),
        correction: managed.and_then(|m| m.correction),
        secret: secret::state(&work.credentials, &desired.secret),
    }
}

fn change_kind(claim: &Claim, work: &Work) -> ChangeKind {
    match claim {
        Claim::New | Claim::Returned => ChangeKind::Created,
        Claim::Adopted(_) => ChangeKind::Adopted,
        _ if !work.plan.corrected.is_empty() => ChangeKind::Corrected,
        _ => ChangeKind::Updated,
    }
}

fn public_name(desired: &Desired, id: &str) -> String {
    match &desired.spec {
        Spec::ResourceServer(spec) => format!("spec.resourceURI {}", spec.resource_uri),
        Spec::Client(_) => format!("client id {id}"),
        Spec::Provider(_) => format!("provider {id}"),
    }
}
