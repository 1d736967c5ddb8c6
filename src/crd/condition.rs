//! Conditions: their types, and how a list of them is kept.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The types of condition that a status holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionType {
    /// The summary: the object is in force as written.
    Ready,
    /// The spec is legal and permitted.
    Accepted,
    /// Everything the spec refers to was found and may be used.
    ResolvedRefs,
    /// The server's rows are what the spec says.
    Synced,
    /// Somebody changed the server's rows behind the operator's back.
    Drifted,
    /// ResourceServer: tokens can be issued for it.
    Launched,
    /// ResourceServer: enforcement points have the newest policy.
    PolicySynced,
    /// The generated Secret holds the current credential.
    SecretCurrent,
    /// Provider: it answers.
    Reachable,
    /// Present only when True: work is going on.
    Reconciling,
    /// Present only when True: nothing moves until somebody acts.
    Stalled,
    /// Present only when True: reconciliation is paused.
    Paused,
}

impl ConditionType {
    /// The spelling in `status.conditions[].type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Synced => "Synced",
            Self::Drifted => "Drifted",
            Self::Launched => "Launched",
            Self::PolicySynced => "PolicySynced",
            Self::SecretCurrent => "SecretCurrent",
            Self::Reachable => "Reachable",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Paused => "Paused",
        }
    }

    /// Whether the condition is left out of the list unless it is True (kstatus: abnormal-true).
    pub const fn only_when_true(self) -> bool {
        matches!(self, Self::Reconciling | Self::Stalled | Self::Paused)
    }
}

/// The three values of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    True,
    False,
    Unknown,
}

impl Status {
    /// The spelling in `status.conditions[].status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// The longest message, in bytes: one screen, not the schema's 32768.
pub const MAX_MESSAGE: usize = 1024;

/// A condition as of `now`. A message over [`MAX_MESSAGE`] bytes is cut at a character.
pub fn condition(kind: ConditionType, status: Status, reason: &str, message: &str, now: Timestamp) -> Condition {
    Condition {
        type_: kind.as_str().to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: shorten(message, MAX_MESSAGE),
        observed_generation: None,
        last_transition_time: Time(whole_second(now)),
    }
}

/// `next` as the list that follows `previous`: each condition observes `generation`, and one whose status did not
/// flip keeps the time it flipped at. Equal input gives equal output, so that nothing is written.
pub fn settle(previous: &[Condition], next: Vec<Condition>, generation: i64) -> Vec<Condition> {
    next.into_iter()
        .map(|mut condition| {
            condition.observed_generation = Some(generation);
            if let Some(before) = find(previous, &condition.type_).filter(|b| b.status == condition.status) {
                condition.last_transition_time = before.last_transition_time.clone();
            }
            condition
        })
        .collect()
}

/// The condition of a type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == kind)
}

/// The API writes times with whole seconds; comparing finer would never be equal.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// `message` in at most `max` bytes, cut at a character and then marked with `…`; empty when not even that fits.
pub fn shorten(message: &str, max: usize) -> String {
    if message.len() <= max {
        return message.to_owned();
    }
    let Some(mut end) = max.checked_sub('…'.len_utf8()) else { return String::new() };
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_flips() {
        let first = settle(&[], vec![condition(ConditionType::Ready, Status::False, "Pending", "a", at(10))], 1);
        let same = settle(&first, vec![condition(ConditionType::Ready, Status::False, "RefNotFound", "b", at(20))], 2);
        assert_eq!(same[0].last_transition_time.0, at(10));
        assert_eq!((same[0].reason.as_str(), same[0].observed_generation), ("RefNotFound", Some(2)));
        let flipped = settle(&same, vec![condition(ConditionType::Ready, Status::True, "Ready", "c", at(30))], 2);
        assert_eq!(flipped[0].last_transition_time.0, at(30));
        let again = settle(&flipped, vec![condition(ConditionType::Ready, Status::True, "Ready", "c", at(40))], 2);
        assert_eq!(again, flipped, "equal status is not written");
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let cut = condition(ConditionType::Accepted, Status::False, "InvalidSpec", &"ä".repeat(2000), at(0)).message;
        assert!(cut.len() <= MAX_MESSAGE && cut.ends_with('…'), "{}", cut.len());
    }
}
