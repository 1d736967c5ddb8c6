//! What a stranger says of a client (RFC 7591 §2), by registration or in a document, and what of it is believed.
//!
//! What this server would never use is neither kept nor told back: grants that strangers do not get, response types that
//! do not exist here, scopes (what may be asked for is decided at each resource). Members that nobody knows are ignored.

mod text;
mod uri;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use self::text::{others, readable, strings, text};
use super::jws::{Algorithm, KeySet};
use crate::domain::client::{AuthenticationMethod, Client, ClientState, ClientTokens, GrantType};
use crate::domain::redirect::{self, Fault as RedirectFault, Place};

/// Longer lists are refused.
const MAX_REDIRECTS: usize = 32;
/// The longest other text, in bytes.
const MAX_TEXT: usize = 2048;

/// Which redirect URIs strangers may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedirectPolicy {
    /// Schemes of applications that are known here (M-07).
    pub private_use_schemes: BTreeSet<String>,
    /// Exact https URIs that the administrator knows; only with `only_approved` do they matter.
    pub approved: BTreeSet<String>,
    /// No other https URI.
    pub only_approved: bool,
}

/// Where the metadata comes from: the two differ in what may be left out and in who has a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Registration,
    Document,
}

/// What is wrong. The text repeats nothing that was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// One of `redirect_uris`, counted from 0.
    #[error("redirect_uris[{index}]: {why}")]
    RedirectUri { index: usize, why: &'static str },
    #[error("{member}: {why}")]
    Member { member: &'static str, why: &'static str },
    /// It is not a signed JWT at all.
    #[error("software_statement: not a signed JWT")]
    BadStatement,
    /// Nobody's statements are approved here.
    #[error("software_statement: its issuer is not approved here")]
    UnapprovedStatement,
}

impl Fault {
    /// `error` of the response (RFC 7591 §3.2.2).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RedirectUri { .. } => "invalid_redirect_uri",
            Self::Member { .. } => "invalid_client_metadata",
            Self::BadStatement => "invalid_software_statement",
            Self::UnapprovedStatement => "unapproved_software_statement",
        }
    }
}

fn member(member: &'static str, why: &'static str) -> Fault {
    Fault::Member { member, why }
}

/// What is believed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Metadata {
    pub client_name: Option<String>,
    pub redirect_uris: Vec<String>,
    pub grant_types: Vec<GrantType>,
    pub method: AuthenticationMethod,
    pub algorithm: Option<Algorithm>,
    pub jwks: Value,
    pub jwks_uri: Option<String>,
    pub dpop_bound: bool,
    pub native: bool,
    /// Members that are kept as they came and mean nothing to us: names in other languages, links, contacts.
    pub others: Map<String, Value>,
}

