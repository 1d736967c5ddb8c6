//! A dry run: what `apply` would do with an object now, found by the same loading and comparing, and written nowhere.
//!
//! Several objects are tried against one state of the database. An id that is yet to be made is called by its owner,
//! `Kind/namespace/name`, which no id is; so is the id of every row that an object owns, since people know no other.

mod calls;
mod planned;
mod secrets;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use self::secrets::secrets;

use super::situation::{self, Claim, Situation};
use super::work::{Work, work};
use super::{Error, Provisioner, Refused, Touches, impact, note};
use crate::domain::drift::DriftedField;
use crate::domain::managed::Managed;
use crate::domain::policy::Policy;
use crate::domain::spec::class;
use crate::domain::{Class, DeletionPolicy, Desired, Kind, Owner, OwnerKey, Spec};
use crate::store::{Snapshot, Tx};

pub use self::calls::{CallExample, CallTouches, ToolCalls};
pub use self::planned::{Action, Planned, PlannedChange, PlannedDrift, PlannedSecret};

/// One object as it was tried, before it is known what that touches.
pub struct Draft {
    planned: Planned,
    before: Option<Spec>,
    after: Option<Spec>,
    /// Of a client: what was issued before this moment would end.
    revoked: Option<Timestamp>,
}

impl Draft {
    pub fn owner(&self) -> &OwnerKey {
        &self.planned.owner
    }

    /// By which others may refer to it; nothing when it would not be there.
    pub fn id(&self) -> Option<String> {
        let there = self.before.is_some() || self.after.is_some();
        there.then(|| self.planned.id.clone().unwrap_or_else(|| self.planned.owner.to_string()))
    }
}

/// One state of the database in which objects are tried.
pub struct DryRun {
    tx: Tx,
    snapshot: Arc<Snapshot>,
    now: Timestamp,
    /// Recorded calls that were looked at.
    looked: i64,
    /// Public names that objects of this run would be given.
    taken: HashMap<(Kind, String), OwnerKey>,
}

impl Provisioner {
    /// Anybody may try, whether this process leads or not.
    pub async fn dry_run(&self) -> Result<DryRun, Error> {
        let tx = self.store().read().await?;
        Ok(DryRun { tx, snapshot: self.store().snapshot(), now: self.now(), looked: 0, taken: HashMap::new() })
    }
}

impl DryRun {
    /// Tries the same objects again, with what the last time taught.
    pub fn again(&mut self) {
        self.taken.clear();
    }

    /// What is remembered of an object, also of one that is gone.
    pub async fn remembered(&mut self, owner: &OwnerKey) -> Result<Option<Managed>, Error> {
        Ok(situation::recall(&mut self.tx, owner).await?.0)
    }

    /// Every object that something is managed for.
    pub async fn owners(&mut self) -> Result<Vec<(OwnerKey, DeletionPolicy)>, Error> {
        let managed = self.tx.all_managed().await?.into_iter().filter(|managed| managed.deleted_at.is_none());
        Ok(managed.map(|managed| (managed.owner.key, managed.deletion)).collect())
    }

    /// The owner as the database remembers it: no file says the uids that an API server gave.
    pub async fn known_owner(&mut self, key: &OwnerKey) -> Result<Owner, Error> {
        if let Some(managed) = self.remembered(key).await? {
            return Ok(managed.owner);
        }
        let namespace_uid = self.tx.namespace_uid(&key.namespace).await?.unwrap_or_default();
        Ok(Owner { key: key.clone(), namespace_uid, object_uid: String::new() })
    }

    /// The id of an object's row and what the row says of who may refer to it.
    pub fn in_force(&self, owner: &OwnerKey) -> Option<(String, Option<Value>)> {
        let id = self.snapshot.entity_of(owner)?.to_owned();
        let allowed = match owner.kind {
            Kind::ResourceServer => {
                self.snapshot.resource_server(&id).map(|e| e.resource_server.allowed_namespaces.clone())
            }
            Kind::Provider => self.snapshot.provider(&id).and_then(|entity| match &entity.spec {
                Spec::Provider(spec) => Some(spec.allowed_namespaces.clone()),
                _ => None,
            }),
            Kind::OAuthClient => None,
        };
        Some((id, allowed))
    }

    /// What `apply` would do with it now.
    pub async fn attempt(&mut self, desired: &Desired) -> Result<Draft, Error> {
        let situation = situation::load(&mut self.tx, desired, &self.snapshot).await?;
        if let Claim::Refused(refused) = &situation.claim {
            return Ok(refusal(desired, &situation, refused));
        }
        if let Some(refused) = self.claim_name(desired, &situation) {
            return Ok(refusal(desired, &situation, &refused));
        }
        let work = work(desired, &situation, self.now);
        let secrets = secrets(desired, &situation, &work, self.now);
        let action = match &situation.claim {
            _ if work.is_only_told() && secrets.is_empty() => Action::Unchanged,
            Claim::New | Claim::Returned => Action::Create,
            Claim::Adopted(_) => Action::Adopt,
            _ => Action::Update,
        };
        let planned = Planned {
            owner: desired.owner.key.clone(),
            id: id(desired, &situation),
            action,
            reason: None,
            changes: self.changes(desired, &situation, &work),
            drift: self.drift(&work),
            secrets,
            touches: Touches::default(),
        };
        let before = situation.entity.map(|entity| entity.spec);
        let revoked = work.revoked.filter(|_| work.revoked != situation.managed.and_then(|m| m.revoked_before));
        let after = work.plan.write.or_else(|| before.clone());
        Ok(Draft { planned, before, after, revoked: revoked.map(|(level, first)| level.min(first)) })
    }

