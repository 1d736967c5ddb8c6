//! Credentials: which stay, which retire, when a new one is made; and the steps of publishing a generated one.
//!
//! A hash is `pending` before its Secret is written, `current` once the Secret was read back, `retiring` when it was
//! replaced; all three authenticate. So a crash between any two steps leaves a credential that works.

use jiff::Timestamp;

use super::note;
use super::{Error, Provisioner, SecretState};
use crate::domain::credential::Rotation;
use crate::domain::desired::SecretSource;
use crate::domain::managed::{KnownCredential, Managed};
use crate::domain::policy::Entity;
use crate::domain::{Credential, CredentialState, Desired, Reason, SecretHash, SecretText, clock};
use crate::store::Tx;

/// What the published Secret holds, read live.
#[derive(Debug, Clone)]
pub enum Held {
    /// There is no Secret, or it has no such key.
    Absent,
    Value(SecretText),
}

/// What to do next about a published Secret.
#[derive(Debug)]
pub enum SecretStep {
    /// Write this value into the Secret, read it back, and come again.
    Write(SecretText),
    Settled(SecretState),
}

/// What becomes of a principal's credentials.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Moves {
    /// New or changed.
    pub put: Vec<Credential>,
    /// Ids of those that reached the end of their overlap.
    pub retired: Vec<String>,
    /// Ids of those that were revoked or are not wanted.
    pub removed: Vec<String>,
    /// The id of the pending one that became current, and whether it replaced another.
    pub promoted: Option<(String, bool)>,
    /// A new one is to be made.
    pub generate: bool,
}

impl Moves {
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.retired.is_empty() && self.removed.is_empty() && !self.generate
    }

    fn put(&mut self, credential: Credential) {
        self.put.retain(|other| other.id != credential.id);
        self.put.push(credential);
    }

    fn retire(&mut self, credential: &Credential, rotation: &Rotation, now: Timestamp) {
        let retire_at = Some(rotation.retire_at(now));
        self.put(Credential { state: CredentialState::Retiring, retire_at, ..credential.clone() });
    }
}

/// The moves that any source makes: ends what is over, what was revoked, what is not wanted; takes in a referenced one.
pub fn tend(source: &SecretSource, live: &[Credential], revoked: Option<Timestamp>, now: Timestamp) -> Moves {
    let mut moves = Moves::default();
    let over = |c: &Credential| revoked.is_some_and(|level| c.issued_at < level);
    for credential in live {
        if matches!(source, SecretSource::None) || over(credential) {
            moves.removed.push(credential.id.clone());
        } else if !credential.is_live(now) {
            moves.retired.push(credential.id.clone());
        }
    }
    if let SecretSource::Referenced { hash, rotation } = source {
        let standing: Vec<_> = live.iter().filter(|c| !over(c) && c.is_live(now)).collect();
        if !standing.iter().any(|c| c.state == CredentialState::Current && c.hash == *hash) {
            for credential in standing.iter().filter(|c| c.state != CredentialState::Retiring && c.hash != *hash) {
                moves.retire(credential, rotation, now);
            }
            let known = standing.iter().find(|c| c.hash == *hash);
            let id = known.map_or_else(|| fresh_id(now, hash), |c| c.id.clone());
            let issued_at = known.map_or(now, |c| c.issued_at);
            let state = CredentialState::Current;
            moves.put(Credential { id, hash: *hash, state, issued_at, retire_at: None, last_used_at: None });
        }
    }
    moves
}

/// The moves that bring a generated secret and its Secret together.
pub fn settle(live: &[Credential], held: Option<SecretHash>, rotation: &Rotation, now: Timestamp) -> Moves {
    let mut moves = Moves::default();
    let of = |state| live.iter().find(move |c: &&Credential| c.state == state);
    let (pending, current) = (of(CredentialState::Pending), of(CredentialState::Current));
    if let Some(pending) = pending.filter(|p| held == Some(p.hash)) {
        // of a row that was adopted there may be several
        for current in live.iter().filter(|c| c.state == CredentialState::Current) {
            moves.retire(current, rotation, now);
        }
        moves.put(Credential { state: CredentialState::Current, ..pending.clone() });
        moves.promoted = Some((pending.id.clone(), current.is_some()));
        return moves;
    }
    let holds_current = current.is_some_and(|c| held == Some(c.hash) && !rotation.is_due(c.issued_at, now));
    if holds_current && pending.is_none() {
        return moves;
    }
    if let Some(pending) = pending {
        moves.retire(pending, rotation, now);
    }
    moves.generate = !holds_current;
    moves
}

/// An id that is unique for this principal and says nothing about the value.
fn fresh_id(now: Timestamp, hash: &SecretHash) -> String {
    // half of a hash of the hash: unpredictable to who does not know the secret, and the same on a retry
    let digest = SecretText::new(format!("{hash_bytes:?}{now}", hash_bytes = hash.as_bytes())).hash();
    let short: String = digest.as_bytes()[..8].iter().map(|b| format!("{b:02x}")).collect();
    format!("sec_{short}")
}

/// The credentials as they are after the moves.
pub fn after(live: &[Credential], moves: &Moves) -> Vec<Credential> {
    let gone = |c: &Credential| {
        moves.removed.contains(&c.id) || moves.retired.contains(&c.id) || moves.put.iter().any(|put| put.id == c.id)
    };
    let mut all: Vec<Credential> = live.iter().filter(|c| !gone(c)).chain(&moves.put).cloned().collect();
    all.sort_by(|a, b| (a.issued_at, &a.id).cmp(&(b.issued_at, &b.id)));
    all
}

