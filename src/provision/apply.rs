//! One object, one transaction: compare, write what follows, remember it, say it.

use std::time::Duration;

use jiff::Timestamp;

use super::situation::{self, Claim, Situation};
use super::uncorrected::is_refusal;
use super::work::{Work, work};
use super::{Applied, ChangeKind, Done, Error, Provisioner, Refused, secret, tell};
use crate::domain::diff::Plan;
use crate::domain::drift::{Correction, DriftedField, OpenDrift, ROW, SECRETS};
use crate::domain::managed::{KnownCredential, Managed};
use crate::domain::observer::ClientSource;
use crate::domain::owner::Kind;
use crate::domain::policy::Trace;
use crate::domain::{Actor, Credential, Desired, Spec, clock};
use crate::store::{self, Revoke, RevokeCause, Tx};

impl Provisioner {
    /// Holds the database to what `desired` says; writes nothing when it already is so.
    pub async fn apply(&self, desired: &Desired) -> Result<Applied, Error> {
        match self.look(desired).await? {
            Some(applied) => Ok(applied),
            // large, and called from deep down: in boxes, or every walk would carry them on its stack
            None => match Box::pin(self.apply_in_transaction(desired)).await {
                Err(refusal) if is_refusal(&refusal) => Err(Box::pin(self.uncorrected(desired, refusal)).await),
                Err(error) => Err(error),
                Ok(applied) => Box::pin(self.with_log(desired.spec.kind(), applied)).await,
            },
        }
    }

    /// What is to be said of the database as it is; `None` = something is to be written.
    pub async fn look(&self, desired: &Desired) -> Result<Option<Applied>, Error> {
        let mut tx = self.store().read().await?;
        let situation = situation::load(&mut tx, desired, &self.store().snapshot()).await?;
        drop(tx);
        if let Claim::Refused(refused) = situation.claim {
            return Ok(Some(Applied::Refused(refused)));
        }
        let work = work(desired, &situation, self.now());
        if !work.is_empty() {
            return Ok(None);
        }
        let applied = Applied::Done(Box::new(unchanged(desired, situation, &work)));
        self.with_log(desired.spec.kind(), applied).await.map(Some)
    }

    /// Adds what its log says by now.
    async fn with_log(&self, kind: Kind, mut applied: Applied) -> Result<Applied, Error> {
        if let (Applied::Done(done), Kind::ResourceServer) = (&mut applied, kind) {
            done.undismissed = self.store().read().await?.undismissed(&done.entity_id).await?;
        }
        Ok(applied)
    }

