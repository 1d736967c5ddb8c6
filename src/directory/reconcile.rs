//! One object: dereference → desired → apply → publish its secret → status.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::domain::{Desired, Managed, ObjectStatus, OwnerKey, Spec, chain};
use crate::manifest::{Invalid, Object, desired, immutable, is_ours, resource_server, unresolved};
use crate::metrics::ReconcileOutcome;
use crate::provision::{self, Applied, ChangeKind, Done, SecretState};

use super::Directory;
use super::dereference::dereference;
use super::outcome::{Force, Outcome};
use super::publish::{self, Place, publish};

/// What was applied last, by owner: id and policy.
#[derive(Debug, Default)]
pub struct Memory(BTreeMap<OwnerKey, (String, Spec)>);

impl Memory {
    /// From what the database remembers.
    pub fn recall(&mut self, remembered: &[Managed]) {
        for managed in remembered {
            if let Some(spec) = &managed.last_applied {
                self.0.insert(managed.owner.key.clone(), (managed.entity_id.clone(), spec.clone()));
            }
        }
    }

    pub fn owners(&self) -> impl Iterator<Item = &OwnerKey> {
        self.0.keys()
    }

    pub fn forget(&mut self, owner: &OwnerKey) {
        self.0.remove(owner);
    }
}

impl Directory {
    /// Reconciles one object and says what became of it where that is news; true when its row was just made, or just became its own.
    pub(super) async fn reconcile(&mut self, owner: &OwnerKey) -> bool {
        let started = Instant::now();
        let Some(outcome) = self.outcome(owner).await else {
            self.parts.board.remove(owner);
            return false;
        };
        let before = self.parts.board.get(owner);
        let status = outcome.status(owner, before.as_ref());
        self.parts.metrics.reconcile(owner.kind, outcome.label(), started.elapsed().as_secs_f64());
        match outcome.next() {
            Some(at) => self.due.insert(owner.clone(), at),
            None => self.due.remove(owner),
        };
        if matches!(outcome, Outcome::Failed { .. }) {
            self.again.insert(owner.clone());
        }
        if self.parts.board.put(status.clone(), outcome.mode()) || outcome.label() == ReconcileOutcome::Changed {
            say(&outcome, &status);
        }
        matches!(&outcome, Outcome::Applied(force) if matches!(force.done.change, ChangeKind::Created | ChangeKind::Adopted))
    }

    /// `None` when there is no such object, or it is another installation's.
    async fn outcome(&mut self, owner: &OwnerKey) -> Option<Outcome> {
        let fault = self.world.invalid.get(owner).cloned();
        let Some(object) = self.world.objects.get(owner).cloned() else { return fault.map(Outcome::Unusable) };
        if !is_ours(&object, &self.parts.policy) {
            return None;
        }
        let outcome = self.walk(&object).await;
        // the last good form is held to, and still the file is wrong
        Some(match (fault, outcome) {
            (Some(fault), Outcome::Applied(_)) => Outcome::Unusable(fault),
            (_, outcome) => outcome,
        })
    }

    async fn walk(&mut self, object: &Object) -> Outcome {
        let references = dereference(object, &self.world, &self.parts.provisioner);
        let mut wanted = match desired(object, &references, &self.parts.policy) {
            Ok(wanted) => wanted,
            Err(invalid) => return Outcome::Invalid(invalid),
        };
        let owner = wanted.owner.key.clone();
        if let Err(invalid) = self.unchangeable(&wanted) {
            return Outcome::Invalid(invalid);
        }
        wanted.known_id = wanted.known_id.or_else(|| self.memory.0.get(&owner).map(|(id, _)| id.clone()));
        let done = match self.parts.provisioner.apply(&wanted).await {
            Ok(Applied::Done(done)) => *done,
            Ok(Applied::Refused(refused)) => return Outcome::Refused(refused),
            Err(error) => return Outcome::failed(&error),
        };
        if !wanted.paused && !done.entity_id.is_empty() {
            self.memory.0.insert(owner.clone(), (done.entity_id.clone(), wanted.spec.clone()));
        }
        let secret = match self.secret(object, &wanted, &done).await {
            Ok(secret) => secret,
            Err(error) => return Outcome::failed(&error),
        };
        let blocked = match object {
            Object::ResourceServer(server) => {
                resource_server::activation_failures(server, &references, &self.parts.policy)
            }
            _ => Vec::new(),
        };
        let unresolved = unresolved(object, &references);
        Outcome::Applied(Box::new(Force { done, spec: wanted.spec, mode: wanted.drift, unresolved, blocked, secret }))
    }

    /// Publishes the object's secret, if it has one, and takes away what lies where it used to be.
    async fn secret(
        &mut self,
        object: &Object,
        wanted: &Desired,
        done: &Done,
    ) -> Result<Option<Result<SecretState, String>>, provision::Error> {
        if wanted.paused || done.entity_id.is_empty() {
            return Ok(None);
        }
        let place = match self.place(object) {
            Some(Ok(place)) => place,
            Some(Err(conflict)) => return Ok(Some(Err(conflict))),
            None => {
                self.leave(&wanted.owner.key, None);
                return Ok(None);
            }
        };
        let published = publish(&self.parts.provisioner, wanted, &done.entity_id, &place, &self.parts.issuer).await;
        match published {
            Err(publish::Error::Provision(error)) => Err(error),
            published => {
                self.leave(&wanted.owner.key, Some(place));
                Ok(Some(published.map_err(|error| chain(&error))))
            }
        }
    }

    /// The object's secret is at `place` from now on; nothing stays at the place before.
    fn leave(&mut self, owner: &OwnerKey, place: Option<Place>) {
        let before = match place {
            Some(place) => {
                let hash = place.hash();
                self.places.insert(owner.clone(), (place, hash))
            }
            None => self.places.remove(owner),
        };
        let Some((before, _)) = before else { return };
        if self.places.values().all(|(place, _)| *place != before)
            && let Err(error) = before.remove()
        {
            tracing::warn!(event = "secret_left_behind", owner = %owner, error = chain(&error));
        }
    }

    fn unchangeable(&self, wanted: &Desired) -> Result<(), Invalid> {
        match self.memory.0.get(&wanted.owner.key) {
            Some((id, last)) => immutable::check(wanted, id, last),
            None => Ok(()),
        }
    }

    /// Where the object's secret goes, unless another object has that place: of several the first by name has it.
    fn place(&self, object: &Object) -> Option<Result<Place, String>> {
        let (name, _) = publish::named(object)?;
        let same = |other: &&Object| {
            other.namespace() == object.namespace() && publish::named(other).is_some_and(|(other, _)| other == name)
        };
        let first = self.world.objects.values().find(same);
        if let Some(first) = first.filter(|first| first.key() != object.key()) {
            return Some(Err(format!("the secret {}/{name} is that of {}", object.namespace(), first.key())));
        }
        let refused = || format!("{name} cannot be the name of a folder");
        Some(Place::of(object, &self.parts.secrets).ok_or_else(refused))
    }
}

/// One line for one object.
fn say(outcome: &Outcome, status: &ObjectStatus) {
    let OwnerKey { kind, namespace, name } = &status.owner;
    let (outcome, reason, message) = (outcome.as_str(), status.reason.as_str(), status.message.as_str());
    let id = status.entity_id.as_deref().unwrap_or_default();
    if status.ready {
        tracing::info!(event = "reconciled", %kind, namespace, name, outcome, ready = true, reason, message, id);
    } else {
        tracing::warn!(event = "reconciled", %kind, namespace, name, outcome, ready = false, reason, message, id);
    }
}
