//! A row in force whose object is gone although nobody saw it go: how long it is left alone, and what follows. Pure.

use jiff::{SignedDuration, Timestamp};

use super::owner::OwnerKey;

/// So long it may come back as if nothing had been.
pub const PATIENCE: SignedDuration = SignedDuration::from_hours(1);
/// So long after it was first missed it is deleted.
pub const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// One look may be wrong.
const LOOKS: i64 = 2;

/// What is known of such a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub owner: OwnerKey,
    pub first_seen: Timestamp,
    /// Complete looks that did not find the object, counted up to two.
    pub looks: i64,
    pub suspended_at: Option<Timestamp>,
}

/// What is to be done about it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing is issued by or for it any more.
    Suspend,
    /// The row and what hangs on it go.
    Purge,
}

impl Orphan {
    /// Whether another look that does not find the object is worth writing down.
    pub fn is_doubted(&self) -> bool {
        self.looks < LOOKS
    }

    pub fn due(&self, now: Timestamp) -> Option<Due> {
        let missed = now.duration_since(self.first_seen);
        if self.is_doubted() || missed < PATIENCE {
            return None;
        }
        match self.suspended_at {
            None => Some(Due::Suspend),
            Some(_) => (missed >= KEPT).then_some(Due::Purge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Kind;

    #[test]
    fn it_is_suspended_after_two_looks_and_an_hour_and_deleted_after_thirty_days() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut orphan = Orphan {
            owner: OwnerKey::new(Kind::OAuthClient, "web", "portal"),
            first_seen: at(0),
            looks: 1,
            suspended_at: None,
        };
        assert_eq!(orphan.due(at(100 * 86_400)), None, "one look may be wrong");
        orphan.looks = 2;
        assert_eq!((orphan.due(at(3599)), orphan.due(at(3600))), (None, Some(Due::Suspend)));
        orphan.suspended_at = Some(at(3600));
        assert_eq!(orphan.due(at(30 * 86_400 - 1)), None);
        assert_eq!(orphan.due(at(30 * 86_400)), Some(Due::Purge));
    }
}
