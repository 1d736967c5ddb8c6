//! Token exchange (RFC 8693): who may turn whose token into which. Pure; whoever is not named may nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Grant, attached, grant, is_live, may_use, target, words};
use crate::domain::client::{AuthenticationMethod, GrantType, Origin};
use crate::domain::policy::{ClientEntry, Policy, ResourceServerEntry};
use crate::domain::refusal::Refusal;

/// The largest `act` that is issued, in bytes of JSON.
const MAX_ACT: usize = 4096;

/// A token of ours that lives.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    pub client_id: &'a str,
    pub resource_server_id: &'a str,
    pub subject: &'a str,
    /// Space-separated.
    pub scope: &'a str,
    /// Thumbprint of the key that it is bound to.
    pub jkt: Option<&'a str>,
    /// Who has acted so far.
    pub act: Option<&'a Value>,
    /// How often it was exchanged.
    pub depth: i64,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct ExchangeAsk<'a> {
    pub resources: &'a [String],
    /// Resource URIs, or ids of resource servers.
    pub audiences: &'a [String],
    pub scope: Option<&'a str>,
    pub subject: Held<'a>,
    /// The caller's own token, when it asks to be named.
    pub actor: Option<Held<'a>>,
    /// Thumbprint of the key that the caller proved to hold.
    pub jkt: Option<&'a str>,
}

/// Whether the caller is named in the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    Impersonation,
    Delegation,
}

impl ExchangeKind {
    pub const ALL: [Self; 2] = [Self::Impersonation, Self::Delegation];

    /// The value of the metric label `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Impersonation => "impersonation",
            Self::Delegation => "delegation",
        }
    }
}

/// Leave to exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    pub grant: Grant,
    pub kind: ExchangeKind,
    /// `act` of the new token: who acts now outermost, all earlier ones inside (RFC 8693 §4.1).
    pub act: Option<Value>,
    pub depth: i64,
    /// Whether the new token is bound to the key that was proved.
    pub bound: bool,
}

/// Who decides how deep, and whose name `act` bears.
#[derive(Debug, Clone, Copy)]
pub struct ExchangeRules<'a> {
    pub issuer: &'a str,
    pub max_depth: i64,
}

/// The resource server that a request is for. Whatever it names has to be one and the same (M8-10).
pub fn exchange_target<'a>(
    client: &ClientEntry,
    (resources, audiences): (&[String], &[String]),
    policy: &'a impl Policy,
) -> Result<&'a Arc<ResourceServerEntry>, Refusal> {
    let by_uri = |uri: &String| policy.resource_server_by_uri(uri);
    let by_id = |id: &String| policy.resource_server(id).filter(|entry| entry.id == *id);
    let named = resources.iter().map(by_uri).chain(audiences.iter().map(|a| by_uri(a).or_else(|| by_id(a))));
    let named = named.collect::<Option<Vec<_>>>().ok_or(Refusal::InvalidTarget)?;
    match named.split_first() {
        None => target(client, &[], policy),
        Some((first, others)) if others.iter().all(|other| other.id == first.id) => Ok(first),
        Some(_) => Err(Refusal::InvalidTarget),
    }
}

