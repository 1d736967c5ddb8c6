//! authorization_code (OAuth 2.1 §4.1.3): a code is redeemed once, by whoever it was issued to, with its verifier.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::domain::actor::Actor;
use crate::domain::audit::AuditKind;
use crate::domain::client::{ClientState, GrantType};
use crate::domain::clock::uuid_v7;
use crate::domain::decide;
use crate::domain::handle::Handle;
use crate::domain::policy::Policy;
use crate::domain::refusal::Refusal;
use crate::domain::secret::SecretText;
use crate::domain::user::SignedIn;

use crate::oauth::AuthorizationServer;
use crate::oauth::client_auth::{Authenticated, Caller};
use crate::oauth::credentials::Presented;
use crate::oauth::dpop::{Proved, Sender};
use crate::oauth::error::Error;
use crate::oauth::grant::start::Start;
use crate::oauth::grant::{ATTEMPTS, Outcome, end_family};
use crate::oauth::request::{Grant, TokenRequest};
use crate::oauth::token::Issued;
use crate::store::{CodeRow, RevokeCause, Tx};

/// How long a code lives.
const LIFE: SignedDuration = SignedDuration::from_secs(60);

/// What a user has authorized: everything that the code is bound to.
#[derive(Debug, Clone)]
pub struct Authorized {
    pub client_id: String,
    pub resource_server_id: String,
    /// Those consented to.
    pub scopes: Vec<String>,
    /// As the authorization request had it; `None` when it had none.
    pub redirect_uri: Option<String>,
    /// Of method S256.
    pub code_challenge: String,
    pub dpop_jkt: Option<String>,
    pub signed_in: SignedIn,
}

impl AuthorizationServer {
    /// Issues a code in the transaction that ends the authorization request.
    ///
    /// # Errors
    /// When the database fails.
    pub(in crate::oauth) async fn put_code(
        &self,
        tx: &mut Tx,
        authorized: &Authorized,
        code: &SecretText,
    ) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let row = CodeRow {
            client_id: authorized.client_id.clone(),
            subject: authorized.signed_in.user_id.clone(),
            resource_server_id: authorized.resource_server_id.clone(),
            scope: authorized.scopes.join(" "),
            redirect_uri: authorized.redirect_uri.clone(),
            code_challenge: authorized.code_challenge.clone(),
            jkt: authorized.dpop_jkt.clone(),
            session_id: authorized.signed_in.session_id.clone(),
            auth_time: authorized.signed_in.authenticated_at,
            issued_at: now,
            expires_at: now + LIFE,
            used_at: None,
            grant_id: None,
        };
        Ok(tx.put_code(&code.hash(), &row).await?)
    }

    /// Issues a code in a transaction of its own.
    ///
    /// # Errors
    /// When the database or the random source fails.
    pub async fn issue_code(&self, authorized: &Authorized) -> Result<SecretText, Error> {
        let code = Handle::AuthorizationCode.generate(&*self.inner.entropy)?;
        let attempt = || async {
            let mut tx = self.inner.store.write(&Actor::recorded(authorized.signed_in.user_id.clone())).await?;
            self.put_code(&mut tx, authorized, &code).await?;
            Ok::<_, Error>(tx.commit().await?)
        };
        self.inner.patience.hold(attempt).await?;
        Ok(code)
    }
}

/// A redemption under way.
struct Redemption<'a> {
    code: SecretText,
    /// Of the grant that will come of it. A code that was used for this very grant was used by an attempt of this
    /// request whose answer was lost.
    id: Uuid,
    request: &'a TokenRequest,
    source: IpAddr,
}

