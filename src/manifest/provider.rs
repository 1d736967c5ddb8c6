//! From a Provider object to the policy it asks for.

use serde_json::Value;

use super::reference::{Needs, SecretKey};
use super::resource_server::sorted;
use super::{json, only_trusted, redirect, spelled};
use crate::crd;
use crate::crd::FieldError;
use crate::crd::provider::{ProviderSpec, ProviderType, Purpose};
use crate::domain::Spec;
use crate::domain::desired::SecretSource;
use crate::domain::provider as to;

pub(super) fn needs(object: &crd::Provider) -> Needs {
    let mut needs = Needs::default();
    if let Some(reference) = &object.spec.client_secret_ref {
        let key = SecretKey { name: reference.name.clone(), key: reference.key.clone() };
        needs.secrets.insert(key, "spec.clientSecretRef".into());
    }
    if let Some(assertion) = &object.spec.signed_assertion {
        let key = SecretKey { name: assertion.key_ref.name.clone(), key: assertion.key_ref.key.clone() };
        needs.secrets.insert(key, "spec.signedAssertion.keyRef".into());
    }
    needs
}

pub(super) fn check(object: &crd::Provider) -> Vec<FieldError> {
    let spec = &object.spec;
    let mut urls: Vec<(&str, &str)> = Vec::new();
    if let Some(oidc) = &spec.oidc {
        urls.push(("spec.oidc.issuerURL", &oidc.issuer_url));
    }
    if let Some(oauth2) = &spec.oauth2 {
        urls.push(("spec.oauth2.authorizationEndpoint", &oauth2.authorization_endpoint));
        urls.push(("spec.oauth2.tokenEndpoint", &oauth2.token_endpoint));
        urls.extend(oauth2.userinfo_endpoint.iter().map(|url| ("spec.oauth2.userinfoEndpoint", url.as_str())));
        urls.extend(oauth2.revocation_endpoint.iter().map(|url| ("spec.oauth2.revocationEndpoint", url.as_str())));
    }
    if let Some(assertion) = &spec.signed_assertion {
        urls.push(("spec.signedAssertion.tokenURL", &assertion.token_url));
    }
    urls.into_iter().filter_map(|(path, url)| redirect::web(path, url)).collect()
}

pub(super) fn reserved(object: &crd::Provider) -> Vec<FieldError> {
    let login = object.spec.purposes.contains(&Purpose::Login);
    login.then(|| only_trusted("spec.purposes", "Login")).into_iter().collect()
}

/// What is stored, no secret, no wanted id, and the id it has.
pub(super) fn parts(object: &crd::Provider) -> (Spec, SecretSource, Option<String>, Option<String>) {
    let spec = &object.spec;
    let purposes: Vec<String> = spec.purposes.iter().map(spelled).collect();
    let provider = to::Provider {
        provider_type: spelled(&spec.kind),
        purposes: sorted(&purposes),
        display_name: spec.display_name.clone().or_else(|| object.metadata.name.clone()).unwrap_or_default(),
        settings: settings(spec),
        client_id: spec.client_id.clone().unwrap_or_default(),
        client_secret_ref: json(&spec.client_secret_ref),
        scopes: sorted(&spec.scopes),
        subject_claim: spec.subject_claim.clone().unwrap_or_else(|| "sub".to_owned()),
        claim_mappings: json(&spec.claim_mappings),
        allowed_namespaces: json(&spec.common.allowed_namespaces),
    };
    let known = object.status.as_ref().and_then(|status| status.provider_id.clone());
    (Spec::Provider(provider), SecretSource::None, None, known)
}

/// The member of the union that the type selects.
fn settings(spec: &ProviderSpec) -> Value {
    match spec.kind {
        ProviderType::Oidc => json(&spec.oidc),
        ProviderType::OAuth2 => json(&spec.oauth2),
        ProviderType::APIKey => json(&spec.api_key),
        ProviderType::SignedAssertion => json(&spec.signed_assertion),
    }
}
