//! An OAuth client as it is applied, compared and stored.
//!
//! Member names are those of the custom resource, so that a path in an Event reads like the manifest.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Client {
    pub display_name: String,
    pub state: ClientState,
    pub grant_types: Vec<GrantType>,
    #[serde(rename = "redirectURIs")]
    pub redirect_uris: Vec<String>,
    pub authentication_method: AuthenticationMethod,
    /// Public keys of a PrivateKeyJWT client (RFC 7517 §5); null otherwise.
    pub jwks: Value,
    #[serde(rename = "jwksURI")]
    pub jwks_uri: Option<String>,
    pub workload_identity: Value,
    pub agent: Value,
    /// What it may ask for, by resource server.
    pub resources: Vec<Attachment>,
    /// Required or Implicit.
    pub consent: String,
    pub tokens: ClientTokens,
}

impl Client {
    /// The same client with what it says of itself now. What an administrator decided about it is not its to change:
    /// whether it is served, what it is attached to, how long its tokens live.
    pub fn described_as(self, other: &Self) -> Self {
        let Self { display_name, grant_types, redirect_uris, authentication_method, jwks, jwks_uri, .. } =
            other.clone();
        Self { display_name, grant_types, redirect_uris, authentication_method, jwks, jwks_uri, ..self }
    }

    pub fn attachment(&self, resource_server_id: &str) -> Option<&Attachment> {
        self.resources.iter().find(|a| a.resource_server_id == resource_server_id)
    }
}

/// Where a client comes from. The id alone tells: what an id begins with is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A resource, the admin API or the command line.
    Managed,
    /// Dynamic registration (RFC 7591).
    Registered,
    /// A client ID metadata document (draft-ietf-oauth-client-id-metadata-document).
    Document,
}

impl Origin {
    /// What the id of a registered client begins with.
    pub const REGISTERED: &str = "dcr_";

    /// As the admin API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::Registered => "registered",
            Self::Document => "document",
        }
    }

    pub fn of(client_id: &str) -> Self {
        if client_id.starts_with("https://") {
            Self::Document
        } else if client_id.starts_with(Self::REGISTERED) {
            Self::Registered
        } else {
            Self::Managed
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientState {
    Active,
    Suspended,
}

impl ClientState {
    pub const ALL: [Self; 2] = [Self::Active, Self::Suspended];

    /// The value of the metric label `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// OAuth 2.1 §1.3 and its extensions, in the spelling of the custom resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
    DeviceCode,
    TokenExchange,
    JwtBearer,
}

impl GrantType {
    pub const ALL: [Self; 6] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::ClientCredentials,
        Self::DeviceCode,
        Self::TokenExchange,
        Self::JwtBearer,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == text)
    }

    /// The value of the metric label and log field `grant_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "device_code",
            Self::TokenExchange => "token_exchange",
            Self::JwtBearer => "jwt_bearer",
        }
    }
}

/// How a client proves who it is (OIDC Core §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthenticationMethod {
    None,
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJWT,
    WorkloadIdentity,
}

impl AuthenticationMethod {
    /// Whether it is a secret that authenticates.
    pub const fn has_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// A resource server that a client may ask tokens for, and the ceiling of scopes there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attachment {
    pub name: String,
    #[serde(rename = "resourceServerID")]
    pub resource_server_id: String,
    pub scopes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientTokens {
    pub refresh_lifetime_seconds: i64,
    pub refresh_idle_seconds: i64,
    /// None, DPoPOptional or DPoPRequired.
    pub sender_constraint: String,
}