pub(in crate::oauth) async fn redeem(
    server: &AuthorizationServer,
    presented: &Presented,
    mut authenticated: Authenticated,
    (request, proved): (&TokenRequest, Option<&Proved>),
    source: IpAddr,
) -> Result<Issued, Error> {
    let refuse = |reason, caller: &Caller| Error::of(reason, caller.id());
    let code = request.code.as_deref().ok_or(Refusal::Malformed("code is missing"));
    let code = code.map_err(|reason| refuse(reason, &authenticated.caller))?;
    let id = uuid_v7(server.inner.clock.now(), &*server.inner.entropy)?;
    for number in 0..ATTEMPTS {
        let Caller::Client(client) = &authenticated.caller else { return Err(Refusal::InvalidClient.into()) };
        if client.client.state == ClientState::Suspended {
            return Err(Error::of(Refusal::Suspended, &client.id));
        }
        if !client.client.grant_types.contains(&GrantType::AuthorizationCode) {
            return Err(Error::of(Refusal::GrantNotAllowed, &client.id));
        }
        let code = Handle::AuthorizationCode.read(code).ok_or_else(|| Error::of(Refusal::GrantUnknown, &client.id))?;
        let redemption = Redemption { code, id, request, source };
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
    let (Redemption { code, id, request, source }, client) = (redemption, sender.client);
    let hash = code.hash();
    let mut tx = server.inner.store.write(&Actor::client(&client.id)).await?;
    let now = server.inner.clock.now();
    // what is not the caller's own, or is asked for wrongly, is left as it is: a corrected retry works (B-13)
    let Some(row) = tx.code_to_use(&hash).await? else { return Ok(Outcome::Refused(Refusal::GrantUnknown)) };
    if row.client_id != client.id {
        return Ok(Outcome::Refused(Refusal::GrantOfAnother));
    }
    let snapshot = server.inner.store.snapshot();
    if let Err(reason) = decide::names_only(&request.resources, &row.resource_server_id, &*snapshot) {
        return Ok(Outcome::Refused(reason));
    }
    if let Err(reason) = sender.use_up(&mut tx, now).await? {
        return Ok(Outcome::Refused(reason));
    }
    let proved = prove(&row, request);
    if row.used_at.is_some() && row.grant_id != Some(*id) {
        let has_key = row.jkt.is_none() || row.jkt.as_deref() == sender.jkt();
        return again(tx, &row, proved.is_ok() && has_key, (now, *source)).await;
    }
    if row.used_at.is_none() {
        if now >= row.expires_at {
            return Ok(Outcome::Refused(Refusal::GrantExpired));
        }
        let spent = tx.use_code(&hash, proved.is_ok().then_some(*id), now).await?;
        if !spent {
            return Ok(Outcome::Refused(Refusal::GrantRevoked));
        }
        if let Err(reason) = proved {
            // whoever guesses does so once (B-12)
            tx.commit().await?;
            return Ok(Outcome::Refused(reason));
        }
    }
    let target = snapshot.resource_server(&row.resource_server_id);
    let allowed = server.allowed(&mut tx, &row.subject, target).await?;
    let keys = (row.jkt.as_deref(), sender.jkt());
    let granted = decide::granted(client, target, &row.scope, None, Some(&allowed))
        .and_then(|grant| decide::bound(grant, client, keys, &*snapshot));
    let grant = match granted {
        Ok(grant) => grant,
        Err(reason) => return Ok(Outcome::no(reason, row.resource_server_id)),
    };
    let start = Start {
        id: *id,
        by: Grant::AuthorizationCode,
        sender,
        grant: &grant,
        subject: &row.subject,
        session_id: Some(&row.session_id),
        auth_time: row.auth_time,
        code,
    };
    let Some(issued) = server.start(&mut tx, &start).await? else {
        return Ok(Outcome::Stale { resource_server_id: row.resource_server_id });
    };
    tx.commit().await?;
    Ok(Outcome::Issued(Box::new(issued)))
}

/// A code that was used before. Whoever shows everything that it takes proves that two parties have it: what the first
/// was issued is ended (B-14). Whoever does not, be it the key that the code is bound to, proves nothing and ends
/// nothing.
async fn again(mut tx: Tx, row: &CodeRow, proved: bool, at: (Timestamp, IpAddr)) -> Result<Outcome, Error> {
    let Some(grant_id) = row.grant_id else { return Ok(Outcome::Refused(Refusal::GrantRevoked)) };
    if !proved {
        return Ok(Outcome::Refused(Refusal::CodeUsed));
    }
    match tx.grant(grant_id).await?.filter(|grant| grant.revoked_at.is_none()) {
        Some(grant) => {
            end_family(tx, &grant, (Refusal::CodeReused, RevokeCause::CodeReuse, AuditKind::CodeReuse), at).await
        }
        // the third one finds nothing to end
        None => Ok(Outcome::Refused(Refusal::GrantRevoked)),
    }
}

/// Whether the request shows what only the party shows that the code was made for.
fn prove(row: &CodeRow, request: &TokenRequest) -> Result<(), Refusal> {
    // OAuth 2.1 leaves it out; whoever sends it sends the same (B-15)
    if request.redirect_uri.is_some() && request.redirect_uri != row.redirect_uri {
        return Err(Refusal::RedirectMismatch);
    }
    let verified = verifies(Some(&row.code_challenge), request.code_verifier.as_deref());
    if verified { Ok(()) } else { Err(Refusal::VerifierMismatch) }
}

/// Whether a verifier is the one of a challenge (RFC 7636 §4.6); where there is no challenge there is no verifier.
pub(in crate::oauth) fn verifies(challenge: Option<&str>, verifier: Option<&str>) -> bool {
    let Some(challenge) = challenge else { return verifier.is_none() };
    let made = verifier.filter(|text| is_verifier(text)).map(|text| URL_SAFE_NO_PAD.encode(Sha256::digest(text)));
    made.is_some_and(|made| made.as_bytes().ct_eq(challenge.as_bytes()).into())
}

/// RFC 7636 §4.1
fn is_verifier(text: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}
