//! Issuer metadata (RFC 8414, OIDC Discovery): what this server does today, and nothing that it does not.
//!
//! MCP clients refuse a server without `code_challenge_methods_supported`; it names the one method that is accepted.

use std::sync::Arc;

use serde_json::{Value, json};
use url::Url;

use super::document::Document;
use super::error::Error;
use super::jws::Algorithm;
use crate::domain::authorize::OFFLINE_ACCESS;
use crate::domain::owner::{Kind, OwnerKey};
use crate::domain::policy::{Policy, ResourceServerEntry};
use crate::domain::resource_server::Lifecycle;
use crate::domain::user;

/// Where things are, relative to the issuer.
pub mod path {
    pub const AUTHORIZE: &str = "/oauth/authorize";
    /// RFC 9126 §2.
    pub const PAR: &str = "/oauth/par";
    pub const TOKEN: &str = "/oauth/token";
    pub const DEVICE_AUTHORIZATION: &str = "/oauth/device_authorization";
    /// Where a user types the code of a device.
    pub const DEVICE: &str = "/device";
    pub const INTROSPECT: &str = "/oauth/introspect";
    pub const REVOKE: &str = "/oauth/revoke";
    pub const REGISTER: &str = "/oauth/register";
    pub const JWKS: &str = "/.well-known/jwks.json";
    pub const AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";
    pub const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";
    pub const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";
}

/// The issuer as it was configured, taken apart once.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    /// Path of the issuer without a slash at its end; empty for most.
    pub path: String,
    /// `host:port` as a client writes it in `Host`.
    pub authority: String,
}

impl Issuer {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text).map_err(Error::Issuer)?;
        Ok(Self { path: url.path().trim_end_matches('/').to_owned(), authority: authority(&url) })
    }
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What configuration and the moment decide.
pub(super) struct Offered {
    pub registration: bool,
    pub documents: bool,
    pub must_push: bool,
}

/// The document at both well-known places; the same bytes, so that they cannot contradict each other.
pub(super) fn issuer(issuer: &str, offered: &Offered) -> Document {
    let at = |path: &str| format!("{issuer}{path}");
    let with_proof = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let with_all = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];
    let algorithms = Algorithm::ALL.map(Algorithm::as_str);
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": at(path::AUTHORIZE),
        "token_endpoint": at(path::TOKEN),
        "introspection_endpoint": at(path::INTROSPECT),
        "revocation_endpoint": at(path::REVOKE),
        "device_authorization_endpoint": at(path::DEVICE_AUTHORIZATION),
        "dpop_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::as_str),
        "jwks_uri": at(path::JWKS),
        "pushed_authorization_request_endpoint": at(path::PAR),
        "require_pushed_authorization_requests": offered.must_push,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ],
        // what stays the same for every resource: theirs are in their own metadata (RFC 9728)
        "scopes_supported": [OFFLINE_ACCESS],
        "authorization_response_iss_parameter_supported": true,
        "acr_values_supported": [user::ACR],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        // no request objects (RFC 9101); the default of the second is true
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "claims_parameter_supported": false,
        "token_endpoint_auth_methods_supported": with_all,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": with_proof,
        "introspection_signing_alg_values_supported": ["ES256", "EdDSA", "RS256"],
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": with_all,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "client_id_metadata_document_supported": offered.documents,
        "code_challenge_methods_supported": ["S256"],
        // demanded by OIDC Discovery §3; no ID token is issued
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "EdDSA", "RS256"],
    });
    if offered.registration {
        document["registration_endpoint"] = at(path::REGISTER).into();
    }
    Document::new(&document)
}

/// Protected-resource metadata (RFC 9728 §2) of a resource server that is Live.
fn protected_resource(entry: &ResourceServerEntry, issuer: &str) -> Option<Document> {
    let resource_server = &entry.resource_server;
    if resource_server.lifecycle != Lifecycle::Live {
        return None;
    }
    let scopes: Vec<&str> = resource_server.scopes.iter().map(|scope| scope.name.as_str()).collect();
    let mut document = json!({
        "resource": resource_server.resource_uri,
        "authorization_servers": [issuer],
        "scopes_supported": scopes,
        "bearer_methods_supported": ["header"],
    });
    if !resource_server.display_name.is_empty() {
        document["resource_name"] = Value::from(resource_server.display_name.as_str());
    }
    if resource_server.access_token.sender_constraint == "DPoPRequired" {
        document["dpop_bound_access_tokens_required"] = true.into();
    }
    Some(Document::new(&document))
}

impl super::AuthorizationServer {
    /// Issuer metadata.
    pub fn metadata(&self) -> &Document {
        let [open, closed] = &self.inner.metadata;
        if self.inner.dynamic.switch.is_open() { open } else { closed }
    }

    /// Public keys.
    pub fn jwks(&self) -> Arc<Document> {
        self.inner.keys.jwks()
    }

    /// Seconds for which they may be kept: no longer than a new key is published before it signs.
    pub fn jwks_seconds(&self) -> i64 {
        self.inner.keys.cache_seconds()
    }

    /// `iss` of every token, without a slash at its end.
    pub fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    /// Path of the issuer, before every path of [`path`]; empty for most.
    pub fn base_path(&self) -> &str {
        &self.inner.home.path
    }

    /// What lies at the well-known place behind which `rest` stands (empty, or with a slash in front): of a resource
    /// on the host that was asked, or of `/{namespace}/{name}`. The host only selects; it is never repeated.
    pub fn protected_resource(&self, host: Option<&str>, rest: &str) -> Option<Document> {
        let snapshot = self.inner.store.snapshot();
        let by_name = || {
            let (namespace, name) = rest.strip_prefix('/')?.split_once('/')?;
            let id = snapshot.entity_of(&OwnerKey::new(Kind::ResourceServer, namespace, name))?;
            snapshot.resource_server(id)
        };
        let by_host = || {
            let host = host?;
            let found = ["https", "http"].iter().find_map(|scheme| {
                let uri = format!("{scheme}://{host}{rest}");
                snapshot.resource_server_by_uri(&uri).filter(|entry| names(&entry.resource_server.resource_uri, &uri))
            })?;
            Some(found)
        };
        // on the issuer's own host the first form is always namespace and name
        let own = host.is_some_and(|host| host.eq_ignore_ascii_case(&self.inner.home.authority));
        let entry = if own { by_name().or_else(by_host) } else { by_host().or_else(by_name) };
        protected_resource(entry?, &self.inner.issuer)
    }
}

/// Exactly the registered URI; a lone slash behind a host makes no difference.
fn names(registered: &str, asked: &str) -> bool {
    let bare = |uri: &str| uri.strip_suffix('/').filter(|u| u.matches('/').count() == 2).unwrap_or(uri).to_owned();
    bare(registered) == bare(asked)
}
