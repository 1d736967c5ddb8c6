//! What the leader does to keys: it takes the steps that the schedule, or a request, makes due.

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;

use super::keeper::Made;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::leadership::Epoch;
use crate::domain::resource_server::SigningAlgorithm;
use crate::domain::signing_key::{KeyLife, KeyState, KeyStep, KeyStore, RotationRequest, due};
use crate::oauth::AuthorizationServer;
use crate::oauth::error::Error;
use crate::store::{SigningKey, Topic, Tx};

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    pub algorithm: SigningAlgorithm,
    pub kid: String,
    /// What it is from now on.
    pub state: KeyState,
    pub who: Actor,
}

/// What was done, and when there is something to do next, as far as is known.
#[derive(Debug, Default)]
pub struct Kept {
    pub changes: Vec<KeyChange>,
    pub next: Option<Timestamp>,
}

/// What is known before anything is written.
#[derive(PartialEq)]
struct Situation {
    rows: Vec<SigningKey>,
    asked: Option<(RotationRequest, Actor)>,
}

impl Situation {
    async fn read(tx: &mut Tx) -> Result<Self, Error> {
        Ok(Self { rows: tx.signing_keys().await?, asked: tx.key_rotation_request().await? })
    }

    fn steps(&self, server: &AuthorizationServer, found: &[Made], now: Timestamp) -> Vec<KeyStep> {
        let lives: Vec<KeyLife> = self.rows.iter().map(|row| row.life.clone()).collect();
        let asked = self.asked.as_ref().map(|(request, _)| *request);
        let rotation = server.inner.keys.rotation;
        let mut steps = due(&lives, rotation, asked, now);
        // a key that somebody put into the folder is to be used, unless another is under way
        for made in found {
            let algorithm = made.public.algorithm;
            let under_way = lives.iter().any(|key| key.algorithm == algorithm && key.state == KeyState::Next);
            let published =
                steps.iter().any(|step| matches!(step, KeyStep::Publish { algorithm: a, .. } if *a == algorithm));
            if !under_way && !published {
                steps.push(KeyStep::Publish { algorithm, activate_at: now + rotation.publish_ahead });
            }
        }
        steps
    }

    fn who(&self) -> Actor {
        self.asked.as_ref().map_or_else(Actor::server, |(_, who)| who.clone())
    }
}

impl AuthorizationServer {
    /// Takes the steps that are due, under the leader's epoch.
    ///
    /// # Errors
    /// Another leads, the database is away, or a store cannot make a key. Nothing is half done.
    pub async fn keep_keys(&self, epoch: Epoch) -> Result<Kept, Error> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.read().await?;
        let before = Situation::read(&mut tx).await?;
        drop(tx);
        let found = self.strangers(&before.rows).await?;
        let mut steps = before.steps(self, &found, now);
        // nobody could sign with it
        steps.retain(|step| !matches!(step, KeyStep::Activate { kid, .. } if !self.inner.keys.can_sign(kid)));
        if steps.is_empty() && before.asked.is_none() {
            return Ok(Kept { changes: Vec::new(), next: next(&before.rows) });
        }
        let mut made = found;
        for step in &steps {
            if let KeyStep::Publish { algorithm, .. } = step
                && made.iter().all(|made| made.public.algorithm != *algorithm)
            {
                let store = self.inner.keys.rotation.store;
                made.push(self.inner.keys.keeper.make(*algorithm, store, &before.rows).await?);
            }
        }
        let mut tx = self.inner.store.write_as_leader(&before.who(), epoch).await?;
        let mut present = Situation::read(&mut tx).await?;
        if present != before {
            return Ok(Kept { changes: Vec::new(), next: Some(now) });
        }
        let mut changes = Vec::new();
        for step in steps {
            changes.extend(take(&mut tx, &mut present, step, &made, now).await?);
        }
        tx.close_key_rotation_request().await?;
        tx.commit().await?;
        Ok(Kept { changes, next: next(&present.rows) })
    }

    /// Keys of the folder that no row tells of, where the folder is what new keys come from.
    async fn strangers(&self, rows: &[SigningKey]) -> Result<Vec<Made>, Error> {
        if self.inner.keys.rotation.store != KeyStore::File {
            return Ok(Vec::new());
        }
        let files = self.inner.keys.keeper.files().await?;
        let new = files.into_iter().filter(|file| rows.iter().all(|row| row.life.kid != file.public.kid));
        let store = KeyStore::File;
        Ok(new.map(|file| Made { public: file.public, sealed: Vec::new(), reference: file.name, store }).collect())
    }

    /// Word that something about the keys may be due though its time has not come.
    pub fn keys_wanted(&self) -> KeysWanted {
        KeysWanted { heard: self.inner.store.topic(Topic::SigningKeys), server: self.clone() }
    }
}

