//! What a user is shown of a device that asks, and what the user says: by the rules of the code flow (L-05).

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::user_code::UserCode;
use crate::domain::access;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::client::GrantType;
use crate::domain::clock::uuid_v7;
use crate::domain::consent::Shown;
use crate::domain::decide::{self, Ask, Grant};
use crate::domain::policy::{ClientEntry, Policy, ResourceServerEntry};
use crate::domain::redirect;
use crate::domain::refusal::Refusal;
use crate::domain::resource_server::Scope;
use crate::domain::user::SignedIn;
use crate::oauth::AuthorizationServer;
use crate::oauth::denials::DEVICE_DECISION;
use crate::oauth::error::Error;
use crate::store::{self, Consent, DeviceDecision, DeviceRow, DeviceState, RoleAssignment, RoleOrigin, Snapshot, Tx};

/// Everything that a user has to know before saying yes (RFC 8628 §5.4).
#[derive(Debug, Clone)]
pub struct DevicePrompt {
    pub client_id: String,
    pub client_name: String,
    pub resource_name: String,
    pub resource_uri: String,
    pub scopes: Vec<Scope>,
    /// Address that the device asked from.
    pub source: String,
    pub asked_at: Timestamp,
    /// As the device shows it.
    pub user_code: String,
    /// Whether the device stays signed in.
    pub stays: bool,
}

/// What was decided.
#[derive(Debug, Clone)]
pub struct DeviceDecided {
    pub client_id: String,
    pub approved: bool,
    /// From the device's request to the decision.
    pub took: SignedDuration,
}

/// What this user may give to this device.
struct Rights {
    grant: Grant,
    first_role: Option<String>,
}

impl AuthorizationServer {
    /// What the device asks for whose code somebody has typed. From now on nobody else decides about it. Each try
    /// counts, and whoever guesses is not told how close it was.
    ///
    /// # Errors
    /// Too many tries; a code that is wrong, over, decided or somebody else's; a user without a role; no database.
    pub async fn device_prompt(
        &self,
        signed_in: &SignedIn,
        typed: &str,
        source: IpAddr,
    ) -> Result<DevicePrompt, Error> {
        let counted = self.inner.tries.count(&signed_in.session_id);
        counted.map_err(|retry_after| Error::Limited { retry_after })?;
        let shown = match UserCode::read(typed) {
            Some(code) => self.inner.patience.hold(|| self.show_device(signed_in, &code)).await?,
            None => Err(Refusal::DeviceExpired),
        };
        self.noted(shown, (signed_in, source)).await
    }

    async fn noted<T>(&self, ended: Result<T, Refusal>, (signed_in, source): (&SignedIn, IpAddr)) -> Result<T, Error> {
        if let Err(reason) = &ended {
            let who = (Some(signed_in), source);
            Box::pin(self.note_user_denial((DEVICE_DECISION, *reason), None, who)).await;
        }
        Ok(ended?)
    }

    async fn show_device(
        &self,
        signed_in: &SignedIn,
        code: &UserCode,
    ) -> Result<Result<DevicePrompt, Refusal>, store::Error> {
        let mut tx = self.inner.store.write(&Actor::user(&signed_in.user_id)).await?;
        let snapshot = self.inner.store.snapshot();
        let Some(row) = self.waiting(&mut tx, code).await? else { return Ok(Err(Refusal::DeviceExpired)) };
        let (client, server) = match parties(&row, &snapshot) {
            Ok(parties) => parties,
            Err(reason) => return Ok(Err(reason)),
        };
        let rights = match rights(&mut tx, &row, (client, server), signed_in, &snapshot).await? {
            Ok(rights) => rights,
            Err(reason) => return Ok(Err(reason)),
        };
        if !tx.show_device(&row.hash, &signed_in.session_id).await? {
            return Ok(Err(Refusal::DeviceExpired));
        }
        tx.commit().await?;
        let policy = &server.resource_server;
        Ok(Ok(DevicePrompt {
            client_id: client.id.clone(),
            client_name: client.client.display_name.clone(),
            resource_name: policy.display_name.clone(),
            resource_uri: policy.resource_uri.clone(),
            scopes: policy.scopes.iter().filter(|scope| rights.grant.scopes.contains(&scope.name)).cloned().collect(),
            source: row.source,
            asked_at: row.issued_at,
            user_code: code.shown(),
            stays: client.client.grant_types.contains(&GrantType::RefreshToken),
        }))
    }

    /// What the user says, who was shown it in this very session.
    ///
    /// # Errors
    /// A code that is wrong, over, decided or not shown to this session; a user without a role; no database.
    pub async fn decide_device(
        &self,
        signed_in: &SignedIn,
        typed: &str,
        approved: bool,
        source: IpAddr,
    ) -> Result<DeviceDecided, Error> {
        let decided = match UserCode::read(typed) {
            Some(code) => self.inner.patience.hold(|| self.decide(signed_in, &code, approved, source)).await?,
            None => Err(Refusal::DeviceExpired),
        };
        self.noted(decided, (signed_in, source)).await
    }