impl Metadata {
    /// Reads and judges.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(kind: Kind, mut object: Map<String, Value>, policy: &RedirectPolicy) -> Result<Self, Fault> {
        // a text that says nothing says the same as none
        object.retain(|_, value| !matches!(value, Value::Null) && value.as_str() != Some(""));
        statement(kind, &object)?;
        uri::check(&object)?;
        let (method, algorithm) = method(kind, &object)?;
        let (jwks, jwks_uri) = keys(kind, &mut object, method)?;
        let grant_types = grants(&object)?;
        let redirect_uris = redirects(kind, &object, policy, method)?;
        if redirect_uris.is_empty() && grant_types.contains(&GrantType::AuthorizationCode) {
            return Err(member("redirect_uris", "required"));
        }
        let client_name = text(&object, "client_name")?.map(readable).filter(|name| !name.is_empty());
        if client_name.is_none() && kind == Kind::Document {
            return Err(member("client_name", "required"));
        }
        let native = match text(&object, "application_type")? {
            None => redirect_uris.iter().any(|uri| !uri.starts_with("https:")),
            Some("native") => true,
            Some("web") => match redirect_uris.iter().position(|uri| !uri.starts_with("http")) {
                Some(index) => {
                    return Err(Fault::RedirectUri { index, why: "a web application has no scheme of its own" });
                }
                None => false,
            },
            Some(_) => return Err(member("application_type", "expected native or web")),
        };
        let dpop_bound = match object.get("dpop_bound_access_tokens") {
            None => false,
            Some(Value::Bool(bound)) => *bound,
            Some(_) => return Err(member("dpop_bound_access_tokens", "expected true or false")),
        };
        let others = others(object)?;
        Ok(Self {
            client_name,
            redirect_uris,
            grant_types,
            method,
            algorithm,
            jwks,
            jwks_uri,
            dpop_bound,
            native,
            others,
        })
    }

    /// The client that this makes.
    pub fn client(&self) -> Client {
        let fallback = || self.redirect_uris.first().map_or("", |uri| redirect::shown(uri)).to_owned();
        Client {
            display_name: self.client_name.clone().unwrap_or_else(fallback),
            state: ClientState::Active,
            grant_types: self.grant_types.clone(),
            redirect_uris: self.redirect_uris.clone(),
            authentication_method: self.method,
            jwks: self.jwks.clone(),
            jwks_uri: self.jwks_uri.clone(),
            workload_identity: Value::Null,
            agent: Value::Null,
            resources: Vec::new(),
            consent: "Required".to_owned(),
            tokens: ClientTokens {
                refresh_lifetime_seconds: 2_592_000,
                refresh_idle_seconds: 604_800,
                sender_constraint: if self.dpop_bound { "DPoPRequired" } else { "DPoPOptional" }.to_owned(),
            },
        }
    }

    /// All of it as RFC 7591 §3.2.1 tells it back, without a null.
    pub fn told(&self) -> Map<String, Value> {
        let mut told = self.others.clone();
        let mut tell = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
        if let Some(name) = &self.client_name {
            tell("client_name", json!(name));
        }
        tell("redirect_uris", json!(self.redirect_uris));
        tell("grant_types", json!(self.grant_types.iter().map(|grant| grant_name(*grant)).collect::<Vec<_>>()));
        let code = self.grant_types.contains(&GrantType::AuthorizationCode);
        tell("response_types", if code { json!(["code"]) } else { json!([]) });
        tell("token_endpoint_auth_method", json!(method_name(self.method)));
        tell("application_type", json!(if self.native { "native" } else { "web" }));
        if let Some(algorithm) = self.algorithm {
            tell("token_endpoint_auth_signing_alg", json!(algorithm.as_str()));
        }
        if !self.jwks.is_null() {
            tell("jwks", self.jwks.clone());
        }
        if let Some(uri) = &self.jwks_uri {
            tell("jwks_uri", json!(uri));
        }
        if self.dpop_bound {
            tell("dpop_bound_access_tokens", json!(true));
        }
        told
    }
}

/// Signed statements need somebody whose signature counts, and there is nobody.
fn statement(kind: Kind, object: &Map<String, Value>) -> Result<(), Fault> {
    match object.get("software_statement") {
        Some(_) if kind == Kind::Document => Ok(()),
        Some(Value::String(text)) if text.split('.').count() == 3 => Err(Fault::UnapprovedStatement),
        Some(_) => Err(Fault::BadStatement),
        None => Ok(()),
    }
}

const METHODS: [AuthenticationMethod; 4] = [
    AuthenticationMethod::PrivateKeyJWT,
    AuthenticationMethod::None,
    AuthenticationMethod::ClientSecretBasic,
    AuthenticationMethod::ClientSecretPost,
];

/// The spelling of RFC 7591 §2.
pub(super) const fn method_name(method: AuthenticationMethod) -> &'static str {
    match method {
        AuthenticationMethod::PrivateKeyJWT => "private_key_jwt",
        AuthenticationMethod::ClientSecretBasic => "client_secret_basic",
        AuthenticationMethod::ClientSecretPost => "client_secret_post",
        AuthenticationMethod::None | AuthenticationMethod::WorkloadIdentity => "none",
    }
}

fn method(kind: Kind, object: &Map<String, Value>) -> Result<(AuthenticationMethod, Option<Algorithm>), Fault> {
    const NAME: &str = "token_endpoint_auth_method";
    let possible = |method: &AuthenticationMethod| kind == Kind::Registration || !method.has_secret();
    let of = |name: &str| METHODS.into_iter().find(|m| method_name(*m) == name).filter(possible);
    // several to choose from (OpenID Connect Relying Party Metadata Choices): the strongest that there are keys for
    let choices = strings(object, "token_endpoint_auth_methods_supported")?;
    let has_keys = object.contains_key("jwks") || object.contains_key("jwks_uri");
    let chosen = choices.map(|choices| {
        let chosen = METHODS.into_iter().filter(possible).find(|method| {
            choices.contains(&method_name(*method)) && (*method != AuthenticationMethod::PrivateKeyJWT || has_keys)
        });
        chosen.ok_or_else(|| member("token_endpoint_auth_methods_supported", "none of them is possible here"))
    });
    let method = match (text(object, NAME)?, chosen) {
        (Some(name), _) => of(name).ok_or_else(|| member(NAME, "not a method that is possible here"))?,
        (None, Some(chosen)) => chosen?,
        (None, None) if kind == Kind::Registration => AuthenticationMethod::ClientSecretBasic,
        (None, None) => AuthenticationMethod::None,
    };
    let algorithm =
        match text(object, "token_endpoint_auth_signing_alg")? {
            Some(name) if method == AuthenticationMethod::PrivateKeyJWT => {
                let known = Algorithm::parse(name);
                Some(known.ok_or_else(|| {
                    member("token_endpoint_auth_signing_alg", "not an algorithm that is accepted here")
                })?)
            }
            _ => None,
        };
    Ok((method, algorithm))
}