/// Hears of requests, of changed rows, and of SIGHUP; nothing that happens between two waits is missed.
pub struct KeysWanted {
    heard: watch::Receiver<u64>,
    server: AuthorizationServer,
}

impl KeysWanted {
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.heard.changed() => {}
            () = self.server.inner.keys.look.notified() => {}
        }
    }
}

/// When the next key of these changes, by what is planned already.
fn next(rows: &[SigningKey]) -> Option<Timestamp> {
    let planned = |row: &SigningKey| match row.life.state {
        KeyState::Next => Some(row.life.activate_at),
        KeyState::Retiring => row.life.retire_at,
        KeyState::Active | KeyState::Retired => None,
    };
    rows.iter().filter_map(planned).min()
}

async fn take(
    tx: &mut Tx,
    situation: &mut Situation,
    step: KeyStep,
    made: &[Made],
    now: Timestamp,
) -> Result<Vec<KeyChange>, Error> {
    let who = situation.who();
    let mut changed: Vec<SigningKey> = Vec::new();
    match step {
        KeyStep::Publish { algorithm, activate_at } => {
            let Some(made) = made.iter().find(|made| made.public.algorithm == algorithm) else { return Ok(Vec::new()) };
            changed.push(made.row(KeyState::Next, (now, activate_at)));
        }
        KeyStep::Hasten { kid, activate_at } => {
            changed.extend(situation.rows.iter().filter(|row| row.life.kid == kid).cloned());
            changed.iter_mut().for_each(|row| row.life.activate_at = activate_at);
        }
        KeyStep::Activate { kid, others_retire_at } => {
            let Some(next) = situation.rows.iter().find(|row| row.life.kid == kid) else { return Ok(Vec::new()) };
            let algorithm = next.life.algorithm;
            let active = |row: &&SigningKey| row.life.algorithm == algorithm && row.life.state == KeyState::Active;
            for mut row in situation.rows.iter().filter(active).cloned().collect::<Vec<_>>() {
                (row.life.state, row.life.retire_at) = (KeyState::Retiring, Some(others_retire_at));
                changed.push(row);
            }
            let mut next = next.clone();
            (next.life.state, next.life.activate_at) = (KeyState::Active, now);
            changed.push(next);
        }
        KeyStep::Retire { kid } => {
            changed.extend(situation.rows.iter().filter(|row| row.life.kid == kid).cloned());
            for row in &mut changed {
                row.life.state = KeyState::Retired;
                row.sealed_private.clear();
            }
        }
    }
    let mut told = Vec::new();
    for row in changed {
        tx.put_signing_key(&row).await?;
        let life = &row.life;
        let kind = match life.state {
            KeyState::Next => AuditKind::KeyPublished,
            KeyState::Active => AuditKind::KeyRotated,
            KeyState::Retiring | KeyState::Retired => AuditKind::KeyRetired,
        };
        let detail = json!({
            "kid": life.kid, "algorithm": life.algorithm.as_str(), "state": life.state.as_str(),
            "store": life.store.as_str(), "activate_at": life.activate_at, "retire_at": life.retire_at,
        });
        tx.audit(kind, &Record { detail, ..Record::new(now, who.clone()) }).await?;
        let (algorithm, kid, state) = (life.algorithm, life.kid.clone(), life.state);
        told.push(KeyChange { algorithm, kid, state, who: who.clone() });
        situation.rows.retain(|known| known.life.kid != row.life.kid);
        situation.rows.push(row);
    }
    Ok(told)
}
