//! What the endpoints are asked, typed.

use super::credentials::Presented;
use super::dpop::Shown;
use super::form::Form;
use super::grant::token_exchange::Parameters;
use crate::domain::client::GrantType;
use crate::domain::refusal::Refusal;

/// Grants this server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    ClientCredentials,
    AuthorizationCode,
    RefreshToken,
    DeviceCode,
    TokenExchange,
}

impl Grant {
    /// `grant_type` of a request (OAuth 2.1 §3.2.2).
    fn read(text: &str) -> Option<Self> {
        match text {
            "client_credentials" => Some(Self::ClientCredentials),
            "authorization_code" => Some(Self::AuthorizationCode),
            "refresh_token" => Some(Self::RefreshToken),
            "urn:ietf:params:oauth:grant-type:device_code" => Some(Self::DeviceCode),
            "urn:ietf:params:oauth:grant-type:token-exchange" => Some(Self::TokenExchange),
            _ => None,
        }
    }

    /// What a client is registered for to use it.
    pub const fn of_client(self) -> GrantType {
        match self {
            Self::ClientCredentials => GrantType::ClientCredentials,
            Self::AuthorizationCode => GrantType::AuthorizationCode,
            Self::RefreshToken => GrantType::RefreshToken,
            Self::DeviceCode => GrantType::DeviceCode,
            Self::TokenExchange => GrantType::TokenExchange,
        }
    }

    /// The value of the log field `grant_type`.
    pub const fn as_str(self) -> &'static str {
        self.of_client().as_str()
    }
}

/// `POST /oauth/token` (OAuth 2.1 §3.2).
pub struct TokenRequest {
    pub(super) grant: Result<Grant, Refusal>,
    pub(super) resources: Vec<String>,
    pub(super) scope: Option<String>,
    pub(super) code: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) code_verifier: Option<String>,
    pub(super) refresh_token: Option<String>,
    pub(super) device_code: Option<String>,
    pub(super) exchange: Option<Parameters>,
}

impl TokenRequest {
    pub fn read(form: &Form) -> Self {
        let grant = match form.get("grant_type") {
            Some(_) if form.get("authorization_details").is_some() => Err(Refusal::UnsupportedDetails),
            Some(text) => Grant::read(text).ok_or(Refusal::UnsupportedGrant),
            None => Err(Refusal::Malformed("grant_type is missing")),
        };
        Self {
            grant,
            resources: form.all("resource").map(str::to_owned).collect(),
            scope: form.get("scope").map(str::to_owned),
            code: form.get("code").map(str::to_owned),
            redirect_uri: form.get("redirect_uri").map(str::to_owned),
            code_verifier: form.get("code_verifier").map(str::to_owned),
            refresh_token: form.get("refresh_token").map(str::to_owned),
            device_code: form.get("device_code").map(str::to_owned),
            exchange: (grant == Ok(Grant::TokenExchange)).then(|| Parameters::read(form)),
        }
    }

    /// The grant, when it is one of ours.
    pub fn grant(&self) -> Option<Grant> {
        self.grant.ok()
    }
}

/// Longer texts are no tokens of ours.
pub(super) const MAX_TOKEN: usize = 16 * 1024;

/// `POST /oauth/introspect` (RFC 7662 §2.1) and `POST /oauth/revoke` (RFC 7009 §2.1).
pub struct AboutToken {
    pub(super) token: Result<String, Refusal>,
    /// `token_type_hint`, when it names a type that this server does not have.
    pub(super) foreign_type: bool,
}

impl AboutToken {
    pub fn read(form: &Form) -> Self {
        let token = match form.get("token") {
            Some(token) if token.len() <= MAX_TOKEN => Ok(token.to_owned()),
            Some(_) => Err(Refusal::Malformed("token is too long")),
            None => Err(Refusal::Malformed("token is missing")),
        };
        let known = |hint: &str| matches!(hint, "access_token" | "refresh_token");
        Self { token, foreign_type: form.get("token_type_hint").is_some_and(|hint| !known(hint)) }
    }
}

/// A request with what proves its sender, as one endpoint gets it.
pub struct Asked<T> {
    pub credentials: Result<Presented, Refusal>,
    pub request: T,
    /// Where it came from, for the limit on failures.
    pub source: std::net::IpAddr,
    /// Its DPoP headers, if it has any.
    pub proof: Option<Shown>,
}
