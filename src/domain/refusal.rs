//! Every expected "no": one variant, one spelling for log, metric label and RFC code.

use super::proof::ProofFault;

/// Why a request was refused. Nothing of the request is repeated in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The request does not have the form that the RFC asks for; the text says which part.
    Malformed(&'static str),
    /// Two ways of client authentication in one request (OAuth 2.1 §2.4).
    SeveralCredentials,
    /// Unknown client, wrong or missing secret: told apart by nobody.
    InvalidClient,
    /// The client authenticates by another method.
    WrongMethod,
    /// A client assertion was used before (RFC 7523 §3).
    AssertionReused,
    /// Who is known and may not act as this resource server, or names one that there is not: told apart by nobody.
    NotItsRuntime,
    /// A service account's token, and no cluster to ask about it.
    NoTokenReview,
    Suspended,
    GrantNotAllowed,
    UnsupportedGrant,
    UnsupportedTokenType,
    /// `authorization_details` (RFC 9396): rights that nobody here knows are not left out in silence.
    UnsupportedDetails,
    /// No such resource, not Live, or not attached to this client (RFC 8707 §2).
    InvalidTarget,
    /// The client has several resources and named none.
    TargetRequired,
    InvalidScope,
    /// The resource demands sender-constrained tokens (RFC 9449) and none was proved.
    SenderConstraintRequired,
    /// A DPoP proof that does not hold (RFC 9449 §4.3).
    InvalidProof(ProofFault),
    /// A DPoP proof without the nonce that this server asks for (RFC 9449 §8); nothing was used up.
    NonceRequired,
    /// The user has not decided yet (RFC 8628 §3.5).
    AuthorizationPending,
    /// The device polls more often than it was told to.
    SlowDown,
    /// The user said no, or nobody said anything in time.
    DeviceDenied,
    DeviceExpired,
    /// `subject_token` or `actor_token` is none of this server's, expired or revoked (RFC 8693 §2.2.2).
    ExchangedTokenInvalid,
    /// The subject's token was neither issued to the caller nor for a resource that the caller acts as.
    SubjectNotCallers,
    /// The actor's token is not the caller's own.
    ActorNotCaller,
    /// The target does not let this client exchange into it.
    ExchangeNotAllowed,
    /// A token that was exchanged too often already.
    TooDeep,
    /// Too many failed authentications from this address.
    TooManyFailures,
    /// Nobody's client id, or a client that is suspended: never told to the client, which is not known.
    UnknownClient,
    /// Not a redirect URI of this client: never told to the client, which may not be there.
    InvalidRedirect,
    UnsupportedResponseType,
    /// `request` (RFC 9101).
    RequestNotSupported,
    /// `request_uri` that was not pushed here (RFC 9126).
    RequestUriNotSupported,
    /// A pushed request that is unknown, expired, used, or another client's.
    InvalidRequestUri,
    /// This client has to push its requests.
    PushRequired,
    /// A transaction of another browser, or one that has expired or was answered.
    RequestOver,
    /// `prompt=none`, and nobody is signed in (OIDC Core §3.1.2.6).
    LoginRequired,
    /// `prompt=none`, and consent is missing.
    ConsentRequired,
    /// The user said no.
    ConsentDenied,
    /// The user has no role at the resource that gives any of the scopes.
    NoRole,
    /// A code or refresh token that this server never issued, or has forgotten.
    GrantUnknown,
    /// It was issued to another client; nothing happens to it (C-03, B-13).
    GrantOfAnother,
    GrantExpired,
    /// It was ended, or used in vain before.
    GrantRevoked,
    /// A code was redeemed a second time with everything that it takes: what the first issued is ended (B-14).
    CodeReused,
    /// A code was redeemed a second time without what it takes; nothing happens.
    CodeUsed,
    /// A refresh token was used again after its successor: its family is ended (C-01).
    RefreshReused,
    RedirectMismatch,
    /// `code_verifier` is missing or wrong, which ends the code (B-12).
    VerifierMismatch,
    /// It is bound to a key, and another was shown (RFC 9449 §5).
    KeyMismatch,
    /// The resource is no longer served, or no longer to this client or user: only a new authorization helps.
    ResourceGone,
}

