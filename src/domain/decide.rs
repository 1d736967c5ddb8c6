//! What may be issued, and who may look. Pure; default deny.

pub mod call;
pub mod exchange;
pub mod replay;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::client::{AuthenticationMethod, ClientState, GrantType, Origin};
use super::policy::{ClientEntry, Policy, ResourceServerEntry};
use super::refusal::Refusal;
use super::resource_server::{AccessToken, Lifecycle, SigningAlgorithm};
use super::reviewer::ServiceAccount;
use super::user;

/// Asks for a refresh token in other systems. Here a client has one or not, whatever it asks for.
pub const OFFLINE_ACCESS: &str = "offline_access";

/// What a client asks for (RFC 8707 §2).
#[derive(Debug, Clone, Default)]
pub struct Ask<'a> {
    pub resources: &'a [String],
    /// Space-separated; `None` = everything that is attached.
    pub scope: Option<&'a str>,
    /// The request proved that it holds a key (RFC 9449).
    pub bound: bool,
}

/// Leave to issue exactly this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub client_id: String,
    pub client_revision: i64,
    pub resource_server_id: String,
    pub resource_server_revision: i64,
    /// The registered form of the resource URI.
    pub audience: String,
    /// Sorted, not empty.
    pub scopes: Vec<String>,
    pub lifetime_seconds: i64,
    pub opaque: bool,
    pub algorithm: SigningAlgorithm,
    /// The token is bound to the key that was proved (RFC 9449 §5).
    pub bound: bool,
    /// The client is an agent, and its tokens say so.
    pub agent: bool,
}

impl Grant {
    /// The scopes as the `scope` parameter (OAuth 2.1 §1.4.1).
    pub fn scope(&self) -> String {
        self.scopes.join(" ")
    }
}

/// requested ∩ attached ∩ catalogue, at the one resource that was named or is the only one.
pub fn client_credentials(client: &ClientEntry, ask: &Ask<'_>, policy: &impl Policy) -> Result<Grant, Refusal> {
    let public = client.client.authentication_method == AuthenticationMethod::None;
    may_use(client, GrantType::ClientCredentials)?;
    // what nobody vouches for never acts in its own name (mechanics §18)
    if public || Origin::of(&client.id) != Origin::Managed || client.id.starts_with(user::ID_PREFIX) {
        return Err(Refusal::GrantNotAllowed);
    }
    let target = target(client, ask.resources, policy)?;
    let attached = attached(client, target);
    if client.client.attachment(&target.id).is_none() || !is_live(target) {
        return Err(Refusal::InvalidTarget);
    }
    let bound = binding(client, target, ask.bound)?;
    let requested = ask.scope.map(words);
    let scopes = attached.into_iter().filter(|scope| requested.as_ref().is_none_or(|wanted| wanted.contains(scope)));
    Ok(Grant { bound, ..grant(client, target, scopes.collect())? })
}

/// What a client may ask a user for: requested ∩ attached, and ∩ `allowed` once it is known who the user is (the
/// scopes of their roles, then those consented to). Without `scope` it is everything attached, for a client that
/// nobody vouches for what is of low risk. `offline_access` is accepted and says nothing (M-16).
pub fn user(
    client: &ClientEntry,
    by: GrantType,
    ask: &Ask<'_>,
    allowed: Option<&BTreeSet<String>>,
    policy: &impl Policy,
) -> Result<Grant, Refusal> {
    may_use(client, by)?;
    let target = target(client, ask.resources, policy)?;
    let attached = attached(client, target);
    if !is_live(target) || attached.is_empty() {
        return Err(Refusal::InvalidTarget);
    }
    let requested: Option<BTreeSet<&str>> = ask.scope.map(words).filter(|wanted| !wanted.is_empty());
    let managed = Origin::of(&client.id) == Origin::Managed;
    let wanted = |scope: &&str| match &requested {
        Some(wanted) => wanted.contains(scope),
        None => managed || is_low(target, scope),
    };
    let permitted = |scope: &&str| allowed.is_none_or(|allowed| allowed.contains(*scope));
    grant(client, target, attached.into_iter().filter(wanted).filter(permitted).collect())
}

