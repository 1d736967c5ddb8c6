//! Token exchange (RFC 8693): a token for one resource of this server becomes one for another, for a client that the
//! other lets in. The new one ends with the old one, and says who has acted.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::domain::access;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::decide::exchange::{self, Exchange, ExchangeAsk, ExchangeRules, Held};
use crate::domain::policy::Policy;
use crate::domain::refusal::Refusal;
use crate::domain::user;
use jiff::Timestamp;

use crate::oauth::AuthorizationServer;
use crate::oauth::client_auth::{Authenticated, Caller};
use crate::oauth::credentials::Presented;
use crate::oauth::dpop::{Proved, Sender};
use crate::oauth::error::Error;
use crate::oauth::form::Form;
use crate::oauth::grant::{ATTEMPTS, Outcome};
use crate::oauth::lookup::Found;
use crate::oauth::mint::{Minted, Minting};
use crate::oauth::request::{Grant, MAX_TOKEN, TokenRequest};
use crate::oauth::token::{Issued, TokenResponse};
use crate::store::{self, IssueOutcome, Lineage, Snapshot, TokenRow, Tx};

/// RFC 8693 §3
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The parameters of an exchange (RFC 8693 §2.1).
pub(in crate::oauth) struct Parameters {
    audiences: Vec<String>,
    subject_token: Result<String, Refusal>,
    actor_token: Result<Option<String>, Refusal>,
    /// Whether a JWT and nothing else is asked for.
    jwt: Result<bool, Refusal>,
}

impl Parameters {
    pub fn read(form: &Form) -> Self {
        let subject_token = match token(form, "subject_token", "subject_token_type") {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(Refusal::Malformed("subject_token is missing")),
            Err(reason) => Err(reason),
        };
        Self {
            audiences: form.all("audience").map(str::to_owned).collect(),
            subject_token,
            actor_token: token(form, "actor_token", "actor_token_type"),
            jwt: match form.get("requested_token_type") {
                None | Some(ACCESS_TOKEN) => Ok(false),
                Some(JWT) => Ok(true),
                Some(_) => Err(Refusal::Malformed("this requested_token_type is not issued here")),
            },
        }
    }
}

/// A token and its type, which come together. Only what this server issues for resources is exchanged: neither ID
/// tokens nor refresh tokens nor assertions (M8-09, R-26).
fn token(form: &Form, name: &'static str, type_name: &'static str) -> Result<Option<String>, Refusal> {
    match (form.get(name), form.get(type_name)) {
        (None, None) => Ok(None),
        (Some(token), Some(ACCESS_TOKEN | JWT)) if token.len() <= MAX_TOKEN => Ok(Some(token.to_owned())),
        (Some(_), Some(ACCESS_TOKEN | JWT)) => Err(Refusal::Malformed("the token is too long")),
        (Some(_), Some(_)) => Err(Refusal::Malformed("tokens of this type are not exchanged here")),
        _ => Err(Refusal::Malformed("a token and its type come together")),
    }
}

/// An exchange under way: tokens that were found, to be looked at again where nobody can end them meanwhile.
struct Asking<'a> {
    request: &'a TokenRequest,
    parameters: &'a Parameters,
    jwt: bool,
    subject: Uuid,
    actor: Option<Uuid>,
}

pub(in crate::oauth) async fn exchange(
    server: &AuthorizationServer,
    presented: &Presented,
    mut authenticated: Authenticated,
    (request, proved): (&TokenRequest, Option<&Proved>),
) -> Result<Issued, Error> {
    let id = authenticated.caller.id().to_owned();
    let refuse = |reason| Error::of(reason, &id);
    let parameters = request.exchange.as_ref().ok_or_else(|| refuse(Refusal::UnsupportedGrant))?;
    let jwt = parameters.jwt.map_err(refuse)?;
    let subject_token = parameters.subject_token.as_ref().map_err(|reason| refuse(*reason))?;
    let actor_token = parameters.actor_token.as_ref().map_err(|reason| refuse(*reason))?;
    let subject = server.exchanged(subject_token).await?.map_err(refuse)?;
    let actor = match actor_token {
        Some(token) => Some(server.exchanged(token).await?.map_err(refuse)?),
        None => None,
    };
    let asking = Asking { request, parameters, jwt, subject, actor };
    for number in 0..ATTEMPTS {
        let Caller::Client(client) = &authenticated.caller else { return Err(Refusal::InvalidClient.into()) };
        let sender = Sender { client, authenticated: &authenticated, proved };
        let attempt = || attempt(server, sender, &asking);
        match server.inner.patience.hold(attempt).await?.settle(&client.id, number)? {
            Ok(issued) => return Ok(issued),
            Err(moved) => authenticated = server.settle(presented, &client.id, &moved).await?,
        }
    }
    Err(Error::Unavailable(None))
}

