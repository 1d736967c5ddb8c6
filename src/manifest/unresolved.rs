//! What did not resolve, for condition ResolvedRefs and the activation gates.

use std::collections::BTreeMap;

use super::object::Object;
use super::reference::{ObjectKey, References, Resolved};
use super::{Cause, needs};
use crate::crd::FieldError;
use crate::domain::SecretText;

/// A reference that did not resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// RefNotFound, RefNotPermitted, SecretInvalid or RefUnreadable, as in the condition.
    pub reason: &'static str,
    /// The field that has the reference, and what became of it; names no content.
    pub error: FieldError,
}

/// All references of an object that did not resolve, the gravest reason first.
pub fn unresolved(object: &Object, references: &References) -> Vec<Unresolved> {
    let needs = needs(object);
    let mut found = Vec::new();
    objects("ResourceServer", &needs.resource_servers, &references.resource_servers, &mut found);
    objects("OAuthClient", &needs.clients, &references.clients, &mut found);
    objects("Provider", &needs.providers, &references.providers, &mut found);
    for (key, field) in &needs.secrets {
        let name = format!("Secret {}, key {}", key.name, key.key);
        match references.secrets.get(key) {
            Some(Resolved::Found(text)) => found.extend(unacceptable(object, field, &name, text)),
            other => found.push(fault(&name, field, other.unwrap_or(&Resolved::Missing), true)),
        }
    }
    if let Object::OAuthClient(client) = object
        && let Some(identity) = &client.spec.authentication.workload_identity
        && identity.trusted_issuer_ref.is_some()
    {
        let error = FieldError::new(
            "spec.authentication.workloadIdentity.trustedIssuerRef",
            "this version serves no TrustedIssuer",
        );
        found.push(Unresolved { reason: "RefNotFound", error });
    }
    found.sort_by_key(|u| {
        ["RefUnreadable", "RefNotPermitted", "SecretInvalid", "RefNotFound"].iter().position(|r| *r == u.reason)
    });
    found
}

fn objects(
    kind: &str,
    needs: &BTreeMap<ObjectKey, String>,
    found: &BTreeMap<ObjectKey, Resolved<String>>,
    unresolved: &mut Vec<Unresolved>,
) {
    for (key, field) in needs {
        let resolved = found.get(key).unwrap_or(&Resolved::Missing);
        if resolved.found().is_none() {
            unresolved.push(fault(&format!("{kind} {key}"), field, resolved, false));
        }
    }
}

fn fault<T>(name: &str, field: &str, resolved: &Resolved<T>, secret: bool) -> Unresolved {
    let (reason, message) = match resolved {
        Resolved::NotPermitted if secret => {
            ("RefNotPermitted", format!("{name} does not carry the label holdfast.dev/referenced: \"true\""))
        }
        Resolved::NotPermitted => {
            ("RefNotPermitted", format!("{name} does not allow this namespace in spec.allowedNamespaces"))
        }
        Resolved::Unreadable => (Cause::RefUnreadable.as_str(), format!("{name} could not be read")),
        Resolved::Missing | Resolved::Found(_) => ("RefNotFound", format!("{name} was not found or is not ready")),
    };
    Unresolved { reason, error: FieldError::new(field, message) }
}

/// A client's own secret must be long enough to be kept as a plain SHA-256; a provider's is theirs to choose.
fn unacceptable(object: &Object, field: &str, name: &str, text: &SecretText) -> Option<Unresolved> {
    let message = match object {
        Object::OAuthClient(_) if !text.is_acceptable() => {
            format!("{name} must hold at least 32 characters, all of A-Z a-z 0-9 . _ ~ -")
        }
        Object::Provider(_) if text.expose().is_empty() => format!("{name} is empty"),
        _ => return None,
    };
    Some(Unresolved { reason: "SecretInvalid", error: FieldError::new(field, message) })
}
