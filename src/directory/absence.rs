//! When an object that is not in the files is gone: two complete looks, two seconds apart. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::domain::OwnerKey;

/// How long an object must be missing, as seen by complete looks at both ends.
const PATIENCE: SignedDuration = SignedDuration::from_secs(2);

/// Since when each object is missing.
#[derive(Debug, Default)]
pub struct Absence(BTreeMap<OwnerKey, Timestamp>);

impl Absence {
    /// A complete look at `now` did not find `missing`; which of them are gone?
    pub fn look(&mut self, missing: BTreeSet<OwnerKey>, now: Timestamp) -> Vec<OwnerKey> {
        self.0.retain(|owner, _| missing.contains(owner));
        for owner in missing {
            self.0.entry(owner).or_insert(now);
        }
        self.0
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= PATIENCE)
            .map(|(owner, _)| owner.clone())
            .collect()
    }

    /// A look was not complete: what was missing before may have been there all the time.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Kind;

    #[test]
    fn two_complete_looks_two_seconds_apart_must_lack_it() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let one = || BTreeSet::from([OwnerKey::new(Kind::Provider, "a", "b")]);
        let mut absence = Absence::default();
        assert!(absence.look(one(), at(10)).is_empty());
        assert!(absence.look(one(), at(11)).is_empty());
        assert_eq!(absence.look(one(), at(12)).len(), 1);
        absence.forget();
        assert!(absence.look(one(), at(13)).is_empty(), "a look that failed begins anew");
        assert!(absence.look(BTreeSet::new(), at(14)).is_empty());
        assert!(absence.look(one(), at(16)).is_empty(), "it was there in between");
    }
}