impl Refusal {
    pub const ALL: [Self; 51] = [
        Self::Malformed(""),
        Self::SeveralCredentials,
        Self::InvalidClient,
        Self::WrongMethod,
        Self::AssertionReused,
        Self::NotItsRuntime,
        Self::NoTokenReview,
        Self::Suspended,
        Self::GrantNotAllowed,
        Self::UnsupportedGrant,
        Self::UnsupportedTokenType,
        Self::UnsupportedDetails,
        Self::InvalidTarget,
        Self::TargetRequired,
        Self::InvalidScope,
        Self::SenderConstraintRequired,
        Self::TooManyFailures,
        Self::UnknownClient,
        Self::InvalidRedirect,
        Self::UnsupportedResponseType,
        Self::RequestNotSupported,
        Self::RequestUriNotSupported,
        Self::InvalidRequestUri,
        Self::PushRequired,
        Self::RequestOver,
        Self::LoginRequired,
        Self::ConsentRequired,
        Self::ConsentDenied,
        Self::NoRole,
        Self::GrantUnknown,
        Self::GrantOfAnother,
        Self::GrantExpired,
        Self::GrantRevoked,
        Self::CodeReused,
        Self::CodeUsed,
        Self::RefreshReused,
        Self::RedirectMismatch,
        Self::VerifierMismatch,
        Self::KeyMismatch,
        Self::ResourceGone,
        Self::InvalidProof(ProofFault::Malformed),
        Self::NonceRequired,
        Self::AuthorizationPending,
        Self::SlowDown,
        Self::DeviceDenied,
        Self::DeviceExpired,
        Self::ExchangedTokenInvalid,
        Self::SubjectNotCallers,
        Self::ActorNotCaller,
        Self::ExchangeNotAllowed,
        Self::TooDeep,
    ];