impl AuthorizationServer {
    /// The id of an access token of ours, dead or alive.
    async fn exchanged(&self, token: &str) -> Result<Result<Uuid, Refusal>, Error> {
        Ok(match self.find(token).await? {
            Some(Found::Access(row)) => Ok(row.jti),
            Some(Found::Refresh(_)) | None => Err(Refusal::ExchangedTokenInvalid),
        })
    }
}

async fn attempt(server: &AuthorizationServer, sender: Sender<'_>, asking: &Asking<'_>) -> Result<Outcome, Error> {
    let client = sender.client;
    let mut tx = server.inner.store.write(&Actor::client(&client.id)).await?;
    let now = server.inner.clock.now();
    let invalid = Ok(Outcome::Refused(Refusal::ExchangedTokenInvalid));
    let Some(subject) = live(&mut tx, asking.subject, now).await? else { return invalid };
    let actor = match asking.actor {
        None => None,
        Some(jti) => match live(&mut tx, jti, now).await? {
            None => return invalid,
            actor => actor,
        },
    };
    let snapshot = server.inner.store.snapshot();
    let exchange = match decided(server, &mut tx, (sender, asking), (&subject, actor.as_ref()), &snapshot).await? {
        Ok(exchange) => exchange,
        Err(reason) => return Ok(Outcome::Refused(reason)),
    };
    if asking.jwt && exchange.grant.opaque {
        return Ok(Outcome::Refused(Refusal::Malformed("this resource takes no JWT")));
    }
    if let Err(reason) = sender.use_up(&mut tx, now).await? {
        return Ok(Outcome::Refused(reason));
    }
    let ancestors = ancestors(&mut tx, &subject).await?;
    let claims = agents(&ancestors, &exchange, &snapshot);
    let lineage = Lineage {
        // the child ends with the grant that it comes from, too
        grant_id: subject.lineage.grant_id,
        parent_jti: Some(subject.jti),
        jkt: sender.jkt().filter(|_| exchange.bound).map(str::to_owned),
        auth_time: subject.lineage.auth_time,
        act: exchange.act.clone(),
        depth: Some(exchange.depth),
    };
    let end = actor.as_ref().map_or(subject.expires_at, |actor| actor.expires_at.min(subject.expires_at));
    let minting = Minting {
        grant: &exchange.grant,
        subject: &subject.subject,
        not_after: Some(end),
        credential: sender.credential(),
        lineage: Some(&lineage),
        claims: claims.as_ref(),
    };
    let minted = server.mint(&minting).await?;
    if tx.issue(&minting.issuance(&minted), &lineage).await? == IssueOutcome::Stale {
        return Ok(Outcome::Stale { resource_server_id: exchange.grant.resource_server_id });
    }
    record(&mut tx, (&ancestors, actor.as_ref()), (&exchange, &minted), &server.inner.issuer).await?;
    tx.commit().await?;
    Ok(Outcome::Issued(Box::new(Issued {
        grant: Grant::TokenExchange,
        client_id: client.id.clone(),
        subject: subject.subject.clone(),
        resource: exchange.grant.audience.clone(),
        jti: minted.jti,
        grant_id: lineage.grant_id,
        began: false,
        exchanged: Some(exchange.kind),
        agent: exchange.grant.agent,
        response: TokenResponse {
            token_type: minting.token_type(),
            expires_in: minted.lifetime(),
            access_token: minted.text,
            scope: minted.scope,
            refresh_token: None,
            issued_token_type: Some(if asking.jwt { JWT } else { ACCESS_TOKEN }),
        },
    })))
}

/// A token that lives, and stays as it is until this transaction ends.
async fn live(tx: &mut Tx, jti: Uuid, now: Timestamp) -> Result<Option<TokenRow>, store::Error> {
    let row = tx.token_to_use(jti).await?;
    Ok(row.filter(|row| row.revoked_at.is_none() && now < row.expires_at))
}

