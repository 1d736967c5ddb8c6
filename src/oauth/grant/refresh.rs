//! refresh_token (OAuth 2.1 §4.3): each is used once and has one successor; used again later it ends its family.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::domain::actor::Actor;
use crate::domain::audit::AuditKind;
use crate::domain::client::{ClientState, GrantType};
use crate::domain::decide;
use crate::domain::handle::Handle;
use crate::domain::policy::{ClientEntry, Policy};
use crate::domain::refusal::Refusal;
use crate::domain::secret::SecretText;

use crate::oauth::AuthorizationServer;
use crate::oauth::client_auth::{Authenticated, Caller};
use crate::oauth::credentials::Presented;
use crate::oauth::dpop::{Proved, Sender};
use crate::oauth::error::Error;
use crate::oauth::grant::start::{idle_until, last_moment};
use crate::oauth::grant::{ATTEMPTS, Outcome, end_family};
use crate::oauth::mint::Minting;
use crate::oauth::request::{Grant, TokenRequest};
use crate::oauth::token::{Issued, TokenResponse};
use crate::store::{IssueOutcome, Lineage, RefreshRow, RevokeCause};

pub(in crate::oauth) async fn refresh(
    server: &AuthorizationServer,
    presented: &Presented,
    mut authenticated: Authenticated,
    (request, proved): (&TokenRequest, Option<&Proved>),
    source: IpAddr,
) -> Result<Issued, Error> {
    let used = AtomicI64::new(i64::MIN);
    for number in 0..ATTEMPTS {
        let Caller::Client(client) = &authenticated.caller else { return Err(Refusal::InvalidClient.into()) };
        let refuse = |reason| Error::of(reason, &client.id);
        let text = request.refresh_token.as_deref();
        let text = text.ok_or_else(|| refuse(Refusal::Malformed("refresh_token is missing")))?;
        // `unauthorized_client` would make an SDK forget its registration over a suspension (C-07, RC-2)
        if client.client.state == ClientState::Suspended {
            return Err(refuse(Refusal::GrantRevoked));
        }
        if !client.client.grant_types.contains(&GrantType::RefreshToken) {
            return Err(refuse(Refusal::GrantNotAllowed));
        }
        let token = Handle::RefreshToken.read(text).ok_or_else(|| refuse(Refusal::GrantUnknown))?;
        let sender = Sender { client, authenticated: &authenticated, proved };
        let renewal = Renewal { token, request, source, used: &used };
        let attempt = || attempt(server, sender, &renewal);
        match server.inner.patience.hold(attempt).await?.settle(&client.id, number)? {
            Ok(issued) => return Ok(issued),
            Err(moved) => authenticated = server.settle(presented, &client.id, &moved).await?,
        }
    }
    Err(Error::Unavailable(None))
}

/// A use under way.
struct Renewal<'a> {
    token: SecretText,
    request: &'a TokenRequest,
    source: IpAddr,
    /// When an attempt of this request used it, in microseconds: if that was committed and the answer lost, it is its
    /// own use that the next attempt finds, however long ago.
    used: &'a AtomicI64,
}

/// How a refresh token is used.
enum Use {
    First,
    /// Within the grace window: by the same client again, whose answer was lost or who asked twice at once (C-02).
    Again,
    /// Later: two parties have it.
    Stolen,
}

