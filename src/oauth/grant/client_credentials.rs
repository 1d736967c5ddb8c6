//! client_credentials (OAuth 2.1 §4.2): decided in memory, recorded only if policy is still what was decided on.

use crate::domain::actor::Actor;
use crate::domain::audit::AuditKind;
use crate::domain::decide::{self, Ask};
use crate::domain::refusal::Refusal;

use crate::oauth::AuthorizationServer;
use crate::oauth::client_auth::{Authenticated, Caller};
use crate::oauth::credentials::Presented;
use crate::oauth::dpop::{Proved, Sender};
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
    (request, proved): (&TokenRequest, Option<&Proved>),
) -> Result<Issued, Error> {
    let ask = Ask { resources: &request.resources, scope: request.scope.as_deref(), bound: proved.is_some() };
    for _ in 0..ATTEMPTS {
        let Caller::Client(client) = &authenticated.caller else { return Err(Refusal::InvalidClient.into()) };
        let grant = decide::client_credentials(client, &ask, &*server.inner.store.snapshot())
            .map_err(|reason| Error::of(reason, &client.id))?;
        let sender = Sender { client, authenticated: &authenticated, proved };
        match record(server, sender, &grant).await? {
            Recorded::Issued(issued) => return Ok(*issued),
            Recorded::Refused(reason) => return Err(Error::of(reason, &client.id)),
            Recorded::Stale => {}
        }
        authenticated = Box::pin(server.settle(presented, &grant.client_id, &grant.resource_server_id)).await?;
    }
    Err(Error::Unavailable(None))
}

/// What became of a token.
enum Recorded {
    Issued(Box<Issued>),
    Refused(Refusal),
    /// Policy moved meanwhile.
    Stale,
}

/// Makes the token and its row: with many others in one commit or, when something is used up by it, in a transaction
/// of its own.
async fn record(server: &AuthorizationServer, sender: Sender<'_>, grant: &decide::Grant) -> Result<Recorded, Error> {
    let jkt = sender.jkt().filter(|_| grant.bound).map(str::to_owned);
    let lineage = sender.uses_something_up().then(|| Lineage { jkt, ..Lineage::default() });
    // the client's own name: no user's id is a client's (D-02)
    let minting = Minting {
        grant,
        subject: &grant.client_id,
        not_after: None,
        credential: sender.credential(),
        lineage: lineage.as_ref(),
        claims: None,
    };
    let minted = server.mint(&minting).await?;
    let issuance = || minting.issuance(&minted);
    let outcome = match &lineage {
        None => server.inner.patience.hold(|| server.inner.store.issue(issuance())).await?,
        Some(lineage) => {
            match server.inner.patience.hold(|| Box::pin(alone(server, sender, (issuance(), lineage)))).await? {
                Ok(outcome) => outcome,
                Err(reason) => return Ok(Recorded::Refused(reason)),
            }
        }
    };
    if outcome == IssueOutcome::Stale {
        return Ok(Recorded::Stale);
    }
    Ok(Recorded::Issued(Box::new(Issued {
        grant: Grant::ClientCredentials,
        client_id: grant.client_id.clone(),
        subject: grant.client_id.clone(),
        resource: grant.audience.clone(),
        jti: minted.jti,
        grant_id: None,
        began: false,
        exchanged: None,
        agent: grant.agent,
        response: TokenResponse {
            token_type: minting.token_type(),
            expires_in: minted.lifetime(),
            access_token: minted.text,
            scope: minted.scope,
            refresh_token: None,
            issued_token_type: None,
        },
    })))
}

/// Records a token together with what is used up by it.
async fn alone(
    server: &AuthorizationServer,
    sender: Sender<'_>,
    (issuance, lineage): (Issuance, &Lineage),
) -> Result<Result<IssueOutcome, Refusal>, store::Error> {
    let mut tx = server.inner.store.write(&Actor::client(&sender.client.id)).await?;
    if let Err(reason) = sender.use_up(&mut tx, server.inner.clock.now()).await? {
        return Ok(Err(reason));
    }
    let outcome = tx.issue(&issuance, lineage).await?;
    if outcome == IssueOutcome::Recorded {
        tx.count_audited(AuditKind::TokenIssued);
        tx.commit().await?;
    }
    Ok(Ok(outcome))
}