    async fn apply_in_transaction(&self, desired: &Desired) -> Result<Applied, Error> {
        let now = self.now();
        let mut tx = self.write().await?;
        if let (Some(managed), _) = situation::recall(&mut tx, &desired.owner.key).await? {
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
        let lost = lost_id(&mut tx, desired, &situation).await?;
        let mut managed = self.managed(desired, &situation, lost, now)?;
        match self.write_work(&mut tx, desired, &situation, &work, &mut managed).await {
            Err(Error::Store(store::Error::Conflict { .. })) => {
                let note = format!("{} is held by another object", public_name(desired, &managed.entity_id));
                return Ok(Applied::Refused(Refused::Conflict { holder: None, note }));
            }
            other => other?,
        }
        let entity = match tx.entity(desired.spec.kind(), &managed.entity_id).await {
            // kept as it was found
            Err(store::Error::Corrupt { .. }) => None,
            entity => entity?,
        };
        tx.commit().await?;
        self.observe(desired, &situation.traces, &work.plan, now);
        let change = change_kind(&situation.claim, &work);
        if change == ChangeKind::Created && desired.spec.kind() == Kind::OAuthClient {
            self.0.parts.observer.client_registered(ClientSource::Kubernetes);
        }
        Ok(Applied::Done(Box::new(Done {
            entity_id: managed.entity_id,
            revision: entity.as_ref().map_or(0, |e| e.revision),
            change,
            drift: managed.drift,
            ignored: work.plan.ignored,
            correction: managed.correction,
            secret: secret::state(&entity.map(|e| e.credentials).unwrap_or_default(), &desired.secret),
            undismissed: 0,
        })))
    }

    /// What is remembered from now on: the row that there was, or a new one with a new id.
    fn managed(
        &self,
        desired: &Desired,
        situation: &Situation,
        lost: Option<String>,
        now: Timestamp,
    ) -> Result<Managed, Error> {
        let entity_id = match (&situation.managed, &situation.entity, &desired.wanted_id) {
            (Some(managed), ..) => managed.entity_id.clone(),
            (None, Some(entity), _) => entity.id.clone(),
            (None, None, Some(wanted)) => wanted.clone(),
            (None, None, None) => match lost {
                Some(lost) => lost,
                None => {
                    let prefix = prefix(desired.spec.kind());
                    format!("{prefix}{}", clock::uuid_v7(now, &*self.0.parts.entropy)?.simple())
                }
            },
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
        let replaced =
            situation.entity.is_none() && plan.write.is_some() && plan.corrected.iter().any(|f| f.path == ROW);
        take(tx, desired, &situation.claim, &managed.entity_id).await?;
        if replaced {
            take_place(tx, desired, &managed.entity_id, now).await?;
        }
        let taken = situation.claim != Claim::Ours && !desired.paused;
        let present = situation.entity.as_ref().map(|e| &e.spec).filter(|_| taken);
        if let Some(spec) = plan.write.as_ref().or(present) {
            tx.put(&managed.entity_id, spec, Some(&desired.owner.key), now).await?;
        }
        if plan.corrected.iter().any(|f| f.path == SECRETS || f.path == ROW) {
            restore(tx, desired, &managed.entity_id, &work.credentials).await?;
        }
        if !plan.kept.iter().any(|f| f.path == SECRETS || f.path == ROW) {
            managed.credentials = work.credentials.iter().map(KnownCredential::of).collect();
        }
        secret::write(tx, desired, managed, &work.moves, now).await?;
        if work.revoked != managed.revoked_before
            && let Some((level, first)) = work.revoked
        {
            let what = Revoke::ClientBefore { client_id: &managed.entity_id, before: level.min(first) };
            tx.revoke(what, RevokeCause::SecretRevoked, now).await?;
            managed.revoked_before = work.revoked;
        }
        if suspended(situation, plan) {
            tx.revoke(Revoke::Client(&managed.entity_id), RevokeCause::Suspended, now).await?;
        }
        remember(desired, situation, plan, managed, now);
        for report in tell::reports(desired, situation, plan, now) {
            tx.add_report(&report).await?;
        }
        if situation.claim != Claim::Ours {
            // it was taken, or is of no use any more
            tx.delete_offer(&desired.owner.key).await?;
        }
        managed.settled = tx.last_sequence().await?;
        tx.put_managed(managed).await?;
        Ok(())
    }

    pub(super) fn observe(&self, desired: &Desired, traces: &[Trace], plan: &Plan, now: Timestamp) {
        let (kind, observer) = (desired.spec.kind(), &self.0.parts.observer);
        for field in &plan.news {
            let latency = tell::trace(traces, field).and_then(|t| Duration::try_from(now.duration_since(t.at)).ok());
            observer.drift_detected(kind, field.class, desired.drift, latency);
        }
        for field in &plan.corrected {
            observer.drift_corrected(kind, field.class, true);
        }
    }
}

/// What a generated id begins with.
const fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::ResourceServer => "rs_",
        Kind::OAuthClient => "client-",
        Kind::Provider => "prv_",
    }
}

