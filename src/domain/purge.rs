//! What expires: the targets of a purge, and how long each kind of row is kept.

use jiff::{SignedDuration, Timestamp};

macro_rules! targets {
    ($($variant:ident = $text:literal,)*) => {
        /// A kind of rows. The value of the metric label `target`, and of `holdfast purge --only`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum PurgeTarget { $($variant),* }

        impl PurgeTarget {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

targets! {
    MachineTokens = "machine-tokens",
    Jti = "jti",
    RefreshTokens = "refresh-tokens",
    Sessions = "sessions",
    AuthorizationCodes = "authorization-codes",
    DeviceCodes = "device-codes",
    ParRequests = "par-requests",
    ConsentTransactions = "consent-transactions",
    AssertionJti = "assertion-jti",
    DpopNonces = "dpop-nonces",
    AccessLog = "access-log",
    UnusedClients = "unused-clients",
    ChangeLog = "change-log",
    Tombstones = "tombstones",
    Audit = "audit",
}

impl PurgeTarget {
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|target| target.as_str() == text)
    }
}

/// How long rows are kept after they have served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Issued tokens, and the records of issuance: the ledger of who was given what.
    pub issuance: SignedDuration,
    /// All other records of the audit; `None` = for good.
    pub audit: Option<SignedDuration>,
    /// Clients that nobody applied and that were never used.
    pub never_used: SignedDuration,
    /// The same since the last token of one that was used.
    pub last_used: SignedDuration,
    /// Changes of policy that everybody has read.
    pub change_log: SignedDuration,
    /// Calls that enforcement points report.
    pub access_log: SignedDuration,
    /// And so many of each resource server, the newest.
    pub access_log_rows: i64,
}

impl Keep {
    /// Only ids of a deleted object come back, and only for so long.
    pub const TOMBSTONES: SignedDuration = SignedDuration::from_hours(30 * 24);
    /// Login sessions that are over, which their owners see in their list.
    pub const SESSIONS: SignedDuration = SignedDuration::from_hours(30 * 24);
    /// What was used or has expired is kept a little longer, so that a late second use is told from a wild guess.
    pub const EXPIRED: SignedDuration = SignedDuration::from_hours(24);
}

/// The moment before which rows go; never before the epoch.
pub fn before(now: Timestamp, kept: SignedDuration) -> Timestamp {
    now.checked_sub(kept).unwrap_or(Timestamp::UNIX_EPOCH).max(Timestamp::UNIX_EPOCH)
}