async fn attempt(
    server: &AuthorizationServer,
    sender: Sender<'_>,
    Renewal { token, request, source, used: own }: &Renewal<'_>,
) -> Result<Outcome, Error> {
    let client = sender.client;
    let mut tx = server.inner.store.write(&Actor::client(&client.id)).await?;
    let now = server.inner.clock.now();
    let Some(row) = tx.refresh_token_to_use(&token.hash()).await? else {
        return Ok(Outcome::Refused(Refusal::GrantUnknown));
    };
    let end = row.grant.expires_at.min(last_moment(client, row.grant.created_at));
    let keys = (row.grant.jkt.as_deref(), sender.jkt());
    if row.grant.client_id == client.id && keys.0.is_some() && keys.0 != keys.1 {
        // nobody without the key does anything to the family, not even by having an old token of it (P-12)
        let reason = keys.1.map_or(Refusal::SenderConstraintRequired, |_| Refusal::KeyMismatch);
        return Ok(Outcome::Refused(reason));
    }
    let is_own = row.used_at.is_some_and(|used| used.as_microsecond() == own.load(Ordering::Relaxed));
    let grace = if is_own { SignedDuration::MAX } else { server.inner.refresh_grace };
    let used = match judge(&row, client, (now, end), grace) {
        Ok(Use::Stolen) => {
            // with every access token that came of it (RFC 9700 §4.14.2)
            let theft = (Refusal::RefreshReused, RevokeCause::RefreshReuse, AuditKind::RefreshReuse);
            return end_family(tx, &row.grant, theft, (now, *source)).await;
        }
        Ok(used) => used,
        Err(reason) => return Ok(Outcome::Refused(reason)),
    };
    let snapshot = server.inner.store.snapshot();
    let target = snapshot.resource_server(&row.grant.resource_server_id);
    let allowed = server.allowed(&mut tx, &row.grant.subject, target).await?;
    let requested = request.scope.as_deref();
    let decided = decide::granted(client, target, &row.grant.scope, requested, Some(&allowed)).and_then(|grant| {
        decide::names_only(&request.resources, &grant.resource_server_id, &*snapshot)?;
        decide::bound(grant, client, keys, &*snapshot)
    });
    let grant = match decided {
        Ok(grant) => grant,
        Err(reason) => return Ok(Outcome::no(reason, row.grant.resource_server_id)),
    };
    if let Err(reason) = sender.use_up(&mut tx, now).await? {
        return Ok(Outcome::Refused(reason));
    }
    let successor = server.successor(token, row.grant.id);
    if matches!(used, Use::First) {
        let rotated = tx.use_refresh_token(&token.hash(), &successor.hash(), now).await?;
        let added = tx.put_refresh_token(&successor.hash(), row.grant.id, now, idle_until(client, now, end)).await?;
        if !rotated || !added {
            return Ok(Outcome::Stale { resource_server_id: grant.resource_server_id });
        }
        own.store(now.as_microsecond(), Ordering::Relaxed);
    }
    let lineage = Lineage {
        grant_id: Some(row.grant.id),
        jkt: sender.jkt().filter(|_| grant.bound).map(str::to_owned),
        auth_time: row.grant.auth_time,
        ..Lineage::default()
    };
    let minting = Minting {
        grant: &grant,
        subject: &row.grant.subject,
        not_after: Some(end),
        credential: sender.credential(),
        lineage: Some(&lineage),
        claims: None,
    };
    let minted = server.mint(&minting).await?;
    if tx.issue(&minting.issuance(&minted), &lineage).await? == IssueOutcome::Stale {
        return Ok(Outcome::Stale { resource_server_id: grant.resource_server_id });
    }
    tx.count_audited(AuditKind::TokenRefreshed);
    tx.commit().await?;
    Ok(Outcome::Issued(Box::new(Issued {
        grant: Grant::RefreshToken,
        client_id: client.id.clone(),
        subject: row.grant.subject.clone(),
        resource: grant.audience.clone(),
        jti: minted.jti,
        grant_id: Some(row.grant.id),
        began: false,
        exchanged: None,
        agent: grant.agent,
        response: TokenResponse {
            token_type: minting.token_type(),
            expires_in: minted.lifetime(),
            access_token: minted.text,
            scope: minted.scope,
            refresh_token: Some(successor),
            issued_token_type: None,
        },
    })))
}

/// Whether the token may be used at all, and how that counts. The family of another client is left alone (C-03).
fn judge(
    row: &RefreshRow,
    client: &ClientEntry,
    (now, end): (Timestamp, Timestamp),
    grace: SignedDuration,
) -> Result<Use, Refusal> {
    if row.grant.client_id != client.id {
        return Err(Refusal::GrantOfAnother);
    }
    // an end is a mark and no time: no clock undoes it (C-06)
    if row.grant.revoked_at.is_some() {
        return Err(Refusal::GrantRevoked);
    }
    if now >= end {
        return Err(Refusal::GrantExpired);
    }
    match row.used_at {
        None if now >= row.idle_expires_at => Err(Refusal::GrantExpired),
        None => Ok(Use::First),
        Some(used) if now.duration_since(used).abs() <= grace => Ok(Use::Again),
        Some(_) => Ok(Use::Stolen),
    }
}
