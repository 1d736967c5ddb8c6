//! client_credentials (OAuth 2.1 §4.2): decided in memory, recorded only if policy is still what was decided on.

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
use crate::store::IssueOutcome;

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
        if let Some(issued) = record(server, authenticated.credential.as_deref(), &grant).await? {
            return Ok(issued);
        }
        authenticated = server.settle(presented, &grant.client_id, &grant.resource_server_id).await?;
    }
    Err(Error::Unavailable(None))
}

/// Makes the token and its row; `None` when policy moved meanwhile.
async fn record(
    server: &AuthorizationServer,
    credential: Option<&str>,
    grant: &decide::Grant,
) -> Result<Option<Issued>, Error> {
    // the client's own name: no user's id is a client's (D-02)
    let minting =
        Minting { grant, subject: &grant.client_id, not_after: None, credential, lineage: None, claims: None };
    let minted = server.mint(&minting).await?;
    let issue = || server.inner.store.issue(minting.issuance(&minted));
    if server.inner.patience.hold(issue).await? == IssueOutcome::Stale {
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