/// The id that was generated once, where only the object's status still has it: a backup is older than the object.
async fn lost_id(tx: &mut Tx, desired: &Desired, situation: &Situation) -> Result<Option<String>, Error> {
    let kind = desired.spec.kind();
    let generated = |id: &&String| {
        let random = id.strip_prefix(prefix(kind)).unwrap_or_default();
        random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let nobody_has_it = situation.managed.is_none() && situation.entity.is_none();
    let Some(id) = desired.known_id.as_ref().filter(|_| nobody_has_it).filter(generated) else { return Ok(None) };
    let taken = tx.managed_by_entity(kind, id).await?.is_some();
    Ok((!taken).then(|| id.clone()))
}

/// Takes the row from whoever else is remembered to have it.
async fn take(tx: &mut Tx, desired: &Desired, claim: &Claim, id: &str) -> Result<(), Error> {
    let ours = &desired.owner.key;
    match claim {
        Claim::Adopted(Some(former)) => tx.delete_managed(former).await?,
        Claim::Forgotten => {
            while let Some(other) = tx.other_owner(ours, id).await? {
                tx.delete_managed(&other).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Ends what stands in the place of the missing row.
async fn take_place(tx: &mut Tx, desired: &Desired, id: &str, now: Timestamp) -> Result<(), Error> {
    for stray in strays(tx, desired, id).await? {
        let issued = match desired.spec {
            Spec::ResourceServer(_) => Revoke::ResourceServer(&stray),
            Spec::Client(_) | Spec::Provider(_) => Revoke::Client(&stray),
        };
        tx.revoke(issued, RevokeCause::Deleted, now).await?;
        tx.delete(desired.spec.kind(), &stray).await?;
    }
    Ok(())
}

/// Rows that stand in the place of the one that is missing: that say they are this owner's, or have its resource URI.
async fn strays(tx: &mut Tx, desired: &Desired, id: &str) -> Result<Vec<String>, Error> {
    let ours = &desired.owner.key;
    let mut candidates = tx.entity_ids_of(ours).await?;
    if let Spec::ResourceServer(spec) = &desired.spec {
        candidates.extend(tx.entity_id_by_uri(&spec.resource_uri).await?);
    }
    let mut strays = Vec::new();
    for candidate in candidates {
        if candidate != id && !strays.contains(&candidate) && tx.other_owner(ours, &candidate).await?.is_none() {
            strays.push(candidate);
        }
    }
    Ok(strays)
}

/// Puts back the credentials that are to stand and takes away all others, also those of a row that was missing.
async fn restore(tx: &mut Tx, desired: &Desired, id: &str, standing: &[Credential]) -> Result<(), Error> {
    let found = tx.entity(desired.spec.kind(), id).await?.map(|e| e.credentials).unwrap_or_default();
    for stranger in found.iter().filter(|c| !standing.iter().any(|stays| stays.id == c.id)) {
        tx.delete_credential(&stranger.id).await?;
    }
    for credential in standing {
        tx.put_credential(id, credential).await?;
    }
    Ok(())
}

/// Brings the memory of drift and of what was applied up to date.
fn remember(desired: &Desired, situation: &Situation, plan: &Plan, managed: &mut Managed, now: Timestamp) {
    if !desired.paused {
        managed.last_applied = Some(desired.spec.clone());
    }
    let actor = |fields: &[DriftedField]| {
        fields.iter().map(|f| tell::actor(&situation.traces, f)).next().unwrap_or_else(Actor::unknown)
    };
    if !plan.corrected.is_empty() {
        let fields = plan.corrected.iter().map(|f| f.path.clone()).collect();
        managed.correction = Some(Correction { fields, actor: actor(&plan.corrected), at: now, corrected: true });
    } else if !plan.cleared.is_empty() {
        let by = managed.drift.as_ref().map_or_else(|| actor(&plan.news), |d| d.actor.clone());
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

/// A client that stops being active loses what was issued to it.
fn suspended(situation: &Situation, plan: &Plan) -> bool {
    let was = situation.entity.as_ref().map(|e| &e.spec);
    let active = |spec: &Spec| matches!(spec, Spec::Client(c) if c.state == crate::domain::client::ClientState::Active);
    was.is_some_and(active) && plan.write.as_ref().is_some_and(|spec| !active(spec) && matches!(spec, Spec::Client(_)))
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
        undismissed: 0,
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
