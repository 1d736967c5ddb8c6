//! client_credentials (OAuth 2.1 §4.2): decided in memory, recorded only if policy is still what was decided on.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::domain::clock::uuid_v7;
use crate::domain::decide::{self, Ask};
use crate::domain::owner::Kind;
use crate::domain::policy::ClientEntry;
use crate::domain::refusal::Refusal;

use crate::oauth::AuthorizationServer;
use crate::oauth::client_auth::{Authenticated, Caller, Door};
use crate::oauth::credentials::Presented;
use crate::oauth::error::Error;
use crate::oauth::handle;
use crate::oauth::request::{Grant, TokenRequest};
use crate::oauth::token::{Issued, TokenResponse};
use crate::store::{Issuance, IssueOutcome};

/// Policy that changes under a request more often than this is left to settle.
const ATTEMPTS: usize = 4;

/// RFC 9068 §2.2; `sub` is the client itself.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: &'a str,
    client_id: &'a str,
    scope: &'a str,
}

pub(in crate::oauth) async fn issue(
    server: &AuthorizationServer,
    presented: &Presented,
    mut authenticated: Authenticated,
    request: &TokenRequest,
) -> Result<Issued, Error> {
    let ask = Ask { resources: &request.resources, scope: request.scope.as_deref() };
    for _ in 0..ATTEMPTS {
        let Caller::Client(client) = &authenticated.caller else { return Err(Refusal::InvalidClient.into()) };
        let grant = decide::client_credentials(client, &ask, &*server.inner.store.snapshot())
            .map_err(|reason| Error::of(reason, &client.id))?;
        if let Some(issued) = record(server, client, authenticated.credential.as_deref(), &grant).await? {
            return Ok(issued);
        }
        let reread = |kind, id| server.inner.patience.hold(move || server.inner.store.reread(kind, id));
        reread(Kind::OAuthClient, &client.id).await?;
        reread(Kind::ResourceServer, &grant.resource_server_id).await?;
        authenticated = server.recognise(presented, Door::Clients)?;
    }
    Err(Error::Unavailable(None))
}

/// Makes the token and its row; `None` when policy moved meanwhile.
async fn record(
    server: &AuthorizationServer,
    client: &ClientEntry,
    credential: Option<&str>,
    grant: &decide::Grant,
) -> Result<Option<Issued>, Error> {
    let now = server.inner.clock.now();
    let jti = uuid_v7(now, &*server.inner.entropy)?;
    let expires_at =
        Timestamp::from_second(now.as_second()).unwrap_or(now) + SignedDuration::from_secs(grant.lifetime_seconds);
    let scope = grant.scope();
    let (access_token, handle) = if grant.opaque {
        let token = handle::new(&*server.inner.entropy)?;
        let hash = token.hash();
        (token.expose().to_owned(), Some(hash))
    } else {
        let mut buffer = Uuid::encode_buffer();
        let claims = Claims {
            iss: &server.inner.issuer,
            sub: &client.id,
            aud: &grant.audience,
            exp: expires_at.as_second(),
            iat: now.as_second(),
            jti: jti.hyphenated().encode_lower(&mut buffer),
            client_id: &client.id,
            scope: &scope,
        };
        (server.inner.keys.active(grant.algorithm)?.sign(&claims)?, None)
    };
    let issuance = || Issuance {
        jti,
        handle,
        client_id: client.id.clone(),
        client_revision: grant.client_revision,
        resource_server_id: grant.resource_server_id.clone(),
        resource_server_revision: grant.resource_server_revision,
        subject: client.id.clone(),
        scope: scope.clone(),
        issued_at: now,
        expires_at,
        credential_id: credential.map(str::to_owned),
    };
    let outcome = server.inner.patience.hold(|| server.inner.store.issue(issuance())).await?;
    if outcome == IssueOutcome::Stale {
        return Ok(None);
    }
    let response = TokenResponse { access_token, token_type: "Bearer", expires_in: grant.lifetime_seconds, scope };
    Ok(Some(Issued {
        response,
        grant: Grant::ClientCredentials,
        client_id: client.id.clone(),
        subject: client.id.clone(),
        resource: grant.audience.clone(),
        jti,
    }))
}