/// requested ∩ the subject's ∩ attached ∩ catalogue, and ∩ `allowed`, the scopes of the user's roles, when the subject
/// is a user. `max_depth` of the configuration can only be lowered by the client's own.
pub fn exchange(
    client: &ClientEntry,
    ask: &ExchangeAsk<'_>,
    allowed: Option<&BTreeSet<String>>,
    rules: ExchangeRules<'_>,
    policy: &impl Policy,
) -> Result<Exchange, Refusal> {
    may_use(client, GrantType::TokenExchange)?;
    let public = client.client.authentication_method == AuthenticationMethod::None;
    if public || Origin::of(&client.id) != Origin::Managed {
        return Err(Refusal::GrantNotAllowed);
    }
    let target = exchange_target(client, (ask.resources, ask.audiences), policy)?;
    if !is_live(target) {
        return Err(Refusal::InvalidTarget);
    }
    let subject = &ask.subject;
    let own = subject.client_id == client.id;
    if !own && !acts_as(client, policy.resource_server(subject.resource_server_id)) {
        return Err(Refusal::SubjectNotCallers);
    }
    let kind = actor(client, ask.actor.as_ref())?;
    admitted(client, target, kind)?;
    let bound = binding(client, target, ask, own)?;
    let depth = subject.depth + 1;
    let of_client = client.client.agent.get("maxDelegationDepth").and_then(Value::as_i64);
    if depth > of_client.map_or(rules.max_depth, |own| own.min(rules.max_depth)) {
        return Err(Refusal::TooDeep);
    }
    let act = match kind {
        ExchangeKind::Impersonation => subject.act.cloned(),
        ExchangeKind::Delegation => Some(acting(client, rules.issuer, subject.act)),
    };
    if act.as_ref().is_some_and(|act| act.to_string().len() > MAX_ACT) {
        return Err(Refusal::TooDeep);
    }
    let held = words(subject.scope);
    let requested = ask.scope.map(words).filter(|wanted| !wanted.is_empty());
    let scopes = attached(client, target)
        .into_iter()
        .filter(|scope| held.contains(scope))
        .filter(|scope| requested.as_ref().is_none_or(|wanted| wanted.contains(scope)))
        .filter(|scope| allowed.is_none_or(|allowed| allowed.contains(*scope)));
    let grant = grant(client, target, scopes.collect())?;
    Ok(Exchange { grant, kind, act, depth, bound })
}

/// Whether the client acts as the resource that a token is for (M8-02).
fn acts_as(client: &ClientEntry, resource_server: Option<&Arc<ResourceServerEntry>>) -> bool {
    resource_server.is_some_and(|entry| entry.resource_server.runtime_clients.contains(&client.id))
}

/// An actor's token names the caller and nobody else: issued to it, in its own name, not exchanged before. Two good
/// tokens that have nothing to do with each other make no chain (M8-06).
fn actor(client: &ClientEntry, actor: Option<&Held<'_>>) -> Result<ExchangeKind, Refusal> {
    match actor {
        None => Ok(ExchangeKind::Impersonation),
        Some(actor) => {
            let own = actor.client_id == client.id && actor.subject == client.id;
            if own && actor.act.is_none() && actor.depth == 0 {
                Ok(ExchangeKind::Delegation)
            } else {
                Err(Refusal::ActorNotCaller)
            }
        }
    }
}

/// Whether the target lets this client in (M8-01). Who is let in as one of all must say who it is: nobody takes
/// another's place without being named in the policy (M8-04).
fn admitted(client: &ClientEntry, target: &ResourceServerEntry, kind: ExchangeKind) -> Result<(), Refusal> {
    let policy = &target.resource_server.exchange;
    let listed = policy.get("clients").and_then(Value::as_array);
    let admitted = match policy.get("mode").and_then(Value::as_str) {
        Some("Listed") => listed.is_some_and(|clients| clients.iter().any(|id| *id == *client.id)),
        Some("Any") => kind == ExchangeKind::Delegation,
        _ => false,
    };
    if admitted { Ok(()) } else { Err(Refusal::ExchangeNotAllowed) }
}

/// A bound token becomes a bound token (M8-03): of the same key when it is the caller's own, else of the key that the
/// caller proves.
fn binding(
    client: &ClientEntry,
    target: &ResourceServerEntry,
    ask: &ExchangeAsk<'_>,
    own: bool,
) -> Result<bool, Refusal> {
    let callers = [own.then_some(ask.subject.jkt).flatten(), ask.actor.and_then(|actor| actor.jkt)];
    if let Some(jkt) = ask.jkt
        && callers.into_iter().flatten().any(|held| held != jkt)
    {
        return Err(Refusal::KeyMismatch);
    }
    let bound = super::binding(client, target, ask.jkt.is_some())?;
    let demanded = ask.subject.jkt.is_some() || ask.actor.is_some_and(|actor| actor.jkt.is_some());
    match (demanded, ask.jkt) {
        (true, None) => Err(Refusal::SenderConstraintRequired),
        (true, Some(_)) => Ok(true),
        (false, _) => Ok(bound),
    }
}

/// The caller around everybody who acted before.
fn acting(client: &ClientEntry, issuer: &str, before: Option<&Value>) -> Value {
    let mut act = json!({"iss": issuer, "sub": client.id, "client_id": client.id});
    if client.client.agent.is_object() {
        act["sub_profile"] = "ai_agent".into();
    }
    if let Some(before) = before {
        act["act"] = before.clone();
    }
    act
}

#[cfg(test)]
mod tests;
