//! A decision about one call, in the words of the enforcement point that made it. It is that one's word: bounded, in
//! closed sets where there are any, and nobody is ever granted anything by it.

mod read;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::actor::Actor;
use super::decide::call::CallDenial;

pub use read::{DecisionFault, MOST, batch};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DecisionOutcome {
    Allowed,
    Denied,
}

impl DecisionOutcome {
    pub const ALL: [Self; 2] = [Self::Allowed, Self::Denied];

    /// The value of the metric label `outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// Why a call was denied: by the policy, or before it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DecisionReason {
    Policy(CallDenial),
    /// The call showed no token.
    NoToken,
    /// What it showed is no token of this issuer: not signed by it, or nothing that can be read.
    InvalidToken,
    ExpiredToken,
    /// Introspection says that it is not active.
    RevokedToken,
    /// It is another resource's (RFC 8707 §2).
    WrongAudience,
    /// It is bound to a key, and the call did not prove that one (RFC 9449 §7).
    InvalidProof,
    /// The enforcement point has no policy, or none that is young enough.
    NoPolicy,
}

impl DecisionReason {
    pub const ALL: &'static [Self] = &[
        Self::Policy(CallDenial::NotReady),
        Self::Policy(CallDenial::ToolUnlisted),
        Self::Policy(CallDenial::ToolWithoutScopes),
        Self::Policy(CallDenial::InsufficientScope),
        Self::NoToken,
        Self::InvalidToken,
        Self::ExpiredToken,
        Self::RevokedToken,
        Self::WrongAudience,
        Self::InvalidProof,
        Self::NoPolicy,
    ];

    /// The value of the metric label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy(denial) => denial.as_str(),
            Self::NoToken => "no_token",
            Self::InvalidToken => "invalid_token",
            Self::ExpiredToken => "expired_token",
            Self::RevokedToken => "revoked_token",
            Self::WrongAudience => "wrong_audience",
            Self::InvalidProof => "invalid_proof",
            Self::NoPolicy => "no_policy",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
    }
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Of the reporter's choice; the same twice is the same decision.
    pub id: String,
    pub at: Timestamp,
    /// What the caller named, whether there is such a tool or not.
    pub tool: String,
    pub outcome: DecisionOutcome,
    /// Of a denied call.
    pub reason: Option<DecisionReason>,
    pub client_id: Option<String>,
    pub subject: Option<String>,
    /// Of the token.
    pub scopes: BTreeSet<String>,
    /// By which it was decided.
    pub policy_version: Option<i64>,
    /// How long the whole call took, in microseconds.
    pub duration_micros: Option<i64>,
    pub jti: Option<String>,
}

/// A decision as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRecord {
    pub resource_server_id: String,
    pub decision: Decision,
    pub received_at: Timestamp,
    /// What the enforcement point calls itself.
    pub enforcement_point: Option<String>,
    /// Whose credential vouches for it.
    pub reported_by: Actor,
}

/// Which records of one resource server are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessFilter {
    pub subject: Option<String>,
    pub client_id: Option<String>,
    pub tool: Option<String>,
    pub outcome: Option<DecisionOutcome>,
    pub reason: Option<DecisionReason>,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Only what comes after this record in a list that begins with the newest: its time and id.
    pub before: Option<(Timestamp, String)>,
}

/// The same call over and over: of one client, for one subject, with the same scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCalls {
    pub resource_server_id: String,
    pub tool: String,
    pub scopes: BTreeSet<String>,
    pub client_id: Option<String>,
    pub subject: Option<String>,
    /// How often.
    pub calls: i64,
    /// The last of them.
    pub last: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_spelling_of_its_own_and_those_of_the_policy_are_its() {
        let spellings: BTreeSet<&str> = DecisionReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(spellings.len(), DecisionReason::ALL.len());
        for reason in DecisionReason::ALL {
            assert_eq!(DecisionReason::parse(reason.as_str()), Some(*reason));
        }
        for denial in CallDenial::ALL {
            assert_eq!(DecisionReason::parse(denial.as_str()), Some(DecisionReason::Policy(*denial)));
        }
    }
}
