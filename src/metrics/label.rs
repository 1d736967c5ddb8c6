//! The closed sets of label values.

use super::family::Label;
use crate::domain::activity::ActivityType;
use crate::domain::audit::AuditKind;
use crate::domain::client::ClientState;
use crate::domain::decide::exchange::ExchangeKind;
use crate::domain::desired::DriftMode;
use crate::domain::observer::{ClientSource, DatabaseOperation, FetchOutcome, Suppressed};
use crate::domain::owner::Kind;
use crate::domain::proof::ProofFault;
use crate::domain::purge::PurgeTarget;
use crate::domain::refusal::Refusal;
use crate::domain::resource_server::SigningAlgorithm;
use crate::domain::revocation::RevokeCause;
use crate::domain::spec::Class;
use crate::domain::user::{AuthSource, SessionEnd};

macro_rules! label {
    ($(#[doc = $doc:literal])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($variant),* }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    /// Grants this server answers; every other is counted as `unknown`.
    Grant {
        ClientCredentials = "client_credentials", AuthorizationCode = "authorization_code",
        RefreshToken = "refresh_token", DeviceCode = "device_code",
        TokenExchange = "token_exchange", Unknown = "unknown",
    }
}
label! {
    /// How a request ended. `denied`: understood and refused; `invalid`: not a proper request; `error`: our own fault;
    /// `abandoned`: the caller went away.
    Outcome { Success = "success", Denied = "denied", Invalid = "invalid", Error = "error", Abandoned = "abandoned" }
}
label! {
    /// How a reconciliation ended.
    ReconcileOutcome {
        Changed = "changed", Unchanged = "unchanged", Invalid = "invalid", Error = "error", Fenced = "fenced",
    }
}
label! {
    /// Whether a token was active.
    Active { True = "true", False = "false" }
}
label! {
    /// Why tokens were revoked.
    RevocationReason {
        Explicit = "explicit", Cascade = "cascade", Admin = "admin", Suspended = "suspended",
        ExpiredPolicy = "expired_policy", FamilyReuse = "family_reuse", CodeReuse = "code_reuse",
    }
}
label! {
    /// Whether a code that was used again came with its verifier.
    Verifier { Valid = "valid", Invalid = "invalid" }
}
label! {
    /// How a revocation request ended (RFC 7009).
    RevocationOutcome { Revoked = "revoked", NothingToRevoke = "nothing_to_revoke", Refused = "refused", Error = "error" }
}
label! {
    /// How sure it is that a client is the agent that it says it is.
    Assurance { Attested = "attested", Registered = "registered", SelfAsserted = "self_asserted" }
}
label! {
    /// What became of a device code.
    DeviceOutcome {
        Issued = "issued", Approved = "approved", Denied = "denied", Redeemed = "redeemed", Expired = "expired",
        SlowedDown = "slowed_down", WrongCode = "wrong_code",
    }
}
label! {
    /// What the admin API works on.
    Entity {
        Client = "client", ResourceServer = "resource_server", Resource = "resource", User = "user",
        Session = "session", Consent = "consent", Key = "key", Dcr = "dcr", Brake = "brake",
        DriftEvent = "drift_event", Offer = "offer", AccessLog = "access_log",
    }
}
label! {
    /// What the admin API did with it.
    Operation {
        List = "list", Get = "get", Create = "create", Update = "update", Delete = "delete", Rotate = "rotate",
        Plan = "plan", Export = "export",
        Confirm = "confirm",
    }
}
label! {
    /// Success or not.
    Success { Success = "success", Error = "error" }
}
label! {
    /// How a request for a policy ended. `unchanged`: whoever asks has it already.
    Refresh {
        Success = "success", Unchanged = "unchanged", Denied = "denied", Invalid = "invalid", Error = "error",
    }
}
label! {
    /// What became of a manifest, or of a batch of decisions. `unchanged`: it was there already; `denied`: the sender may
    /// not, or another came before.
    Publication {
        Success = "success", Unchanged = "unchanged", Denied = "denied", Invalid = "invalid", Error = "error",
    }
}
label! {
    /// Limited endpoints.
    Endpoint {
        Token = "token", Authorize = "authorize", Introspect = "introspect", Revoke = "revoke", Register = "register",
        Device = "device", Par = "par", Login = "login", Admin = "admin", Policy = "policy",
    }
}
label! {
    /// How somebody signs in.
    LoginMethod { Password = "password" }
}
label! {
    /// Where somebody's account is.
    LoginProvider { Local = "local" }
}
label! {
    /// How consent came about, or did not.
    ConsentDecision { Granted = "granted", Denied = "denied", Implicit = "implicit" }
}
impl ConsentDecision {
    /// The value of the log field `outcome`.
    pub fn as_str(self) -> &'static str {
        Label::as_str(self)
    }
}
label! {
    /// By which way a user came to be asked.
    ConsentFlow { AuthorizationCode = "authorization_code", DeviceCode = "device" }
}
label! {
    /// Who withdrew a consent.
    ConsentRevoker { User = "user", Admin = "admin" }
}
label! {
    /// What `/health` looks at.
    Check { Database = "database", Keys = "keys", ChangeFeed = "change_feed" }
}
label! {
    /// HTTP methods (RFC 9110 §9).
    Method {
        Get = "GET", Head = "HEAD", Post = "POST", Put = "PUT", Patch = "PATCH", Delete = "DELETE",
        Options = "OPTIONS", Other = "other",
    }
}
label! {
    /// Matched patterns; `unknown` is everything else.
    Route {
        Token = "/oauth/token",
        Introspect = "/oauth/introspect",
        Revoke = "/oauth/revoke",
        Register = "/oauth/register",
        Registration = "/oauth/register/{client_id}",
        DeviceAuthorization = "/oauth/device_authorization",
        Device = "/device",
        Authorize = "/oauth/authorize",
        Par = "/oauth/par",
        Jwks = "/.well-known/jwks.json",
        Policy = "/v1/resource-servers/{id}/policy",
        Manifest = "/v1/resource-servers/{id}/manifest",
        Decisions = "/v1/resource-servers/{id}/decisions",
        Login = "/login",
        Logout = "/logout",
        Account = "/account",
        AuthorizationServer = "/.well-known/oauth-authorization-server",
        OpenidConfiguration = "/.well-known/openid-configuration",
        ProtectedResource = "/.well-known/oauth-protected-resource",
        AdminBrake = "/admin/brake",
        AdminBrakeConfirmation = "/admin/brake/{id}/confirm",
        AdminConsents = "/admin/consents",
        AdminDcr = "/admin/dcr",
        AdminDcrInvitations = "/admin/dcr/invitations",
        AdminResources = "/admin/resources",
        AdminPlan = "/admin/plan",
        AdminExport = "/admin/export",
        AdminOffers = "/admin/offers",
        AdminClient = "/admin/clients/{id}",
        AdminResourceServer = "/admin/resource-servers/{id}",
        AdminDriftEvents = "/admin/resource-servers/{id}/drift-events",
        AdminDriftDismiss = "/admin/resource-servers/{id}/drift-events/{event_id}/dismiss",
        AdminAccessLogs = "/admin/resource-servers/{id}/access-logs",
        AdminManifest = "/admin/resource-servers/{id}/manifest",
        AdminUsers = "/admin/users",
        AdminUser = "/admin/users/{id}",
        AdminSessions = "/admin/sessions",
        AdminKeys = "/admin/keys",
        AdminKeyRotation = "/admin/keys/rotate",
        Metrics = "/metrics",
        Livez = "/livez",
        Ready = "/ready",
        Health = "/health",
        Unknown = "unknown",
    }
}
label! {
    /// HTTP statuses this server answers with.
    Status {
        S200 = "200", S201 = "201", S202 = "202", S204 = "204", S303 = "303", S304 = "304", S400 = "400", S401 = "401", S403 = "403", S404 = "404", S405 = "405",
        S408 = "408", S409 = "409", S412 = "412", S413 = "413", S414 = "414", S415 = "415", S429 = "429", S431 = "431", S499 = "499",
        S500 = "500", S503 = "503", Other = "other",
    }
}

impl Status {
    /// The label of a status; 499 is a request whose sender went away.
    pub fn of(code: u16) -> Self {
        let mut digits = [b'0'; 3];
        digits[0] += (code / 100 % 10) as u8;
        digits[1] += (code / 10 % 10) as u8;
        digits[2] += (code % 10) as u8;
        Self::ALL.iter().copied().find(|s| s.as_str().as_bytes() == digits).unwrap_or(Self::Other)
    }
}

impl Method {
    /// The label of a method's name.
    pub fn of(name: &str) -> Self {
        Self::ALL.iter().copied().find(|m| m.as_str() == name).unwrap_or(Self::Other)
    }
}

/// Enums of the domain are labels by their own spelling.
macro_rules! from_domain {
    ($name:ident, $all:expr) => {
        impl Label for $name {
            const ALL: &'static [Self] = $all;

            fn as_str(self) -> &'static str {
                $name::as_str(self)
            }

            fn index(self) -> usize {
                Self::ALL.iter().position(|other| $name::as_str(*other) == $name::as_str(self)).unwrap_or_default()
            }
        }
    };
}

