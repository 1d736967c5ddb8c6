//! How rooms below the edges speak to the metrics: closed enums and numbers, no strings.

use std::time::Duration;

use super::activity::ActivityType;
use super::audit::AuditKind;
use super::desired::DriftMode;
use super::owner::Kind;
use super::revocation::RevokeCause;
use super::spec::Class;
use super::user::SessionEnd;

/// What a room has to tell. Every method has an empty body, so that a test need not care.
pub trait Observer: Send + Sync {
    /// A field was found different; `latency` since the change itself, when its time is known.
    fn drift_detected(&self, _kind: Kind, _class: Class, _mode: DriftMode, _latency: Option<Duration>) {}
    fn drift_corrected(&self, _kind: Kind, _class: Class, _ok: bool) {}
    /// A statement or transaction ended.
    fn database(&self, _operation: DatabaseOperation, _took: Duration, _ok: bool) {}
    /// How far the snapshot lags behind the change feed.
    fn feed_lag(&self, _lag: Duration) {}
    fn secret_rotated(&self, _kind: Kind) {}
    /// Signing keys were read again.
    fn keys_reloaded(&self, _took: Duration) {}
    /// Records of the audit were committed.
    fn audited(&self, _kind: AuditKind, _records: u64) {}
    /// Records of the audit could not be written and are lost.
    fn audit_dropped(&self, _records: u64) {}
    /// Something happened to a live policy, and that was committed.
    fn activity(&self, _event: ActivityType) {}
    /// Somebody has signed in with a browser that had no session.
    fn session_started(&self) {}
    fn session_ended(&self, _reason: SessionEnd, _sessions: u64) {}
    /// A client ID metadata document was fetched, or was not to be had.
    fn document_fetched(&self, _outcome: FetchOutcome, _took: Duration) {}
    /// A client ID metadata document was not fetched, and why.
    fn document_fetch_suppressed(&self, _why: Suppressed) {}
    fn client_registered(&self, _source: ClientSource) {}
    /// Grants were ended, and that was committed.
    fn grants_revoked(&self, _cause: RevokeCause, _grants: u64) {}
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $text:literal),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $name { $($(#[$note])* $variant),* }

            impl $name {
                pub const ALL: &'static [Self] = &[$(Self::$variant),*];

                pub const fn as_str(self) -> &'static str {
                    match self { $(Self::$variant => $text),* }
                }
            }
        )*
    };
}

labels! {
    /// How fetching a document ended.
    FetchOutcome {
        Success = "success",
        /// It leads to where strangers must not send us.
        Denied = "denied",
        /// There is something, and it makes no client.
        Invalid = "invalid",
        Error = "error",
    }
    /// Why a document was not fetched although somebody asked for it.
    Suppressed {
        /// Its domain is denied.
        Domain = "domain",
        /// Too many fetches for one source address.
        Source = "source",
        /// Too many fetches from one host.
        Host = "host",
        /// Somebody else fetched it at the same time.
        Shared = "shared",
        /// There are as many such clients as there may be.
        Full = "full",
    }
    /// Where a new client comes from.
    ClientSource { Kubernetes = "kubernetes", Admin = "admin", Registration = "dcr", Document = "cimd" }
}

/// The value of the metric label `operation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseOperation {
    Issue,
    Introspect,
    Revoke,
    Load,
    Write,
    Feed,
}

impl DatabaseOperation {
    pub const ALL: [Self; 6] = [Self::Issue, Self::Introspect, Self::Revoke, Self::Load, Self::Write, Self::Feed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
            Self::Load => "load",
            Self::Write => "write",
            Self::Feed => "feed",
        }
    }
}

/// Observes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
