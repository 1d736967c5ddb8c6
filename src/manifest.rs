//! Custom resources and YAML in, `Desired` out: pure, so that both doors say the same of the same object.
//!
//! [`needs`] says which references an object has; whoever opens the door resolves them into [`References`];
//! [`desired`] applies what resolves, and [`unresolved`] says what does not. A missing reference is a normal state.

pub mod export;
pub mod immutable;
mod names;
pub mod oauth_client;
pub mod object;
pub mod policy;
pub mod provider;
pub mod redirect;
pub mod reference;
pub mod resource_server;
pub mod selector;
mod strangers;
mod together;
pub mod unresolved;
pub mod yaml;

use serde::Serialize;
use serde_json::Value;

pub use crate::crd::FieldError;
use crate::crd::common::{AdoptionPolicy, DELETION_POLICY_ANNOTATION, DeletionPolicy, DriftMode, Reconciliation};
use crate::domain;

pub use object::Object;
pub use policy::{Policy, Trusted};
pub use reference::{Needs, ObjectKey, References, Resolved, SecretKey, permits};
pub use strangers::{Stranger, keep_strangers, strangers};
pub use together::{Known, Together};
pub use unresolved::{Unresolved, unresolved};

/// Why an object cannot be applied; the last good revision stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Invalid {
    pub cause: Cause,
    /// All that is wrong, each naming its field; never empty.
    pub errors: Vec<FieldError>,
}

/// The kind of fault, which is also the condition's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The spec is wrong: `Accepted=False`.
    InvalidSpec,
    /// The spec says what this namespace may not say: `Accepted=False`.
    NotPermitted,
    /// A reference could not be read, which is not the same as absent: `ResolvedRefs=False`.
    RefUnreadable,
}

impl Cause {
    /// The condition's reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            Self::NotPermitted => "NotPermitted",
            Self::RefUnreadable => "RefUnreadable",
        }
    }
}

impl Invalid {
    /// Nothing when there is nothing wrong.
    fn unless_empty(cause: Cause, errors: Vec<FieldError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self { cause, errors }) }
    }
}

/// Which references must be resolved before [`desired`] can speak.
pub fn needs(object: &Object) -> Needs {
    match object {
        Object::ResourceServer(object) => resource_server::needs(object),
        Object::OAuthClient(object) => oauth_client::needs(object),
        Object::Provider(object) => provider::needs(object),
    }
}

/// What the object asks for, with the references that resolve.
///
/// # Errors
/// What the API server cannot check: contents of URIs and selectors, what only trusted namespaces may say, and
/// references that could not be read.
pub fn desired(object: &Object, references: &References, policy: &Policy) -> Result<domain::Desired, Invalid> {
    let trusted = policy.trusts(object.namespace());
    Invalid::unless_empty(Cause::InvalidSpec, check(object, policy))?;
    if !trusted {
        Invalid::unless_empty(Cause::NotPermitted, reserved(object, policy))?;
    }
    Invalid::unless_empty(Cause::NotPermitted, displaced(object, policy))?;
    let needs = needs(object);
    let unreadable = needs.unreadable(references);
    Invalid::unless_empty(Cause::RefUnreadable, unreadable)?;
    let (spec, secret, wanted_id, known_id) = match object {
        Object::ResourceServer(object) => resource_server::parts(object, references, policy),
        Object::OAuthClient(object) => oauth_client::parts(object, references),
        Object::Provider(object) => provider::parts(object),
    };
    let common = object.common();
    Ok(domain::Desired {
        owner: domain::Owner {
            key: object.key(),
            namespace_uid: references.namespace_uid.clone(),
            object_uid: object.uid().to_owned(),
        },
        wanted_id,
        known_id,
        spec,
        drift: common.drift_mode.map_or(policy.drift_mode, |mode| match mode {
            DriftMode::Enforce => domain::DriftMode::Enforce,
            DriftMode::Warn => domain::DriftMode::Warn,
            DriftMode::Ignore => domain::DriftMode::Ignore,
        }),
        ignore_fields: common.ignore_fields,
        deletion: deletion_policy(object),
        adoption: match common.adoption_policy {
            AdoptionPolicy::Never => domain::AdoptionPolicy::Never,
            AdoptionPolicy::IfUnowned => domain::AdoptionPolicy::IfUnowned,
            AdoptionPolicy::Force => domain::AdoptionPolicy::Force,
        },
        trusted,
        host_granted: host(object).is_some_and(|host| policy.resource_hosts.contains_key(&host)),
        paused: common.reconciliation == Reconciliation::Paused,
        secret,
        whole: needs.are_met(references),
    })
}

/// What becomes of the rows when the object goes: its spec's word, or Retain by annotation.
pub fn deletion_policy(object: &Object) -> domain::DeletionPolicy {
    let annotated = object.annotations().get(DELETION_POLICY_ANNOTATION).is_some_and(|value| value == "Retain");
    if annotated || object.common().deletion_policy == DeletionPolicy::Retain {
        domain::DeletionPolicy::Retain
    } else {
        domain::DeletionPolicy::Delete
    }
}

/// Whether the object is for this installation; one of another installation is left alone.
pub fn is_ours(object: &Object, policy: &Policy) -> bool {
    object.common().installation.is_none_or(|installation| installation == policy.installation)
}

/// What neither schema nor CEL can say.
fn check(object: &Object, policy: &Policy) -> Vec<FieldError> {
    let mut errors = selector::check(object.allowed_namespaces(), policy);
    errors.extend(match object {
        Object::ResourceServer(object) => resource_server::check(object, policy),
        Object::OAuthClient(object) => oauth_client::check(object, policy),
        Object::Provider(object) => provider::check(object),
    });
    errors
}

/// All that [`desired`] refuses whatever the references are.
pub fn faults(object: &Object, policy: &Policy) -> Vec<FieldError> {
    let mut errors = check(object, policy);
    errors.extend(displaced(object, policy));
    if !policy.trusts(object.namespace()) {
        errors.extend(reserved(object, policy));
    }
    errors
}

/// What only trusted namespaces may say: it has power over the whole installation.
fn reserved(object: &Object, policy: &Policy) -> Vec<FieldError> {
    let mut errors = match object {
        Object::ResourceServer(object) => resource_server::reserved(object, policy),
        Object::OAuthClient(object) => oauth_client::reserved(object),
        Object::Provider(object) => provider::reserved(object),
    };
    if object.common().adoption_policy == AdoptionPolicy::Force {
        errors.push(only_trusted("spec.adoptionPolicy", "Force"));
    }
    errors
}

/// A resource URI on a host that configuration gives to another namespace.
fn displaced(object: &Object, policy: &Policy) -> Vec<FieldError> {
    let Some(host) = host(object) else { return Vec::new() };
    let owner = policy.resource_hosts.get(&host).filter(|owner| *owner != object.namespace());
    let error = |owner| {
        let message = format!("host {host} belongs to namespace {owner} by operator.resource_hosts");
        FieldError::new("spec.resourceURI", message)
    };
    owner.map(error).into_iter().collect()
}

/// The host of a resource server's URI.
fn host(object: &Object) -> Option<String> {
    let Object::ResourceServer(object) = object else { return None };
    url::Url::parse(&object.spec.resource_uri).ok()?.host_str().map(str::to_owned)
}

fn only_trusted(path: &str, value: &str) -> FieldError {
    FieldError::new(path, format!("{value} is only for the namespaces of operator.trusted_namespaces"))
}

/// The value of a type whose serialisation cannot fail.
fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// The name of an enum's variant as the custom resource spells it.
fn spelled<T: Serialize>(value: &T) -> String {
    json(value).as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