    /// What would become of a managed object that is gone.
    pub async fn removal(&mut self, owner: &OwnerKey, policy: DeletionPolicy) -> Result<Draft, Error> {
        let managed = self.remembered(owner).await?;
        let id = managed.map(|managed| managed.entity_id);
        let before = match &id {
            Some(id) => self.tx.entity(owner.kind, id).await?.map(|entity| entity.spec),
            None => None,
        };
        let delete = policy == DeletionPolicy::Delete;
        let planned = Planned {
            owner: owner.clone(),
            id,
            action: if delete { Action::Delete } else { Action::Release },
            reason: None,
            changes: Vec::new(),
            drift: Vec::new(),
            secrets: Vec::new(),
            touches: Touches::default(),
        };
        let after = before.clone().filter(|_| !delete);
        Ok(Draft { planned, before, after, revoked: None })
    }

    /// Adds what the change touches.
    pub async fn finish(&mut self, draft: Draft) -> Result<Planned, Error> {
        let Draft { mut planned, before, after, revoked } = draft;
        if planned.action == Action::Refused {
            return Ok(planned);
        }
        if let (Some(id), Some(before)) = (&planned.id, &before) {
            let lost = impact::losses(id, before, after.as_ref(), revoked);
            let counted = self.tx.lost(&lost, self.now).await?;
            planned.touches = impact::touches(id, (before, after.as_ref()), &self.snapshot, counted);
            if let Some(role) = &mut planned.touches.default_role
                && let Some(name) = &role.before
            {
                role.holders = self.tx.default_role_holders(id, name).await?;
            }
            planned.touches.calls = self.calls(id, before, after.as_ref()).await?;
        }
        Ok(planned)
    }

    /// Of two objects that would be given the same name the first has it.
    fn claim_name(&mut self, desired: &Desired, situation: &Situation) -> Option<Refused> {
        let name = match (&desired.spec, &situation.entity) {
            (Spec::ResourceServer(spec), None) => spec.resource_uri.trim_end_matches('/').to_owned(),
            (Spec::Client(_), None) => desired.wanted_id.clone()?,
            (_, Some(entity)) => entity.id.clone(),
            (Spec::Provider(_), None) => return None,
        };
        let key = &desired.owner.key;
        let holder = self.taken.entry((desired.spec.kind(), name.clone())).or_insert_with(|| key.clone());
        (holder != key)
            .then(|| Refused::Conflict { note: format!("{name} is held by {holder}"), holder: Some(holder.clone()) })
    }

    fn changes(&self, desired: &Desired, situation: &Situation, work: &Work) -> Vec<PlannedChange> {
        let kind = desired.spec.kind();
        let intent = work.plan.intent.iter().map(|change| PlannedChange {
            field: note::field_path(&change.path),
            class: class(kind, &change.path),
            before: self.named(&change.from),
            after: self.named(&change.to),
        });
        let mut changes: Vec<PlannedChange> =
            intent.filter(|change| !(change.before.is_null() && is_empty(&change.after))).collect();
        let managed = situation.managed.as_ref().filter(|m| m.deleted_at.is_none() && m.deletion != desired.deletion);
        if let (Some(managed), false) = (managed, desired.paused) {
            let (before, after) = (managed.deletion.as_str().into(), desired.deletion.as_str().into());
            changes.push(PlannedChange { field: "spec.deletionPolicy".into(), class: Class::Behavior, before, after });
        }
        changes
    }

    fn drift(&self, work: &Work) -> Vec<PlannedDrift> {
        let plan = &work.plan;
        let of = |fields: &[DriftedField], becomes: &'static str| {
            let told = |field: &DriftedField| PlannedDrift {
                field: note::field_path(&field.path),
                what: field.path.clone(),
                class: field.class,
                applied: self.named(&field.expected),
                found: self.named(&field.observed),
                becomes,
            };
            fields.iter().map(told).collect::<Vec<_>>()
        };
        [of(&plan.corrected, "corrected"), of(&plan.kept, "kept"), of(&plan.ignored, "ignored")].concat()
    }

    /// A value with the owners' names in the place of ids that only the database knows.
    fn named(&self, value: &Value) -> Value {
        match value {
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| {
                    let owner = match (name.as_str(), member.as_str()) {
                        ("resourceServerID" | "targetID", Some(id)) => {
                            self.snapshot.resource_server(id).and_then(|entry| entry.owner.as_ref())
                        }
                        ("providerID", Some(id)) => self.snapshot.provider(id).and_then(|entity| entity.owner.as_ref()),
                        _ => None,
                    };
                    let shown = owner.map_or_else(|| self.named(member), |owner| owner.to_string().into());
                    (name.clone(), shown)
                })
                .collect(),
            Value::Array(items) => items.iter().map(|item| self.named(item)).collect(),
            other => other.clone(),
        }
    }
}

fn id(desired: &Desired, situation: &Situation) -> Option<String> {
    let managed = situation.managed.as_ref().map(|managed| managed.entity_id.clone());
    managed.or_else(|| situation.entity.as_ref().map(|entity| entity.id.clone())).or_else(|| desired.wanted_id.clone())
}

fn refusal(desired: &Desired, situation: &Situation, refused: &Refused) -> Draft {
    let owner = desired.owner.key.clone();
    let ours = situation.entity.as_ref().filter(|entity| entity.owner.as_ref() == Some(&owner));
    let before = ours.map(|entity| entity.spec.clone());
    let planned = Planned {
        owner,
        id: ours.map(|entity| entity.id.clone()),
        action: Action::Refused,
        reason: Some(refused.note().to_owned()),
        changes: Vec::new(),
        drift: Vec::new(),
        secrets: Vec::new(),
        touches: Touches::default(),
    };
    Draft { planned, after: before.clone(), before, revoked: None }
}

/// A field that nobody has set is no news of a new row.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