/// What is left of what a user granted: granted ∩ attached ∩ `allowed` (the scopes of the user's roles, when they are
/// known) ∩ requested. More than was granted is refused (C-04).
pub fn granted(
    client: &ClientEntry,
    target: Option<&Arc<ResourceServerEntry>>,
    scope: &str,
    requested: Option<&str>,
    allowed: Option<&BTreeSet<String>>,
) -> Result<Grant, Refusal> {
    let target = target.filter(|target| is_live(target)).ok_or(Refusal::ResourceGone)?;
    let granted = words(scope);
    let requested = requested.map(words).filter(|wanted| !wanted.is_empty());
    if requested.as_ref().is_some_and(|wanted| !wanted.is_subset(&granted)) {
        return Err(Refusal::InvalidScope);
    }
    let scopes: BTreeSet<&str> = attached(client, target)
        .into_iter()
        .filter(|scope| granted.contains(scope) && allowed.is_none_or(|allowed| allowed.contains(*scope)))
        .filter(|scope| requested.as_ref().is_none_or(|wanted| wanted.contains(scope)))
        .collect();
    grant(client, target, scopes).map_err(|_| Refusal::ResourceGone)
}

/// Whether what a request names, if it names anything, is this resource server and nothing else (RFC 8707 §2.2).
pub fn names_only(resources: &[String], id: &str, policy: &impl Policy) -> Result<(), Refusal> {
    let is_it = |uri: &String| policy.resource_server_by_uri(uri).is_some_and(|found| found.id == id);
    if resources.iter().all(is_it) { Ok(()) } else { Err(Refusal::InvalidTarget) }
}

/// What a client may ask for at a resource server (mechanics §18): a managed one its attachment, as far as it is in
/// the catalogue; any other the catalogue, where it is admitted.
pub fn attached<'a>(client: &ClientEntry, target: &'a ResourceServerEntry) -> BTreeSet<&'a str> {
    let catalogue = target.resource_server.scopes.iter().map(|scope| scope.name.as_str());
    match Origin::of(&client.id) {
        Origin::Managed => {
            let scopes = client.client.attachment(&target.id).map_or(&[][..], |a| &a.scopes);
            catalogue.filter(|name| scopes.iter().any(|scope| scope == name)).collect()
        }
        origin if admits(target, origin) => catalogue.collect(),
        _ => BTreeSet::new(),
    }
}

/// Whether a resource server takes clients that no resource describes (`dynamicClients`); a draft takes none.
pub fn admits(target: &ResourceServerEntry, origin: Origin) -> bool {
    let dynamic = target.resource_server.dynamic_clients.as_str();
    is_live(target)
        && match origin {
            Origin::Managed => false,
            Origin::Document => dynamic == "CIMD" || dynamic == "All",
            Origin::Registered => dynamic == "All",
        }
}

/// The resource server that a request is for: the one that it names, or the only one there is for this client.
pub fn target<'a>(
    client: &ClientEntry,
    resources: &[String],
    policy: &'a impl Policy,
) -> Result<&'a Arc<ResourceServerEntry>, Refusal> {
    let origin = Origin::of(&client.id);
    match (resources, client.client.resources.as_slice()) {
        ([uri], _) => policy.resource_server_by_uri(uri),
        ([], [only]) if origin == Origin::Managed => policy.resource_server(&only.resource_server_id),
        ([], _) if origin != Origin::Managed => {
            let mut open = policy.resource_servers().filter(|target| admits(target, origin));
            return match (open.next(), open.next()) {
                (Some(only), None) => Ok(only),
                _ => Err(Refusal::TargetRequired),
            };
        }
        ([], _) => return Err(Refusal::TargetRequired),
        // one audience a token (protocol D-01)
        _ => None,
    }
    .ok_or(Refusal::InvalidTarget)
}

