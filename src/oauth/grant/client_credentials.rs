//! client_credentials (OAuth 2.1 §4.2): decided in memory, recorded only if policy is still what was decided on.

use crate::domain::actor::Actor;
use crate::domain::decide::{self, Ask};
use crate::domain::refusal::Refusal;

use crate::oauth::AuthorizationServer;
use crate::oauth::client_auth::{Authenticated, Caller};
use crate::oauth::credentials::Presented;
use crate::oauth::error::Error;
use crate::oauth::grant::ATTEMPTS;
use crate::oauth::mint::Minting;
use crate::oauth::request::{Grant, TokenRequest};
use crate::oauth::token::{Issued, TokenResponse};
use crate::store::{self, Issuance, IssueOutcome, Lineage};

pub(in crate::oauth) async fn issue(
    server: &AuthorizationServer,
    presented: &Presented,
    mut authenticated: Authenticated,
    request: &TokenRequest,
) -> Result<Issued, Error> {
    let ask = Ask { resources: &request.resources, scope: request.scope.as_deref(), bound: false };
    for _ in 0..ATTEMPTS {
        let Caller::Client(client) = &authenticated.caller else { return Err(Refusal::InvalidClient.into()) };
        let grant = decide::client_credentials(client, &ask, &*server.inner.store.snapshot())
            .map_err(|reason| Error::of(reason, &client.id))?;
        if let Some(issued) = record(server, &authenticated, &grant).await? {
            return Ok(issued);
        }
        authenticated = server.settle(presented, &grant.client_id, &grant.resource_server_id).await?;
    }
    Err(Error::Unavailable(None))
}

/// Records a token and uses up the assertion that it was asked for with; `None` when that was used before.
async fn issue_once(
    server: &AuthorizationServer,
    authenticated: &Authenticated,
    issuance: Issuance,
) -> Result<Option<IssueOutcome>, store::Error> {
    let mut tx = server.inner.store.write(&Actor::recorded(format!("client:{}", issuance.client_id))).await?;
    if !authenticated.spend(&mut tx, issuance.issued_at).await? {
        return Ok(None);
    }
    let outcome = tx.issue(&issuance, &Lineage::default()).await?;
    if outcome == IssueOutcome::Recorded {
        tx.commit().await?;
    }
    Ok(Some(outcome))
}

/// Makes the token and its row; `None` when policy moved meanwhile.
async fn record(
    server: &AuthorizationServer,
    authenticated: &Authenticated,
    grant: &decide::Grant,
) -> Result<Option<Issued>, Error> {
    // the client's own name: no user's id is a client's (D-02)
    let minting = Minting {
        grant,
        subject: &grant.client_id,
        not_after: None,
        credential: authenticated.credential.as_deref(),
        lineage: None,
        claims: None,
    };
    let minted = server.mint(&minting).await?;
    let outcome = if authenticated.assertion.is_some() {
        let issue = || issue_once(server, authenticated, minting.issuance(&minted));
        let outcome = server.inner.patience.hold(issue).await?;
        outcome.ok_or_else(|| Error::of(Refusal::AssertionReused, &grant.client_id))?
    } else {
        server.inner.patience.hold(|| server.inner.store.issue(minting.issuance(&minted))).await?
    };
    if outcome == IssueOutcome::Stale {
        return Ok(None);
    }
    Ok(Some(Issued {
        grant: Grant::ClientCredentials,
        client_id: grant.client_id.clone(),
        subject: grant.client_id.clone(),
        resource: grant.audience.clone(),
        jti: minted.jti,
        grant_id: None,
        response: TokenResponse {
            token_type: minting.token_type(),
            expires_in: minted.lifetime(),
            access_token: minted.text,
            scope: minted.scope,
            refresh_token: None,
        },
    }))
}
