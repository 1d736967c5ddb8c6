//! device_code (RFC 8628 §3.4): a device asks until its user has decided, and redeems the answer once.

use std::sync::atomic::{AtomicI64, Ordering};

use uuid::Uuid;

use crate::domain::actor::Actor;
use crate::domain::client::{ClientState, GrantType};
use crate::domain::clock::uuid_v7;
use crate::domain::decide;
use crate::domain::handle::Handle;
use crate::domain::policy::Policy;
use crate::domain::refusal::Refusal;
use crate::domain::secret::SecretText;

use crate::oauth::AuthorizationServer;
use crate::oauth::client_auth::{Authenticated, Caller};
use crate::oauth::credentials::Presented;
use crate::oauth::dpop::{Proved, Sender};
use crate::oauth::error::Error;
use crate::oauth::grant::authorization_code::verifies;
use crate::oauth::grant::start::Start;
use crate::oauth::grant::{ATTEMPTS, Outcome};
use crate::oauth::request::{Grant, TokenRequest};
use crate::oauth::token::Issued;
use crate::store::{DeviceRow, DeviceState, Tx};
use jiff::Timestamp;

/// Seconds by which the interval grows when a device asks too early (RFC 8628 §3.5).
const SLOWER: i64 = 5;
/// No interval grows beyond this, in seconds: whoever asks so rarely harms nobody.
const SLOWEST: i64 = 300;

/// A redemption under way.
struct Redemption<'a> {
    code: SecretText,
    /// Of the grant that will come of it; it tells an attempt of this request whose answer was lost.
    id: Uuid,
    request: &'a TokenRequest,
    /// When an attempt of this request was noted as a poll, in microseconds: if the answer to that was lost, the next
    /// attempt is not one that comes too early.
    polled: AtomicI64,
}

pub(in crate::oauth) async fn redeem(
    server: &AuthorizationServer,
    presented: &Presented,
    mut authenticated: Authenticated,
    (request, proved): (&TokenRequest, Option<&Proved>),
) -> Result<Issued, Error> {
    let id = uuid_v7(server.inner.clock.now(), &*server.inner.entropy)?;
    for number in 0..ATTEMPTS {
        let Caller::Client(client) = &authenticated.caller else { return Err(Refusal::InvalidClient.into()) };
        let refuse = |reason| Error::of(reason, &client.id);
        let code = request.device_code.as_deref();
        let code = code.ok_or_else(|| refuse(Refusal::Malformed("device_code is missing")))?;
        if client.client.state == ClientState::Suspended {
            return Err(refuse(Refusal::Suspended));
        }
        if !client.client.grant_types.contains(&GrantType::DeviceCode) {
            return Err(refuse(Refusal::GrantNotAllowed));
        }
        let code = Handle::DeviceCode.read(code).ok_or_else(|| refuse(Refusal::GrantUnknown))?;
        let redemption = Redemption { code, id, request, polled: AtomicI64::new(i64::MIN) };
        let sender = Sender { client, authenticated: &authenticated, proved };
        let attempt = || attempt(server, sender, &redemption);
        match server.inner.patience.hold(attempt).await?.settle(&client.id, number)? {
            Ok(issued) => return Ok(issued),
            Err(moved) => authenticated = server.settle(presented, &client.id, &moved).await?,
        }
    }
    Err(Error::Unavailable(None))
}

async fn attempt(
    server: &AuthorizationServer,
    sender: Sender<'_>,
    redemption: &Redemption<'_>,
) -> Result<Outcome, Error> {
    let (Redemption { code, id, request, polled }, client) = (redemption, sender.client);
    let mut tx = server.inner.store.write(&Actor::client(&client.id)).await?;
    let now = server.inner.clock.now();
    let Some(row) = tx.device_to_use(&code.hash()).await? else { return Ok(Outcome::Refused(Refusal::GrantUnknown)) };
    if row.client_id != client.id {
        return Ok(Outcome::Refused(Refusal::GrantOfAnother));
    }
    let snapshot = server.inner.store.snapshot();
    if let Err(reason) = decide::names_only(&request.resources, &row.resource_server_id, &*snapshot) {
        return Ok(Outcome::Refused(reason));
    }
    // PKCE is enforced when it was begun with, and refused when it was not (L-06, R-13)
    if !verifies(row.code_challenge.as_deref(), request.code_verifier.as_deref()) {
        return Ok(Outcome::Refused(Refusal::VerifierMismatch));
    }
    match row.state {
        DeviceState::Denied => return Ok(Outcome::Refused(Refusal::DeviceDenied)),
        DeviceState::Redeemed if row.grant_id != Some(*id) => return Ok(Outcome::Refused(Refusal::GrantRevoked)),
        DeviceState::Pending | DeviceState::Approved if now >= row.expires_at => {
            return Ok(Outcome::Refused(Refusal::DeviceExpired));
        }
        DeviceState::Pending => return wait(tx, &row, polled, now).await,
        DeviceState::Approved | DeviceState::Redeemed => {}
    }
    let (Some(subject), Some(auth_time)) = (&row.subject, row.auth_time) else {
        return Ok(Outcome::Refused(Refusal::GrantRevoked));
    };
    if let Err(reason) = sender.use_up(&mut tx, now).await? {
        return Ok(Outcome::Refused(reason));
    }
    let target = snapshot.resource_server(&row.resource_server_id);
    let allowed = server.allowed(&mut tx, subject, target).await?;
    let granted = decide::granted(client, target, &row.scope, None, Some(&allowed))
        .and_then(|grant| decide::bound(grant, client, (None, sender.jkt()), &*snapshot));
    let grant = match granted {
        Ok(grant) => grant,
        Err(reason) => return Ok(Outcome::no(reason, row.resource_server_id)),
    };
    if row.state == DeviceState::Approved && !tx.redeem_device(&row.hash, *id).await? {
        return Ok(Outcome::Refused(Refusal::GrantRevoked));
    }
    let start =
        Start { id: *id, by: Grant::DeviceCode, sender, grant: &grant, subject, session_id: None, auth_time, code };
    let Some(issued) = server.start(&mut tx, &start).await? else {
        return Ok(Outcome::Stale { resource_server_id: row.resource_server_id });
    };
    tx.commit().await?;
    Ok(Outcome::Issued(Box::new(issued)))
}

/// The user has not decided yet. Who asks too early waits longer from then on, also at another replica.
async fn wait(mut tx: Tx, row: &DeviceRow, own: &AtomicI64, now: Timestamp) -> Result<Outcome, Error> {
    let last = row.polled_at.filter(|last| last.as_microsecond() != own.load(Ordering::Relaxed));
    let early = last.is_some_and(|last| now.duration_since(last).as_secs() < row.interval);
    let (interval, reason) = if early {
        ((row.interval + SLOWER).min(SLOWEST), Refusal::SlowDown)
    } else {
        (row.interval, Refusal::AuthorizationPending)
    };
    tx.poll_device(&row.hash, now, interval).await?;
    own.store(now.as_microsecond(), Ordering::Relaxed);
    tx.commit().await?;
    Ok(Outcome::Refused(reason))
}
