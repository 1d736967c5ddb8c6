//! From a ResourceServer object to the policy it asks for.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json as object_of};
use url::Url;

use super::policy::Policy;
use super::reference::{Needs, ObjectKey, References, ids};
use super::{json, only_trusted, redirect, spelled};
use crate::crd;
use crate::crd::FieldError;
use crate::crd::resource_server as from;
use crate::crd::resource_server::access::{ExchangeMode, Fronting};
use crate::crd::resource_server::policy::{Match, RoleBinding, ToolAccess};
use crate::domain::desired::SecretSource;
use crate::domain::resource_server as to;
use crate::domain::{Spec, resource_server::Named};

use super::oauth_client::rotation;

pub(super) fn needs(object: &crd::ResourceServer) -> Needs {
    let (spec, namespace) = (&object.spec, namespace(object));
    let mut needs = Needs::default();
    if let Some(reference) = &spec.token_source.provider_ref {
        Needs::add(&mut needs.providers, reference, namespace, "spec.tokenSource.providerRef".into());
    }
    for (index, reference) in spec.exchange.iter().flat_map(|e| &e.client_refs).enumerate() {
        Needs::add(&mut needs.clients, reference, namespace, format!("spec.exchange.clientRefs[{index}]"));
    }
    for (index, reference) in spec.runtime.iter().flat_map(|r| &r.client_refs).enumerate() {
        Needs::add(&mut needs.clients, reference, namespace, format!("spec.runtime.clientRefs[{index}]"));
    }
    for item in &spec.fronting {
        let field = format!("spec.fronting[{}].targetRef", item.name);
        Needs::add(&mut needs.resource_servers, &item.target_ref, namespace, field);
    }
    needs
}

pub(super) fn check(object: &crd::ResourceServer, policy: &Policy) -> Vec<FieldError> {
    let uri = &object.spec.resource_uri;
    let mut errors: Vec<_> = redirect::web("spec.resourceURI", uri).into_iter().collect();
    if on_issuer(uri, policy) && is_taken(uri, policy) {
        let message = "this path on the issuer's host belongs to the issuer";
        errors.push(FieldError::new("spec.resourceURI", message));
    }
    for (index, url) in object.spec.connect.iter().flat_map(|c| &c.allowed_return_urls).enumerate() {
        errors.extend(redirect::web(&format!("spec.connect.allowedReturnURLs[{index}]"), url));
    }
    let own = ObjectKey::new(namespace(object), object.metadata.name.as_deref().unwrap_or_default());
    for item in &object.spec.fronting {
        if ObjectKey::of(&item.target_ref, namespace(object)) == own {
            let path = format!("spec.fronting[{}].targetRef", item.name);
            errors.push(FieldError::new(path, "a resource server cannot stand behind itself"));
        }
    }
    errors
}

/// Whether the URI's host and port are the issuer's.
fn on_issuer(uri: &str, policy: &Policy) -> bool {
    let (Some(issuer), Ok(uri)) = (&policy.issuer, Url::parse(uri)) else { return false };
    uri.host_str() == issuer.host_str() && uri.port_or_known_default() == issuer.port_or_known_default()
}

/// The issuer itself, the audiences of its own ports, and every path whose RFC 9728 metadata path would read like
/// `/.well-known/oauth-protected-resource/{namespace}/{name}`.
fn is_taken(uri: &str, policy: &Policy) -> bool {
    let (Some(issuer), Ok(uri)) = (&policy.issuer, Url::parse(uri)) else { return false };
    let path = uri.path().trim_matches('/');
    let base = issuer.path().trim_matches('/');
    let below = path.strip_prefix(base).map(|rest| rest.trim_matches('/'));
    matches!(below, Some("" | "admin" | "v1")) || path.split('/').count() == 2 || path.starts_with(".well-known")
}

pub(super) fn reserved(object: &crd::ResourceServer, policy: &Policy) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if object.spec.exchange.as_ref().is_some_and(|e| e.mode == ExchangeMode::Any) {
        errors.push(only_trusted("spec.exchange.mode", "Any"));
    }
    if on_issuer(&object.spec.resource_uri, policy) {
        errors.push(only_trusted("spec.resourceURI", "the issuer's own host"));
    }
    errors
}

/// Why a Live resource server is not launched, all at once; empty for a Draft and for one that can go.
pub fn activation_failures(object: &crd::ResourceServer, references: &References, policy: &Policy) -> Vec<String> {
    if object.spec.lifecycle != from::Lifecycle::Live {
        return Vec::new();
    }
    let mut failures = translated(object, references, policy).activation_failures();
    let whole = super::Object::from(object.clone());
    failures.extend(super::unresolved(&whole, references).into_iter().map(|u| u.error.to_string()));
    failures
}

/// What is stored, what secret it has, the id it wants (none) and the one it has.
pub(super) fn parts(
    object: &crd::ResourceServer,
    references: &References,
    policy: &Policy,
) -> (Spec, SecretSource, Option<String>, Option<String>) {
    let mut spec = translated(object, references, policy);
    if !activation_failures(object, references, policy).is_empty() {
        spec.lifecycle = to::Lifecycle::NeedsSetup;
    }
    let secret = object.spec.introspection.as_ref().map_or(SecretSource::None, |introspection| {
        SecretSource::Generated(rotation(introspection.secret.rotation.as_ref()))
    });
    let known = object.status.as_ref().and_then(|status| status.resource_server_id.clone());
    (Spec::ResourceServer(spec), secret, None, known)
}

