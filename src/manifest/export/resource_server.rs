//! A resource server's row as a ResourceServer.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Writer;
use crate::crd;
use crate::crd::common::{Common, DeletionPolicy};
use crate::crd::reference::{LocalRef, ObjectRef};
use crate::crd::resource_server as to;
use crate::crd::resource_server::access::{
    Connect, Exchange, ExchangeMode, Fronting, Introspection, IntrospectionSecret, Runtime,
};
use crate::crd::resource_server::policy::{AccessPolicy, Match, Risk, Role, RoleBinding, Scope, Tool, ToolAccess};
use crate::domain::Kind;
use crate::domain::resource_server as from;
use crate::domain::resource_server::Named;

pub(super) fn object(
    writer: &mut Writer<'_>,
    server: &from::ResourceServer,
    deletion: DeletionPolicy,
) -> crd::ResourceServer {
    let spec = crd::ResourceServerSpec {
        resource_uri: server.resource_uri.clone(),
        display_name: writer.display_name(&server.display_name),
        token_source: token_source(writer, &server.token_source),
        lifecycle: match server.lifecycle {
            from::Lifecycle::Draft => to::Lifecycle::Draft,
            // what was asked for: the object says again what keeps it from it
            from::Lifecycle::NeedsSetup | from::Lifecycle::Live => to::Lifecycle::Live,
        },
        scopes: server.scopes.iter().map(|item| scope(writer, item)).collect(),
        tools: server.tools.iter().map(|item| tool(writer, item)).collect(),
        roles: server.roles.iter().map(|r| Role { name: r.name.clone(), scopes: r.scopes.clone() }).collect(),
        access_policy: server.default_role.clone().map(|role| AccessPolicy { default_role: Some(role) }),
        role_bindings: server.role_bindings.iter().map(|binding| role_binding(writer, binding)).collect(),
        access_token: to::AccessToken {
            format: writer.word("spec.accessToken.format", &server.access_token.format),
            signing_algorithm: match server.access_token.signing_algorithm {
                from::SigningAlgorithm::ES256 => to::SigningAlgorithm::ES256,
                from::SigningAlgorithm::EdDSA => to::SigningAlgorithm::EdDSA,
                from::SigningAlgorithm::RS256 => to::SigningAlgorithm::RS256,
            },
            // said, because what it is when it is not said is configuration
            lifetime_seconds: Some(server.access_token.lifetime_seconds),
            sender_constraint: writer.word("spec.accessToken.senderConstraint", &server.access_token.sender_constraint),
        },
        dynamic_clients: writer.word("spec.dynamicClients", &server.dynamic_clients),
        consent: writer.word("spec.consent", &server.consent),
        exchange: exchange(writer, &server.exchange),
        runtime: runtime(writer, server),
        connect: connect(writer, &server.connect),
        fronting: server.fronting.iter().filter_map(|item| fronting(writer, item)).collect(),
        introspection: introspection(writer),
        common: Common {
            deletion_policy: deletion,
            allowed_namespaces: writer.value("spec.allowedNamespaces", &server.allowed_namespaces).unwrap_or_default(),
            ..Common::default()
        },
    };
    crd::ResourceServer::new(&writer.own.name, spec)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn token_source(writer: &mut Writer<'_>, kept: &Value) -> to::TokenSource {
    let kind = writer.word("spec.tokenSource.type", text(kept, "type"));
    let provider = said(text(kept, "providerID"));
    let provider_ref = provider.and_then(|id| writer.reference(Kind::Provider, &id, "spec.tokenSource"));
    to::TokenSource { kind, provider_ref }
}

fn scope(writer: &mut Writer<'_>, scope: &from::Scope) -> Scope {
    let risk: Risk = writer.word(&format!("spec.scopes[{}].risk", scope.name), &scope.risk);
    Scope {
        name: scope.name.clone(),
        description: said(&scope.description),
        risk: (risk != Risk::default()).then_some(risk),
        upstream: said(&scope.upstream),
    }
}

fn tool(writer: &mut Writer<'_>, tool: &from::Tool) -> Tool {
    let matching: Match = writer.word(&format!("spec.tools[{}].match", tool.name), &tool.matching);
    Tool {
        name: tool.name.clone(),
        access: match tool.access {
            from::ToolAccess::Scoped => ToolAccess::Scoped,
            from::ToolAccess::Public => ToolAccess::Public,
        },
        scopes: tool.scopes.clone(),
        matching: (matching != Match::default()).then_some(matching),
    }
}

fn role_binding(writer: &mut Writer<'_>, binding: &Named) -> RoleBinding {
    let member = |name: &str| binding.members.get(name).cloned().unwrap_or_default();
    let role = member("role").as_str().unwrap_or_default().to_owned();
    let field = format!("spec.roleBindings[{}].subjects", binding.name);
    let subjects = writer.value(&field, &member("subjects")).unwrap_or_default();
    RoleBinding { name: binding.name.clone(), role, subjects }
}

/// Clients by their names where that cannot fail: owned, and in this namespace. Of all others the ids.
fn clients(writer: &Writer<'_>, ids: impl Iterator<Item = String>) -> (Vec<ObjectRef>, Vec<String>) {
    let (mut refs, mut others) = (Vec::new(), Vec::new());
    for id in ids {
        match writer.names.key(Kind::OAuthClient, &id) {
            Some(key) if key.namespace == writer.own.namespace && writer.names.is_owned(Kind::OAuthClient, &id) => {
                refs.push(ObjectRef { name: key.name.clone(), namespace: None });
            }
            _ => others.push(id),
        }
    }
    (refs, others)
}

fn exchange(writer: &mut Writer<'_>, kept: &Value) -> Option<Exchange> {
    let mode: ExchangeMode = writer.value("spec.exchange", &kept.get("mode").cloned().unwrap_or_default())?;
    let listed = kept.get("clients").and_then(Value::as_array).into_iter().flatten();
    let ids: BTreeSet<String> = listed.filter_map(|id| id.as_str().map(str::to_owned)).collect();
    let (client_refs, client_ids) = clients(writer, ids.into_iter());
    let nobody = mode == ExchangeMode::Listed && client_refs.is_empty() && client_ids.is_empty();
    (!nobody).then_some(Exchange { mode, client_refs, client_ids })
}

fn runtime(writer: &mut Writer<'_>, server: &from::ResourceServer) -> Option<Runtime> {
    let (client_refs, client_ids) = clients(writer, server.runtime_clients.iter().cloned());
    let mut service_account_refs = Vec::new();
    let accounts: Vec<String> =
        writer.value("spec.runtime.serviceAccountRefs", &server.runtime_service_accounts).unwrap_or_default();
    for account in accounts {
        match account.split_once('/') {
            Some((namespace, name)) if namespace == writer.own.namespace => {
                service_account_refs.push(LocalRef { name: name.to_owned() });
            }
            _ => writer.note(format!("the service account {account} must be in the namespace of this object")),
        }
    }
    let runtime = Runtime { client_refs, client_ids, service_account_refs };
    (runtime != Runtime::default()).then_some(runtime)
}

fn connect(writer: &mut Writer<'_>, kept: &Value) -> Option<Connect> {
    let connect: Connect = writer.value("spec.connect", kept)?;
    (!connect.allowed_return_urls.is_empty()).then_some(connect)
}

fn fronting(writer: &mut Writer<'_>, item: &Named) -> Option<Fronting> {
    let member = |name: &str| item.members.get(name).cloned().unwrap_or_default();
    let (target, field) = (member("targetID"), format!("spec.fronting[{}]", item.name));
    let target_ref = writer.reference(Kind::ResourceServer, target.as_str().unwrap_or_default(), &field)?;
    let scope_map = writer.value(&field, &member("scopeMap")).unwrap_or_default();
    Some(Fronting { name: item.name.clone(), target_ref, scope_map })
}

/// Without it the credential would end.
fn introspection(writer: &mut Writer<'_>) -> Option<Introspection> {
    if writer.entity.credentials.is_empty() {
        return None;
    }
    writer.note(if writer.owned {
        "the database does not know the name of its Secret: see to spec.introspection.secret"
    } else {
        "a new introspection secret is made; the one in use works on for the overlap of a day"
    });
    let name = format!("{}-introspection", writer.own.name);
    Some(Introspection { secret: IntrospectionSecret { name, rotation: None } })
}