/// The client's public keys, if it is by them that it authenticates.
fn keys(
    kind: Kind,
    object: &mut Map<String, Value>,
    method: AuthenticationMethod,
) -> Result<(Value, Option<String>), Fault> {
    if kind == Kind::Document {
        // a document that everybody can read holds no secret
        let secret = ["client_secret", "client_secret_expires_at"].into_iter().find(|name| object.contains_key(*name));
        if let Some(secret) = secret {
            return Err(member(secret, "not allowed in a document"));
        }
    }
    let (jwks, uri) = (object.remove("jwks"), text(object, "jwks_uri")?.map(str::to_owned));
    if jwks.is_some() && uri.is_some() {
        return Err(member("jwks", "not together with jwks_uri"));
    }
    if let Some(jwks) = &jwks {
        let set = jwks.as_object().map(KeySet::parse);
        match set {
            Some(Ok(set)) if !set.is_empty() || method != AuthenticationMethod::PrivateKeyJWT => {}
            Some(Ok(_)) => return Err(member("jwks", "no key in it can be used here")),
            _ => return Err(member("jwks", "not a set of public keys")),
        }
    }
    match (method, jwks, uri) {
        (AuthenticationMethod::PrivateKeyJWT, None, None) => Err(member("jwks", "private_key_jwt needs keys")),
        (AuthenticationMethod::PrivateKeyJWT, jwks, uri) => Ok((jwks.unwrap_or_default(), uri)),
        _ => Ok((Value::Null, None)),
    }
}

/// What strangers may get at all.
const GRANTS: [GrantType; 3] = [GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode];

const fn grant_name(grant: GrantType) -> &'static str {
    match grant {
        GrantType::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
        other => other.as_str(),
    }
}

fn grants(object: &Map<String, Value>) -> Result<Vec<GrantType>, Fault> {
    if let Some(types) = strings(object, "response_types")?
        && !types.is_empty()
        && !types.contains(&"code")
    {
        return Err(member("response_types", "expected code"));
    }
    let asked = strings(object, "grant_types")?.unwrap_or_else(|| vec!["authorization_code", "refresh_token"]);
    let granted: Vec<GrantType> = GRANTS.into_iter().filter(|grant| asked.contains(&grant_name(*grant))).collect();
    // a refresh token comes of another grant
    if granted.iter().all(|grant| *grant == GrantType::RefreshToken) {
        return Err(member("grant_types", "none that a client of this kind may use"));
    }
    Ok(granted)
}

fn redirects(
    kind: Kind,
    object: &Map<String, Value>,
    policy: &RedirectPolicy,
    method: AuthenticationMethod,
) -> Result<Vec<String>, Fault> {
    let listed = strings(object, "redirect_uris")?.unwrap_or_default();
    if listed.len() > MAX_REDIRECTS {
        return Err(member("redirect_uris", "too many"));
    }
    if listed.is_empty() && kind == Kind::Document {
        return Err(member("redirect_uris", "required"));
    }
    for (index, uri) in listed.iter().enumerate() {
        let wrong = |why| Err(Fault::RedirectUri { index, why });
        match redirect::place(uri) {
            Err(RedirectFault::DotSegment) => return wrong("must not have . or .. as a path segment"),
            Err(RedirectFault::ResponseParameter(_)) => {
                return wrong("must not have a parameter of the response in its query");
            }
            Err(_) => {
                return wrong(
                    "must be https, or http on loopback, or a private-use scheme; no user, fragment or wildcard",
                );
            }
            Ok(Place::PrivateUse(scheme)) if !policy.private_use_schemes.contains(scheme) => {
                return wrong("this private-use scheme is not allowed here");
            }
            Ok(Place::PrivateUse(_)) if method != AuthenticationMethod::None => {
                return wrong("a private-use scheme is only for public clients");
            }
            Ok(Place::Https) if policy.only_approved && !policy.approved.contains(*uri) => {
                return wrong("this redirect URI is not approved here");
            }
            Ok(_) => {}
        }
    }
    let listed: Vec<String> = listed.into_iter().map(str::to_owned).collect();
    Ok(listed)
}

/// Which algorithm a stranger's stored metadata binds it to (K-05).
pub(super) fn bound_algorithm(told: &Map<String, Value>) -> Option<Algorithm> {
    told.get("token_endpoint_auth_signing_alg").and_then(Value::as_str).and_then(Algorithm::parse)
}

#[cfg(test)]
mod tests;