    async fn decide(
        &self,
        signed_in: &SignedIn,
        code: &UserCode,
        approved: bool,
        source: IpAddr,
    ) -> Result<Result<DeviceDecided, Refusal>, Error> {
        let mut tx = self.inner.store.write(&Actor::user(&signed_in.user_id)).await?;
        let (snapshot, now) = (self.inner.store.snapshot(), self.inner.clock.now());
        let Some(row) = self.waiting(&mut tx, code).await? else { return Ok(Err(Refusal::DeviceExpired)) };
        let mut scope = None;
        if approved {
            let (client, server) = match parties(&row, &snapshot) {
                Ok(parties) => parties,
                Err(reason) => return Ok(Err(reason)),
            };
            let rights = match rights(&mut tx, &row, (client, server), signed_in, &snapshot).await? {
                Ok(rights) => rights,
                Err(reason) => return Ok(Err(reason)),
            };
            self.remember(&mut tx, (client, server), &rights, signed_in).await?;
            scope = Some(rights.grant.scope());
        }
        let decision = DeviceDecision {
            scope: scope.as_deref(),
            session_id: &signed_in.session_id,
            subject: &signed_in.user_id,
            auth_time: signed_in.authenticated_at,
        };
        if !tx.decide_device(&row.hash, &decision).await? {
            return Ok(Err(Refusal::DeviceExpired));
        }
        let record = Record {
            client_id: Some(&row.client_id),
            user_id: Some(&signed_in.user_id),
            resource: Some(&row.resource_server_id),
            source: Some(source),
            detail: serde_json::json!({"flow": "device", "scope": scope, "device": row.source}),
            ..Record::new(now, Actor::user(&signed_in.user_id))
        };
        let kind = if approved { AuditKind::ConsentGranted } else { AuditKind::ConsentDenied };
        tx.audit(kind, &record).await?;
        tx.commit().await?;
        Ok(Ok(DeviceDecided { client_id: row.client_id, approved, took: now.duration_since(row.issued_at) }))
    }

    /// A device that waits for this code.
    async fn waiting(&self, tx: &mut Tx, code: &UserCode) -> Result<Option<DeviceRow>, store::Error> {
        let now = self.inner.clock.now();
        let row = tx.device_by_user_code(&self.digest(code)).await?;
        Ok(row.filter(|row| row.state == DeviceState::Pending && now < row.expires_at))
    }

    /// Keeps the consent, for the user to see and withdraw, and the role of who comes for the first time.
    async fn remember(
        &self,
        tx: &mut Tx,
        (client, server): (&ClientEntry, &ResourceServerEntry),
        rights: &Rights,
        signed_in: &SignedIn,
    ) -> Result<(), Error> {
        let now = self.inner.clock.now();
        if let Some(role) = &rights.first_role {
            let assignment = RoleAssignment {
                user_id: signed_in.user_id.clone(),
                resource_server_id: server.id.clone(),
                role: role.clone(),
                origin: RoleOrigin::Default,
                assigned_at: now,
            };
            tx.assign_role(&assignment).await?;
        }
        let host = client.client.redirect_uris.first().map_or("", |uri| redirect::shown(uri));
        let shown = Shown::of(&client.id, &client.client, host, &server.resource_server, &rights.grant.scopes);
        let known = tx.consent(&signed_in.user_id, &client.id, &server.id).await?;
        // what was agreed to for the client's own pages still stands as it was agreed to
        let seen = known.map_or(shown.client, |known| known.shown.client);
        let consent = Consent {
            id: format!("cns_{}", uuid_v7(now, &*self.inner.entropy)?),
            user_id: signed_in.user_id.clone(),
            client_id: client.id.clone(),
            resource_server_id: server.id.clone(),
            shown: Shown { client: seen, scopes: shown.scopes },
            granted_at: now,
            updated_at: now,
        };
        Ok(tx.put_consent(&consent).await?)
    }
}

fn parties<'a>(row: &DeviceRow, snapshot: &'a Snapshot) -> Result<(&'a ClientEntry, &'a ResourceServerEntry), Refusal> {
    let client = snapshot.client(&row.client_id).ok_or(Refusal::DeviceExpired)?;
    let server = snapshot.resource_server(&row.resource_server_id).ok_or(Refusal::DeviceExpired)?;
    Ok((client, server))
}

/// What was asked for ∩ what the client may have ∩ the user's roles, as policy is now.
async fn rights(
    tx: &mut Tx,
    row: &DeviceRow,
    (client, server): (&ClientEntry, &ResourceServerEntry),
    signed_in: &SignedIn,
    snapshot: &Snapshot,
) -> Result<Result<Rights, Refusal>, store::Error> {
    let (user, policy) = (&signed_in.user_id, &server.resource_server);
    let assigned = tx.roles(user, &server.id).await?;
    let mut assigned: Vec<String> = assigned.into_iter().map(|assignment| assignment.role).collect();
    let first_role = access::first_role(policy, user, &assigned).map(str::to_owned);
    assigned.extend(first_role.clone());
    let allowed = access::scopes(policy, user, &assigned);
    let resources = [policy.resource_uri.clone()];
    let ask = Ask { resources: &resources, scope: Some(&row.scope), bound: false };
    let decided = decide::user(client, GrantType::DeviceCode, &ask, Some(&allowed), snapshot);
    Ok(match decided {
        Ok(grant) => Ok(Rights { grant, first_role }),
        Err(Refusal::InvalidScope) => Err(Refusal::NoRole),
        Err(reason) => Err(reason),
    })
}