async fn decided(
    server: &AuthorizationServer,
    tx: &mut Tx,
    (sender, asking): (Sender<'_>, &Asking<'_>),
    (subject, actor): (&TokenRow, Option<&TokenRow>),
    snapshot: &Snapshot,
) -> Result<Result<Exchange, Refusal>, store::Error> {
    let (resources, audiences) = (asking.request.resources.as_slice(), asking.parameters.audiences.as_slice());
    let target = match exchange::exchange_target(sender.client, (resources, audiences), snapshot) {
        Ok(target) => target,
        Err(reason) => return Ok(Err(reason)),
    };
    let allowed = match subject.subject.starts_with(user::ID_PREFIX) {
        false => None,
        true => {
            let policy = &target.resource_server;
            let assigned = tx.roles(&subject.subject, &target.id).await?;
            let mut assigned: Vec<String> = assigned.into_iter().map(|assignment| assignment.role).collect();
            assigned.extend(access::first_role(policy, &subject.subject, &assigned).map(str::to_owned));
            Some(access::scopes(policy, &subject.subject, &assigned))
        }
    };
    let ask = ExchangeAsk {
        resources,
        audiences,
        scope: asking.request.scope.as_deref(),
        subject: held(subject),
        actor: actor.map(held),
        jkt: sender.jkt(),
    };
    let rules = ExchangeRules { issuer: &server.inner.issuer, max_depth: server.inner.max_exchanges };
    Ok(exchange::exchange(sender.client, &ask, allowed.as_ref(), rules, snapshot))
}

fn held(row: &TokenRow) -> Held<'_> {
    Held {
        client_id: &row.client_id,
        resource_server_id: &row.resource_server_id,
        subject: &row.subject,
        scope: &row.scope,
        jkt: row.lineage.jkt.as_deref(),
        act: row.lineage.act.as_ref(),
        depth: row.lineage.depth.unwrap_or(0),
    }
}

/// The tokens that the new one comes from, the first of them first. There are no more than the limit on depth.
async fn ancestors(tx: &mut Tx, subject: &TokenRow) -> Result<Vec<TokenRow>, store::Error> {
    let mut line = vec![subject.clone()];
    while let Some(parent) = line.last().and_then(|row| row.lineage.parent_jti)
        && let Some(row) = tx.token(parent).await?
    {
        line.push(row);
    }
    line.reverse();
    Ok(line)
}

/// `agent_chain`: every agent that this went through, the first one first, whether or not it let itself be named.
fn agents(ancestors: &[TokenRow], exchange: &Exchange, snapshot: &Snapshot) -> Option<Map<String, Value>> {
    let is_agent = |id: &&str| snapshot.client(id).is_some_and(|entry| entry.client.agent.is_object());
    let mut chain: Vec<&str> = ancestors.iter().map(|row| row.client_id.as_str()).filter(is_agent).collect();
    if exchange.grant.agent {
        chain.push(&exchange.grant.client_id);
    }
    chain.dedup();
    if chain.is_empty() {
        return None;
    }
    let mut claims = Map::new();
    claims.insert("agent_chain".to_owned(), json!(chain));
    Some(claims)
}

/// The whole chain, parent before child (M8-13).
async fn record(
    tx: &mut Tx,
    (ancestors, actor): (&[TokenRow], Option<&TokenRow>),
    (exchange, minted): (&Exchange, &Minted),
    issuer: &str,
) -> Result<(), store::Error> {
    let subject = ancestors.last().map(|row| row.subject.as_str()).unwrap_or_default();
    let link = |row: &TokenRow| json!({"sub": row.subject, "client": row.client_id, "jti": row.jti.to_string()});
    let chain: Vec<Value> = ancestors.iter().map(link).collect();
    let grant = &exchange.grant;
    let clients: BTreeSet<&str> = ancestors.iter().map(|row| row.client_id.as_str()).collect();
    let record = Record {
        client_id: Some(&grant.client_id),
        user_id: Some(subject).filter(|id| id.starts_with(user::ID_PREFIX)),
        resource: Some(&grant.resource_server_id),
        detail: json!({
            "iss": issuer, "chain": chain, "clients": clients, "actor": actor.map(link), "act": exchange.act,
            "jti": minted.jti.to_string(), "scope": minted.scope, "depth": exchange.depth,
        }),
        ..Record::new(minted.issued_at, Actor::client(&grant.client_id))
    };
    tx.audit(AuditKind::TokenExchanged, &record).await
}
