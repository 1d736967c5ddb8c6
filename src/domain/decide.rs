//! What may be issued, and who may look. Pure; default deny.

use std::collections::BTreeSet;

use super::client::{AuthenticationMethod, ClientState, GrantType};
use super::policy::{ClientEntry, Policy, ResourceServerEntry};
use super::refusal::Refusal;
use super::resource_server::{AccessToken, Lifecycle, SigningAlgorithm};

/// What a client asks for with client_credentials (OAuth 2.1 §4.2, RFC 8707 §2).
#[derive(Debug, Clone, Default)]
pub struct Ask<'a> {
    pub resources: &'a [String],
    /// Space-separated; `None` = everything that is attached.
    pub scope: Option<&'a str>,
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
}

impl Grant {
    /// The scopes as the `scope` parameter (OAuth 2.1 §1.4.1).
    pub fn scope(&self) -> String {
        self.scopes.join(" ")
    }
}

/// requested ∩ attached ∩ catalogue, at the one resource that was named or is the only one.
pub fn client_credentials(client: &ClientEntry, ask: &Ask<'_>, policy: &impl Policy) -> Result<Grant, Refusal> {
    if client.client.state == ClientState::Suspended {
        return Err(Refusal::Suspended);
    }
    let public = client.client.authentication_method == AuthenticationMethod::None;
    if public || !client.client.grant_types.contains(&GrantType::ClientCredentials) {
        return Err(Refusal::GrantNotAllowed);
    }
    let target = target(client, ask.resources, policy)?;
    let resource_server = &target.resource_server;
    let attachment = client.client.attachment(&target.id).ok_or(Refusal::InvalidTarget)?;
    if resource_server.lifecycle != Lifecycle::Live {
        return Err(Refusal::InvalidTarget);
    }
    let constraints = [&resource_server.access_token.sender_constraint, &client.client.tokens.sender_constraint];
    if !constraints.into_iter().all(|c| c == "None" || c == "DPoPOptional") {
        return Err(Refusal::SenderConstraintRequired);
    }
    let catalogue = resource_server.scope_names();
    let requested: Option<BTreeSet<&str>> = ask.scope.map(|s| s.split(' ').filter(|s| !s.is_empty()).collect());
    let scopes: BTreeSet<&str> = attachment
        .scopes
        .iter()
        .map(String::as_str)
        .filter(|scope| catalogue.contains(scope))
        .filter(|scope| requested.as_ref().is_none_or(|wanted| wanted.contains(scope)))
        .collect();
    if scopes.is_empty() {
        return Err(Refusal::InvalidScope);
    }
    Ok(Grant {
        client_id: client.id.clone(),
        client_revision: client.revision,
        resource_server_id: target.id.clone(),
        resource_server_revision: target.revision,
        audience: resource_server.resource_uri.clone(),
        scopes: scopes.into_iter().map(str::to_owned).collect(),
        // a row may say anything until it is corrected
        lifetime_seconds: (resource_server.access_token.lifetime_seconds)
            .clamp(*AccessToken::LIFETIMES.start(), *AccessToken::LIFETIMES.end()),
        opaque: resource_server.access_token.format == "Opaque",
        algorithm: resource_server.access_token.signing_algorithm,
    })
}

fn target<'a>(
    client: &ClientEntry,
    resources: &[String],
    policy: &'a impl Policy,
) -> Result<&'a ResourceServerEntry, Refusal> {
    match (resources, client.client.resources.as_slice()) {
        ([uri], _) => policy.resource_server_by_uri(uri),
        ([], [only]) => policy.resource_server(&only.resource_server_id),
        ([], _) => return Err(Refusal::TargetRequired),
        // one audience a token (protocol D-01)
        _ => None,
    }
    .map(AsRef::as_ref)
    .ok_or(Refusal::InvalidTarget)
}

/// Whether `caller` (a client id or a resource server's id) may see a token of this client for this resource
/// (RFC 7662 §4): the client that it was issued to, the resource it is for, and who acts as that resource.
pub fn introspection(caller: &str, client_id: &str, resource: Option<&ResourceServerEntry>) -> bool {
    caller == client_id
        || resource.is_some_and(|r| r.id == caller || r.resource_server.runtime_clients.contains(caller))
}

#[cfg(test)]
mod tests;
