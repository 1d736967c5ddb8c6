//! From an OAuthClient object to the policy it asks for.

use std::collections::BTreeSet;

use serde_json::{Value, json as object_of};

use super::policy::Policy;
use super::reference::{Needs, ObjectKey, References, Resolved, SecretKey};
use super::resource_server::sorted;
use super::{json, names, only_trusted, redirect, spelled};
use crate::crd;
use crate::crd::FieldError;
use crate::crd::oauth_client as from;
use crate::crd::secret as secrets;
use crate::domain::Spec;
use crate::domain::client as to;
use crate::domain::credential::Rotation;
use crate::domain::desired::SecretSource;

pub(super) fn needs(object: &crd::OAuthClient) -> Needs {
    let mut needs = Needs::default();
    for item in &object.spec.resources {
        let field = format!("spec.resources[{}].resourceServerRef", item.name);
        Needs::add(&mut needs.resource_servers, &item.resource_server_ref, namespace(object), field);
    }
    if let Some(key) = referenced(object) {
        needs.secrets.insert(key, "spec.authentication.secret.name".into());
    }
    needs
}

/// The user's own Secret, if the client secret comes from one.
fn referenced(object: &crd::OAuthClient) -> Option<SecretKey> {
    let secret = object.spec.authentication.secret.as_ref()?;
    (secret.source == secrets::SecretSource::Referenced)
        .then(|| SecretKey { name: secret.name.clone(), key: secret.keys.client_secret.clone() })
}

pub(super) fn check(object: &crd::OAuthClient, policy: &Policy) -> Vec<FieldError> {
    let spec = &object.spec;
    let mut errors = Vec::new();
    for (index, uri) in spec.redirect_uris.iter().enumerate() {
        errors.extend(redirect::check(&format!("spec.redirectURIs[{index}]"), uri, policy));
    }
    let mut servers = BTreeSet::new();
    for item in &spec.resources {
        if !servers.insert(ObjectKey::of(&item.resource_server_ref, namespace(object))) {
            let path = format!("spec.resources[{}].resourceServerRef", item.name);
            errors.push(FieldError::new(path, "the same resource server is listed twice"));
        }
    }
    let authentication = &spec.authentication;
    if let Some(uri) = &authentication.jwks_uri {
        errors.extend(redirect::web("spec.authentication.jwksURI", uri));
    }
    for (index, key) in authentication.jwks.iter().flat_map(|jwks| &jwks.keys).enumerate() {
        errors.extend(check_key(&format!("spec.authentication.jwks.keys[{index}]"), key));
    }
    if let Some(template) = authentication.secret.as_ref().and_then(|secret| secret.template.as_ref()) {
        let path = "spec.authentication.secret.template";
        for (key, value) in &template.labels {
            errors.extend(names::label(&format!("{path}.labels"), key, value));
        }
        for key in template.annotations.keys().filter(|key| !names::is_qualified_name(key)) {
            errors.push(FieldError::new(format!("{path}.annotations"), format!("{key:?} is not an annotation key")));
        }
    }
    errors
}

/// The members that each type of key must have (RFC 7518 §6, RFC 8037 §2).
fn check_key(path: &str, key: &from::JsonWebKey) -> Vec<FieldError> {
    let members: &[(&str, &Option<String>)] = match key.kty {
        from::KeyType::EC => &[("crv", &key.crv), ("x", &key.x), ("y", &key.y)],
        from::KeyType::OKP => &[("crv", &key.crv), ("x", &key.x)],
        from::KeyType::RSA => &[("n", &key.n), ("e", &key.e)],
    };
    let base64url = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    members
        .iter()
        .filter_map(|(name, value)| match value {
            None => {
                Some(FieldError::new(format!("{path}.{name}"), format!("is required with kty {}", spelled(&key.kty))))
            }
            Some(text) if *name != "crv" && !base64url(text) => {
                Some(FieldError::new(format!("{path}.{name}"), "must be base64url without padding"))
            }
            Some(_) => None,
        })
        .collect()
}

pub(super) fn reserved(object: &crd::OAuthClient) -> Vec<FieldError> {
    match object.spec.consent {
        from::ClientConsent::Implicit => vec![only_trusted("spec.consent", "Implicit")],
        from::ClientConsent::Required => Vec::new(),
    }
}