fn translated(object: &crd::ResourceServer, references: &References, policy: &Policy) -> to::ResourceServer {
    let (spec, namespace) = (&object.spec, namespace(object));
    let mut runtime_clients = BTreeSet::new();
    if let Some(runtime) = &spec.runtime {
        runtime_clients.extend(runtime.client_ids.iter().cloned());
        runtime_clients.extend(ids(&runtime.client_refs, namespace, &references.clients));
    }
    to::ResourceServer {
        resource_uri: spec.resource_uri.clone(),
        display_name: spec.display_name.clone().or_else(|| object.metadata.name.clone()).unwrap_or_default(),
        lifecycle: match spec.lifecycle {
            from::Lifecycle::Draft => to::Lifecycle::Draft,
            from::Lifecycle::Live => to::Lifecycle::Live,
        },
        token_source: token_source(object, references),
        scopes: spec.scopes.iter().map(scope).collect(),
        tools: spec.tools.iter().map(tool).collect(),
        roles: spec
            .roles
            .iter()
            .map(|role| to::Role { name: role.name.clone(), scopes: sorted(&role.scopes) })
            .collect(),
        default_role: spec.access_policy.as_ref().and_then(|policy| policy.default_role.clone()),
        role_bindings: spec.role_bindings.iter().map(role_binding).collect(),
        access_token: access_token(&spec.access_token, policy),
        allowed_namespaces: json(&spec.common.allowed_namespaces),
        dynamic_clients: spelled(&spec.dynamic_clients),
        consent: spelled(&spec.consent),
        exchange: exchange(object, references),
        runtime_clients,
        runtime_service_accounts: service_accounts(object),
        connect: object_of!({
            "allowedReturnURLs": spec.connect.iter().flat_map(|c| c.allowed_return_urls.clone()).collect::<Vec<_>>(),
        }),
        fronting: spec.fronting.iter().filter_map(|item| fronting(item, namespace, references)).collect(),
    }
}

fn namespace(object: &crd::ResourceServer) -> &str {
    object.metadata.namespace.as_deref().unwrap_or_default()
}

/// Lists without an order are kept sorted, so that their order is never a difference.
pub(super) fn sorted(list: &[String]) -> Vec<String> {
    list.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

fn token_source(object: &crd::ResourceServer, references: &References) -> Value {
    let source = &object.spec.token_source;
    let mut members = Map::new();
    members.insert("type".into(), spelled(&source.kind).into());
    if let Some(reference) = &source.provider_ref {
        let found = references.providers.get(&ObjectKey::of(reference, namespace(object)));
        members.insert("providerID".into(), json(&found.and_then(|f| f.found())));
    }
    Value::Object(members)
}

fn scope(scope: &from::policy::Scope) -> to::Scope {
    to::Scope {
        name: scope.name.clone(),
        description: scope.description.clone().unwrap_or_default(),
        risk: spelled(&scope.risk.unwrap_or_default()),
        upstream: scope.upstream.clone().unwrap_or_default(),
    }
}

fn tool(tool: &from::policy::Tool) -> to::Tool {
    to::Tool {
        name: tool.name.clone(),
        access: match tool.access {
            ToolAccess::Scoped => to::ToolAccess::Scoped,
            ToolAccess::Public => to::ToolAccess::Public,
        },
        scopes: sorted(&tool.scopes),
        matching: spelled(&tool.matching.unwrap_or(Match::Any)),
    }
}

fn role_binding(binding: &RoleBinding) -> Named {
    let mut members = Map::new();
    members.insert("role".into(), binding.role.clone().into());
    members.insert("subjects".into(), json(&binding.subjects));
    Named { name: binding.name.clone(), members }
}

fn access_token(token: &from::AccessToken, policy: &Policy) -> to::AccessToken {
    to::AccessToken {
        format: spelled(&token.format),
        signing_algorithm: match token.signing_algorithm {
            from::SigningAlgorithm::ES256 => to::SigningAlgorithm::ES256,
            from::SigningAlgorithm::EdDSA => to::SigningAlgorithm::EdDSA,
            from::SigningAlgorithm::RS256 => to::SigningAlgorithm::RS256,
        },
        lifetime_seconds: token.lifetime_seconds.unwrap_or(policy.token_lifetime_seconds),
        sender_constraint: spelled(&token.sender_constraint),
    }
}

fn exchange(object: &crd::ResourceServer, references: &References) -> Value {
    let Some(exchange) = &object.spec.exchange else { return object_of!({"mode": "Listed", "clients": []}) };
    let mut clients = ids(&exchange.client_refs, namespace(object), &references.clients);
    clients.extend(exchange.client_ids.iter().cloned());
    object_of!({"mode": spelled(&exchange.mode), "clients": clients})
}

fn service_accounts(object: &crd::ResourceServer) -> Value {
    let runtime = object.spec.runtime.iter().flat_map(|runtime| &runtime.service_account_refs);
    json(&runtime.map(|account| format!("{}/{}", namespace(object), account.name)).collect::<BTreeSet<_>>())
}

fn fronting(item: &Fronting, namespace: &str, references: &References) -> Option<Named> {
    let target = references.resource_servers.get(&ObjectKey::of(&item.target_ref, namespace))?.found()?;
    let mut members = Map::new();
    members.insert("targetID".into(), target.clone().into());
    members.insert("scopeMap".into(), json(&item.scope_map));
    Some(Named { name: item.name.clone(), members })
}