/// Whether a token is bound to the key that was proved, if one was: when client or resource server wants that. What
/// one of them demands, or says in words that nobody knows, is not to be had without a proof.
pub fn binding(client: &ClientEntry, target: &ResourceServerEntry, proved: bool) -> Result<bool, Refusal> {
    let constraints = [&target.resource_server.access_token.sender_constraint, &client.client.tokens.sender_constraint];
    let wanted = constraints.into_iter().any(|constraint| constraint != "None");
    let free = constraints.into_iter().all(|c| c == "None" || c == "DPoPOptional");
    if proved || free { Ok(proved && wanted) } else { Err(Refusal::SenderConstraintRequired) }
}

/// What a user granted as it is issued to a request that proved a key, or none. `held` is the key that the grant is
/// bound to already: another one, or none at all, gets nothing of it (RFC 9449 §5, §10).
pub fn bound(
    grant: Grant,
    client: &ClientEntry,
    (held, proved): (Option<&str>, Option<&str>),
    policy: &impl Policy,
) -> Result<Grant, Refusal> {
    let target = policy.resource_server(&grant.resource_server_id).ok_or(Refusal::ResourceGone)?;
    match (held, proved) {
        (Some(_), None) => Err(Refusal::SenderConstraintRequired),
        (Some(held), Some(proved)) if held != proved => Err(Refusal::KeyMismatch),
        (Some(_), Some(_)) => Ok(Grant { bound: true, ..grant }),
        (None, proved) => Ok(Grant { bound: binding(client, target, proved.is_some())?, ..grant }),
    }
}

fn may_use(client: &ClientEntry, grant: GrantType) -> Result<(), Refusal> {
    if client.client.state == ClientState::Suspended {
        return Err(Refusal::Suspended);
    }
    if client.client.grant_types.contains(&grant) { Ok(()) } else { Err(Refusal::GrantNotAllowed) }
}

fn is_live(target: &ResourceServerEntry) -> bool {
    target.resource_server.lifecycle == Lifecycle::Live
}

fn is_low(target: &ResourceServerEntry, name: &str) -> bool {
    target.resource_server.scopes.iter().any(|scope| scope.name == name && scope.risk == "Low")
}

/// The scopes that a parameter names.
fn words(scope: &str) -> BTreeSet<&str> {
    scope.split(' ').filter(|word| !word.is_empty() && *word != OFFLINE_ACCESS).collect()
}

fn grant(client: &ClientEntry, target: &ResourceServerEntry, scopes: BTreeSet<&str>) -> Result<Grant, Refusal> {
    if scopes.is_empty() {
        return Err(Refusal::InvalidScope);
    }
    let policy = &target.resource_server;
    Ok(Grant {
        client_id: client.id.clone(),
        client_revision: client.revision,
        resource_server_id: target.id.clone(),
        resource_server_revision: target.revision,
        audience: policy.resource_uri.clone(),
        scopes: scopes.into_iter().map(str::to_owned).collect(),
        // a row may say anything until it is corrected
        lifetime_seconds: (policy.access_token.lifetime_seconds)
            .clamp(*AccessToken::LIFETIMES.start(), *AccessToken::LIFETIMES.end()),
        opaque: policy.access_token.format == "Opaque",
        algorithm: policy.access_token.signing_algorithm,
        bound: false,
        agent: client.client.agent.is_object(),
    })
}

/// Whether `caller` (a client id or a resource server's id) may see a token of this client for this resource
/// (RFC 7662 §4): the client that it was issued to, the resource it is for, and who acts as that resource.
pub fn introspection(caller: &str, client_id: &str, resource: Option<&ResourceServerEntry>) -> bool {
    caller == client_id || resource.is_some_and(|resource| acts_as(caller, resource))
}

/// Whether `caller` (a client id or a resource server's id) is this resource server, or may act as it.
pub fn acts_as(caller: &str, resource: &ResourceServerEntry) -> bool {
    resource.id == caller || resource.resource_server.runtime_clients.contains(caller)
}

/// Whether a ServiceAccount may act as this resource server.
pub fn account_acts_as(account: &ServiceAccount, resource: &ResourceServerEntry) -> bool {
    let name = account.to_string();
    let listed = resource.resource_server.runtime_service_accounts.as_array();
    listed.is_some_and(|all| all.iter().any(|listed| *listed == name.as_str()))
}

#[cfg(test)]
mod tests;
