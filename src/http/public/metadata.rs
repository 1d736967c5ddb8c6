//! The documents that clients start from: issuer metadata, public keys, protected resources.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;

use crate::http::respond;
use crate::oauth::{AuthorizationServer, path};

/// Where issuer metadata lies: the well-known path put before the issuer's path (RFC 8414 §3.1) and behind it (OIDC
/// Discovery §4), each with and without a slash at the end.
pub fn forms(base: &str) -> BTreeSet<String> {
    let places = [path::AUTHORIZATION_SERVER, path::OPENID_CONFIGURATION];
    let forms = places.iter().flat_map(|place| [format!("{place}{base}"), format!("{base}{place}")]);
    forms.flat_map(|form| [format!("{form}/"), form]).collect()
}

/// Where protected-resource metadata lies (RFC 9728 §3.1), at the origin and below the issuer.
pub fn resource_forms(base: &str) -> BTreeSet<String> {
    let places = [path::PROTECTED_RESOURCE.to_owned(), format!("{base}{}", path::PROTECTED_RESOURCE)];
    places.into_iter().flat_map(|place| [format!("{place}/{{*rest}}"), format!("{place}/"), place]).collect()
}

pub async fn issuer(State(server): State<AuthorizationServer>, headers: HeaderMap) -> Response {
    respond::document(server.metadata(), &headers)
}

pub async fn jwks(State(server): State<AuthorizationServer>, headers: HeaderMap) -> Response {
    respond::document_for(&server.jwks(), &headers, server.jwks_seconds())
}

pub async fn protected_resource(State(server): State<AuthorizationServer>, uri: Uri, headers: HeaderMap) -> Response {
    let host = uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| headers.get(header::HOST).and_then(|value| value.to_str().ok()));
    let rest = uri.path().split_once(path::PROTECTED_RESOURCE).map_or("", |(_, rest)| rest);
    match server.protected_resource(host, rest) {
        Some(document) => respond::document(&document, &headers),
        None => respond::not_found().await,
    }
}