/// Writes the moves, remembers the outcome in `managed`, and says what happened.
pub async fn write(
    tx: &mut Tx,
    desired: &Desired,
    managed: &mut Managed,
    moves: &Moves,
    now: Timestamp,
) -> Result<(), Error> {
    for id in moves.removed.iter().chain(&moves.retired) {
        tx.delete_credential(id).await?;
    }
    for credential in &moves.put {
        tx.put_credential(&managed.entity_id, credential).await?;
    }
    for id in &moves.retired {
        let text = format!("secret {id} has reached the end of its overlap");
        tx.add_report(&note::report(desired, Reason::SecretRetired, "", text, now)).await?;
    }
    if let Some((id, replaced)) = &moves.promoted {
        let (reason, text) = match replaced {
            true => (Reason::SecretRotated, format!("secret {id} replaces the one before, which retires")),
            false => (Reason::SecretGenerated, format!("secret {id} is published")),
        };
        tx.add_report(&note::report(desired, reason, "", text, now)).await?;
    }
    // from what was remembered, not from what is there: a hash that nobody wrote is not taken in
    let known: Vec<Credential> = managed.credentials.iter().filter_map(KnownCredential::restore).collect();
    managed.credentials = after(&known, moves).iter().map(KnownCredential::of).collect();
    Ok(())
}

/// The credentials as status shows them.
pub fn state(credentials: &[Credential], source: &SecretSource) -> SecretState {
    let rotation = match source {
        SecretSource::Generated(rotation) => Some(rotation),
        _ => None,
    };
    let of = |state| credentials.iter().filter(move |c: &&Credential| c.state == state);
    let current = of(CredentialState::Current).next().cloned();
    SecretState {
        next_rotation: current.as_ref().and_then(|c| rotation?.next(c.issued_at)),
        pending: of(CredentialState::Pending).next().is_some(),
        retiring: of(CredentialState::Retiring).cloned().collect(),
        current,
    }
}

impl Provisioner {
    /// One step of publishing a generated secret: call it with what the Secret holds, do what it says, come again
    /// with what the Secret then holds, until it is settled.
    pub async fn settle_secret(&self, desired: &Desired, entity_id: &str, held: Held) -> Result<SecretStep, Error> {
        let SecretSource::Generated(rotation) = &desired.secret else {
            return Ok(SecretStep::Settled(SecretState::default()));
        };
        let held = match &held {
            Held::Absent => None,
            Held::Value(text) => Some(text.hash()),
        };
        let kind = desired.spec.kind();
        let mut tx = self.store().read().await?;
        let entity = tx.entity(kind, entity_id).await?.ok_or(Error::Unknown(kind))?;
        drop(tx);
        if let Some(text) = self.unpublished(&entity, held) {
            return Ok(SecretStep::Write(text));
        }
        if desired.paused || settle(&entity.credentials, held, rotation, self.now()).is_empty() {
            return Ok(SecretStep::Settled(state(&entity.credentials, &desired.secret)));
        }
        self.settle_in_transaction(desired, entity_id, held, rotation).await
    }

    async fn settle_in_transaction(
        &self,
        desired: &Desired,
        entity_id: &str,
        held: Option<SecretHash>,
        rotation: &Rotation,
    ) -> Result<SecretStep, Error> {
        let (kind, now) = (desired.spec.kind(), self.now());
        let made = SecretText::generate(&*self.0.parts.entropy)?;
        let id = format!("sec_{}", clock::uuid_v7(now, &*self.0.parts.entropy)?.simple());
        let mut tx = self.write().await?;
        tx.lock_entity(kind, entity_id).await?;
        let entity = tx.entity(kind, entity_id).await?.ok_or(Error::Unknown(kind))?;
        let mut managed = tx.managed(&desired.owner.key).await?.ok_or(Error::Unknown(kind))?;
        let mut moves = settle(&entity.credentials, held, rotation, now);
        if moves.generate {
            let state = CredentialState::Pending;
            moves.put(Credential {
                id: id.clone(),
                hash: made.hash(),
                state,
                issued_at: now,
                retire_at: None,
                last_used_at: None,
            });
        }
        write(&mut tx, desired, &mut managed, &moves, now).await?;
        tx.put_managed(&managed).await?;
        tx.commit().await?;
        if moves.promoted.is_some() {
            self.0.parts.observer.secret_rotated(kind);
        }
        if moves.generate {
            self.unpublished_secrets().insert(id, made.clone());
            return Ok(SecretStep::Write(made));
        }
        let credentials = after(&entity.credentials, &moves);
        self.unpublished_secrets()
            .retain(|id, _| !credentials.iter().any(|c| &c.id == id && c.state != CredentialState::Pending));
        Ok(SecretStep::Settled(state(&credentials, &desired.secret)))
    }

    /// The value of the pending credential, if this process still has it and the Secret does not.
    fn unpublished(&self, entity: &Entity, held: Option<SecretHash>) -> Option<SecretText> {
        let pending = entity.credentials.iter().find(|c| c.state == CredentialState::Pending)?;
        (held != Some(pending.hash)).then(|| self.unpublished_secrets().get(&pending.id).cloned())?
    }

    fn unpublished_secrets(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, SecretText>> {
        // a panic elsewhere leaves a map of whole entries behind
        self.0.unpublished.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