    /// The value of the metric label and log field `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::SeveralCredentials => "several_credentials",
            Self::InvalidClient => "invalid_client",
            Self::WrongMethod => "wrong_method",
            Self::AssertionReused => "assertion_reused",
            Self::NotItsRuntime => "not_its_runtime",
            Self::NoTokenReview => "no_token_review",
            Self::Suspended => "suspended",
            Self::GrantNotAllowed => "grant_not_allowed",
            Self::UnsupportedGrant => "unsupported_grant_type",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::UnsupportedDetails => "unsupported_authorization_details",
            Self::InvalidTarget => "invalid_target",
            Self::TargetRequired => "target_required",
            Self::InvalidScope => "invalid_scope",
            Self::SenderConstraintRequired => "sender_constraint_required",
            Self::InvalidProof(_) => "invalid_dpop_proof",
            Self::NonceRequired => "dpop_nonce_required",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::DeviceDenied => "device_denied",
            Self::DeviceExpired => "device_code_expired",
            Self::ExchangedTokenInvalid => "exchanged_token_invalid",
            Self::SubjectNotCallers => "subject_not_callers",
            Self::ActorNotCaller => "actor_not_caller",
            Self::ExchangeNotAllowed => "exchange_not_allowed",
            Self::TooDeep => "too_deep",
            Self::TooManyFailures => "too_many_failures",
            Self::UnknownClient => "unknown_client",
            Self::InvalidRedirect => "invalid_redirect_uri",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::PushRequired => "push_required",
            Self::RequestOver => "request_over",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::ConsentDenied => "consent_denied",
            Self::NoRole => "no_role",
            Self::GrantUnknown => "grant_unknown",
            Self::GrantOfAnother => "grant_of_another_client",
            Self::GrantExpired => "grant_expired",
            Self::GrantRevoked => "grant_revoked",
            Self::CodeReused => "code_reused",
            Self::CodeUsed => "code_used",
            Self::RefreshReused => "refresh_reused",
            Self::RedirectMismatch => "redirect_mismatch",
            Self::VerifierMismatch => "verifier_mismatch",
            Self::KeyMismatch => "key_mismatch",
            Self::ResourceGone => "resource_gone",
        }
    }

    /// `error` of the response (OAuth 2.1 §3.2.4, RFC 7009 §2.2.1, RFC 8707 §2, RFC 9449 §5).
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed(_)
            | Self::SeveralCredentials
            | Self::InvalidRedirect
            | Self::PushRequired
            | Self::RequestOver => "invalid_request",
            Self::InvalidClient
            | Self::WrongMethod
            | Self::AssertionReused
            | Self::NoTokenReview
            | Self::UnknownClient => "invalid_client",
            Self::NotItsRuntime => "access_denied",
            Self::Suspended | Self::GrantNotAllowed => "unauthorized_client",
            Self::UnsupportedGrant => "unsupported_grant_type",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::UnsupportedDetails => "invalid_authorization_details",
            Self::InvalidTarget | Self::TargetRequired => "invalid_target",
            Self::InvalidScope => "invalid_scope",
            Self::SenderConstraintRequired | Self::InvalidProof(_) => "invalid_dpop_proof",
            Self::NonceRequired => "use_dpop_nonce",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::DeviceDenied => "access_denied",
            Self::DeviceExpired => "expired_token",
            Self::ExchangedTokenInvalid | Self::SubjectNotCallers | Self::ActorNotCaller | Self::TooDeep => {
                "invalid_request"
            }
            Self::ExchangeNotAllowed => "unauthorized_client",
            Self::TooManyFailures => "temporarily_unavailable",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::ConsentDenied | Self::NoRole => "access_denied",
            Self::GrantUnknown
            | Self::GrantOfAnother
            | Self::GrantExpired
            | Self::GrantRevoked
            | Self::CodeReused
            | Self::CodeUsed
            | Self::RefreshReused
            | Self::RedirectMismatch
            | Self::VerifierMismatch
            | Self::KeyMismatch
            | Self::ResourceGone => "invalid_grant",
        }
    }

    /// `error_description`: what to do about it, in the characters that RFC 6749 §5.2 allows.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Malformed(what) => what,
            Self::SeveralCredentials => "use one method of client authentication in a request",
            Self::InvalidClient | Self::WrongMethod | Self::AssertionReused => "client authentication failed",
            Self::NotItsRuntime => "this caller may not act as this resource server",
            Self::NoTokenReview => "service account tokens need a server that runs in a cluster; use a client secret",
            Self::Suspended => "this client is suspended",
            Self::GrantNotAllowed => "this client is not registered for this grant type",
            Self::UnsupportedGrant => "this server does not know this grant type",
            Self::UnsupportedTokenType => "this server does not revoke this type of token",
            Self::UnsupportedDetails => "this server knows no type of authorization_details; use scope",
            Self::InvalidTarget => "the resource is unknown or not available to this client",
            Self::TargetRequired => "name one resource: this client has none or several",
            Self::InvalidScope => "none of the requested scopes is available to this client at this resource",
            Self::SenderConstraintRequired => "this resource takes only tokens that are bound to a key",
            Self::InvalidProof(fault) => fault.description(),
            Self::NonceRequired => "make the DPoP proof with the nonce of the DPoP-Nonce header",
            Self::AuthorizationPending => "the user has not decided yet",
            Self::SlowDown => "wait five seconds more between two requests than before",
            Self::DeviceDenied => "the user denied the request",
            Self::DeviceExpired => "the device code has expired",
            // one text for both, as for tokens that are unknown: whose a token is, is nobody else's business
            Self::ExchangedTokenInvalid | Self::SubjectNotCallers => {
                "the subject_token or actor_token is invalid, expired, revoked, or not this client's to exchange"
            }
            Self::ActorNotCaller => "the actor_token must be this client's own, issued in its own name",
            Self::ExchangeNotAllowed => "this resource does not let this client exchange tokens into it",
            Self::TooDeep => "this token was exchanged too often already",
            Self::TooManyFailures => "too many failed authentications; try again later",
            Self::UnknownClient => "this server does not know this client",
            Self::InvalidRedirect => "redirect_uri is not one that this client has registered",
            Self::UnsupportedResponseType => "the only response type of this server is code",
            Self::RequestNotSupported => "request objects are not supported; push the parameters instead",
            Self::RequestUriNotSupported => "only a request_uri that this server gave out is supported",
            Self::InvalidRequestUri => "the pushed request is unknown, expired, used, or of another client",
            Self::PushRequired => "this client has to push its authorization requests",
            Self::RequestOver => "this request was begun in another browser, has expired, or was answered already",
            Self::LoginRequired => "nobody is signed in, or not recently enough",
            Self::ConsentRequired => "the user has to be asked for consent",
            Self::ConsentDenied => "the user denied the request",
            Self::NoRole => "the user has no role at this resource that gives any of these scopes",
            // one text for all: which it was is for the log alone (B-11)
            Self::GrantUnknown
            | Self::GrantOfAnother
            | Self::GrantExpired
            | Self::GrantRevoked
            | Self::CodeReused
            | Self::CodeUsed
            | Self::RefreshReused
            | Self::RedirectMismatch
            | Self::VerifierMismatch
            | Self::KeyMismatch
            | Self::ResourceGone => {
                "the grant is unknown, expired, revoked or already used, or was made for another request"
            }
        }
    }
}