/// What is stored, where the secret comes from, the id it wants and the one it has.
pub(super) fn parts(
    object: &crd::OAuthClient,
    references: &References,
) -> (Spec, SecretSource, Option<String>, Option<String>) {
    let spec = &object.spec;
    let authentication = &spec.authentication;
    let client = to::Client {
        display_name: spec.display_name.clone().or_else(|| object.metadata.name.clone()).unwrap_or_default(),
        state: match spec.state {
            from::ClientState::Active => to::ClientState::Active,
            from::ClientState::Suspended => to::ClientState::Suspended,
        },
        grant_types: spec.grant_types.iter().map(grant_type).collect::<BTreeSet<_>>().into_iter().collect(),
        redirect_uris: spec.redirect_uris.clone(),
        authentication_method: match authentication.method {
            from::AuthenticationMethod::None => to::AuthenticationMethod::None,
            from::AuthenticationMethod::ClientSecretBasic => to::AuthenticationMethod::ClientSecretBasic,
            from::AuthenticationMethod::ClientSecretPost => to::AuthenticationMethod::ClientSecretPost,
            from::AuthenticationMethod::PrivateKeyJWT => to::AuthenticationMethod::PrivateKeyJWT,
            from::AuthenticationMethod::WorkloadIdentity => to::AuthenticationMethod::WorkloadIdentity,
        },
        jwks: json(&authentication.jwks),
        jwks_uri: authentication.jwks_uri.clone(),
        workload_identity: workload_identity(object),
        agent: json(&spec.agent),
        resources: spec.resources.iter().filter_map(|item| attachment(item, object, references)).collect(),
        consent: spelled(&spec.consent),
        tokens: to::ClientTokens {
            refresh_lifetime_seconds: spec.tokens.refresh_lifetime_seconds,
            refresh_idle_seconds: spec.tokens.refresh_idle_seconds,
            sender_constraint: spelled(&spec.tokens.sender_constraint),
        },
    };
    let known = object.status.as_ref().and_then(|status| status.client_id.clone());
    (Spec::Client(client), secret(object, references), spec.client_id.clone(), known)
}

fn namespace(object: &crd::OAuthClient) -> &str {
    object.metadata.namespace.as_deref().unwrap_or_default()
}

const fn grant_type(grant: &from::GrantType) -> to::GrantType {
    match grant {
        from::GrantType::AuthorizationCode => to::GrantType::AuthorizationCode,
        from::GrantType::RefreshToken => to::GrantType::RefreshToken,
        from::GrantType::ClientCredentials => to::GrantType::ClientCredentials,
        from::GrantType::DeviceCode => to::GrantType::DeviceCode,
        from::GrantType::TokenExchange => to::GrantType::TokenExchange,
        from::GrantType::JwtBearer => to::GrantType::JwtBearer,
    }
}

fn attachment(item: &from::Attachment, object: &crd::OAuthClient, references: &References) -> Option<to::Attachment> {
    let key = ObjectKey::of(&item.resource_server_ref, namespace(object));
    let resource_server_id = references.resource_servers.get(&key)?.found()?.clone();
    Some(to::Attachment { name: item.name.clone(), resource_server_id, scopes: sorted(&item.scopes) })
}

fn workload_identity(object: &crd::OAuthClient) -> Value {
    let Some(identity) = &object.spec.authentication.workload_identity else { return Value::Null };
    if let Some(account) = &identity.service_account_ref {
        return object_of!({"serviceAccount": format!("{}/{}", namespace(object), account.name)});
    }
    let issuer = identity.trusted_issuer_ref.as_ref().map(|r| ObjectKey::of(r, namespace(object)).to_string());
    object_of!({"trustedIssuer": issuer, "subject": identity.subject})
}

fn secret(object: &crd::OAuthClient, references: &References) -> SecretSource {
    let Some(secret) = &object.spec.authentication.secret else { return SecretSource::None };
    let rotation = rotation(secret.rotation.as_ref());
    match referenced(object).map(|key| references.secrets.get(&key)) {
        None => SecretSource::Generated(rotation),
        Some(Some(Resolved::Found(text))) if text.is_acceptable() => {
            SecretSource::Referenced { hash: text.hash(), rotation }
        }
        Some(_) => SecretSource::Unresolved,
    }
}

pub(super) fn rotation(rotation: Option<&secrets::SecretRotation>) -> Rotation {
    rotation.map_or_else(Rotation::default, |rotation| Rotation {
        period_seconds: rotation.period_seconds,
        overlap_seconds: rotation.overlap_seconds,
        rotate_issued_before: rotation.rotate_issued_before,
        revoke_issued_before: rotation.revoke_issued_before,
    })
}
