//! What is written down for good: one record for each security-relevant event, in the transaction of what it records.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use super::actor::Actor;
use super::owner::Kind;
use super::reason::Reason;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $variant:ident = $text:literal,)*) => {
        /// What happened. A closed set: the value of the metric label `kind`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AuditKind { $($(#[doc = $doc])* $variant),* }

        impl AuditKind {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

kinds! {
    LoginSucceeded = "login_succeeded",
    LoginFailed = "login_failed",
    /// So many failures that the identity, or the source, must wait.
    LoginLockedOut = "login_locked_out",
    Logout = "logout",
    SessionEnded = "session_ended",
    ConsentGranted = "consent_granted",
    ConsentDenied = "consent_denied",
    ConsentRevoked = "consent_revoked",
    /// Recorded by the token's own row.
    TokenIssued = "token_issued",
    TokenRefreshed = "token_refreshed",
    TokenExchanged = "token_exchanged",
    TokenRevoked = "token_revoked",
    RefreshReuse = "refresh_reuse",
    CodeReuse = "code_reuse",
    DpopReplay = "dpop_replay",
    /// Refused before anybody had authenticated: one record for a minute, source and reason, with how many.
    RequestsRefused = "requests_refused",
    /// A client or user who is known was refused; on top of so many in a minute one record says how many more.
    AuthorizationDenied = "authorization_denied",
    ClientRegistered = "client_registered",
    ClientUpdated = "client_updated",
    ClientSuspended = "client_suspended",
    ClientReactivated = "client_reactivated",
    ClientDeleted = "client_deleted",
    SecretRotated = "secret_rotated",
    KeyPublished = "key_published",
    KeyRotated = "key_rotated",
    KeyRetired = "key_retired",
    UserCreated = "user_created",
    UserUpdated = "user_updated",
    UserPasswordChanged = "user_password_changed",
    UserDisabled = "user_disabled",
    UserEnabled = "user_enabled",
    UserDeleted = "user_deleted",
    ProviderCreated = "provider_created",
    ProviderUpdated = "provider_updated",
    ProviderDeleted = "provider_deleted",
    ResourceCreated = "resource_created",
    ResourceUpdated = "resource_updated",
    ResourceDeleted = "resource_deleted",
    GrantCreated = "grant_created",
    GrantRevoked = "grant_revoked",
    ConnectionCreated = "connection_created",
    ConnectionDeleted = "connection_deleted",
    ApiKeyCreated = "api_key_created",
    ApiKeyRevoked = "api_key_revoked",
    /// A setting that is kept in the database, e.g. the mode of dynamic registration.
    SettingChanged = "setting_changed",
    PolicyChanged = "policy_changed",
    /// The tools that an MCP server says it has were replaced.
    ManifestPublished = "manifest_published",
    ManifestRefused = "manifest_refused",
    DriftDetected = "drift_detected",
    DriftCorrected = "drift_corrected",
    /// An administrator without the role for it.
    AdminDenied = "admin_denied",
    Export = "export",
    /// A row was offered to one object.
    OfferMade = "offer_made",
    OfferWithdrawn = "offer_withdrawn",
    /// The database was bound to another cluster.
    DatabaseAdopted = "database_adopted",
    Purge = "purge",
}

impl AuditKind {
    /// What the audit calls something that is told about a managed object; `None` = no event of its own.
    pub const fn of_policy(reason: Reason, kind: Kind) -> Option<Self> {
        Some(match (reason, kind) {
            (Reason::DriftDetected, _) => Self::DriftDetected,
            (Reason::DriftCorrected, _) => Self::DriftCorrected,
            (Reason::SecretGenerated | Reason::SecretRotated | Reason::SecretRetired, _) => Self::SecretRotated,
            (Reason::Suspended, Kind::ResourceServer) => Self::ResourceUpdated,
            (Reason::Suspended, _) => Self::ClientSuspended,
            (Reason::Resumed, _) => Self::ClientReactivated,
            (Reason::Created, Kind::OAuthClient) => Self::ClientRegistered,
            (Reason::Created, Kind::ResourceServer) => Self::ResourceCreated,
            (Reason::Created, Kind::Provider) => Self::ProviderCreated,
            (Reason::Updated | Reason::Adopted | Reason::Retained | Reason::Launched, Kind::OAuthClient) => {
                Self::ClientUpdated
            }
            (Reason::Updated | Reason::Adopted | Reason::Retained | Reason::Launched, Kind::ResourceServer) => {
                Self::ResourceUpdated
            }
            (Reason::Updated | Reason::Adopted | Reason::Retained | Reason::Launched, Kind::Provider) => {
                Self::ProviderUpdated
            }
            (Reason::Deleted, Kind::OAuthClient) => Self::ClientDeleted,
            (Reason::Deleted, Kind::ResourceServer) => Self::ResourceDeleted,
            (Reason::Deleted, Kind::Provider) => Self::ProviderDeleted,
            _ => return None,
        })
    }

    /// Whether `audit.issuance_retention` decides how long it is kept.
    pub const fn is_issuance(self) -> bool {
        matches!(self, Self::TokenIssued | Self::TokenRefreshed | Self::TokenExchanged)
    }
}

/// One event. Nothing secret and nothing a stranger made up belongs into it: ids, names of fields, reasons, numbers.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    pub at: Timestamp,
    /// Who did it: a client (`client:<id>`), a user (`user:<id>`), `apikey:<name>`, `server`, `controller` …
    pub who: Actor,
    pub client_id: Option<&'a str>,
    pub user_id: Option<&'a str>,
    /// Id of the resource server, or of whatever else it was done to.
    pub resource: Option<&'a str>,
    pub source: Option<IpAddr>,
    /// A JSON object, or null.
    pub detail: Value,
}

impl Record<'_> {
    pub fn new(at: Timestamp, who: Actor) -> Self {
        Self { at, who, client_id: None, user_id: None, resource: None, source: None, detail: Value::Null }
    }
}

/// A record as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    pub id: i64,
    pub kind: AuditKind,
    pub at: Timestamp,
    pub who: Actor,
    pub client_id: Option<String>,
    pub user_id: Option<String>,
    pub resource: Option<String>,
    pub source: Option<String>,
    pub detail: Value,
}