label! {
    /// Why records of the audit were lost.
    Loss { WriteFailed = "write_failed" }
}

from_domain!(AuthSource, AuthSource::ALL);
from_domain!(ClientState, &ClientState::ALL);
from_domain!(FetchOutcome, FetchOutcome::ALL);
from_domain!(Suppressed, Suppressed::ALL);
from_domain!(ClientSource, ClientSource::ALL);
from_domain!(ActivityType, ActivityType::ALL);
from_domain!(AuditKind, AuditKind::ALL);
from_domain!(PurgeTarget, PurgeTarget::ALL);
from_domain!(Kind, &Kind::ALL);
from_domain!(Class, &[Class::Security, Class::Behavior, Class::Cosmetic]);
from_domain!(DriftMode, &[DriftMode::Enforce, DriftMode::Warn, DriftMode::Ignore]);
from_domain!(DatabaseOperation, &DatabaseOperation::ALL);
from_domain!(ExchangeKind, &ExchangeKind::ALL);
from_domain!(ProofFault, &ProofFault::ALL);
from_domain!(Refusal, &Refusal::ALL);
from_domain!(RevokeCause, RevokeCause::ALL);
from_domain!(SessionEnd, &SessionEnd::ALL);
from_domain!(SigningAlgorithm, &[SigningAlgorithm::ES256, SigningAlgorithm::EdDSA, SigningAlgorithm::RS256]);
