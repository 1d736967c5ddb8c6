//! Who must wait before the next guess.
//!
//! Three counts, each in a window, each raised before the password is looked at:
//! - an address from a network: who guesses at one person locks out the own network only, not that person;
//! - a network: who tries one password on many addresses is stopped, whichever they are;
//! - an address from networks where it has never signed in: many networks together guess no faster, and the person's
//!   own networks are not counted and stay open.
//!
//! Addresses that are nobody's are counted as the others are, and an answer depends on the counts alone, so that a lock
//! tells nothing of who exists or which password was right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Error, Identity, KNOWN_FOR};
use crate::domain::SecretHash;
use crate::domain::actor::Actor;
use crate::domain::user::Email;
use crate::store::{Attempt, FailureKind, PasswordOf};

/// An attempt that was let through and counted.
pub(super) struct Admitted {
    pub person: Option<PasswordOf>,
    counted: Vec<Attempt>,
}

impl Identity {
    /// Counts the attempt, unless there were too many.
    pub(super) async fn admit(&self, email: &str, source: IpAddr) -> Result<Admitted, Error> {
        let now = self.inner.clock.now();
        let network = network(source);
        let email = Email::parse(email);
        // what is no address is counted as one that nobody has
        let identity = email.as_ref().map_or("", Email::as_str);
        let mut tx = self.inner.store.write(&Actor::server()).await?;
        let person = match &email {
            Some(email) => tx.password_of(email).await?,
            None => None,
        };
        let user_id = person.as_ref().map_or("", |person| person.user_id.as_str());
        let known = tx.knows_network(user_id, &network, now - KNOWN_FOR).await?;
        let mut counted = vec![
            self.attempt(FailureKind::Pair, &[identity, &network]),
            self.attempt(FailureKind::Source, &[&network]),
        ];
        if !known {
            counted.push(self.attempt(FailureKind::Identity, &[identity]));
        }
        for attempt in &counted {
            if let Some(until) = tx.count_failure(attempt, now).await? {
                self.inner.tally.add(true, &network, person.as_ref().map(|person| person.user_id.as_str()));
                return Err(Error::Locked { retry_after: wait(now, until) });
            }
        }
        tx.commit().await?;
        Ok(Admitted { person, counted })
    }

    /// The attempt was no failure: the pair begins anew, the others are as if it had not been made.
    pub(super) async fn pardon(&self, tx: &mut crate::store::Tx, admitted: &Admitted) -> Result<(), Error> {
        for attempt in &admitted.counted {
            match attempt.kind {
                FailureKind::Pair => tx.forget_failures(attempt.kind, &attempt.key).await?,
                FailureKind::Source | FailureKind::Identity => tx.uncount_failure(attempt).await?,
            }
        }
        Ok(())
    }

    /// The attempt was never made, because all hands were full.
    pub(super) async fn withdraw(&self, admitted: &Admitted) -> Result<(), Error> {
        let mut tx = self.inner.store.write(&Actor::server()).await?;
        for attempt in &admitted.counted {
            tx.uncount_failure(attempt).await?;
        }
        Ok(tx.commit().await?)
    }

    fn attempt(&self, kind: FailureKind, parts: &[&str]) -> Attempt {
        let rules = &self.inner.rules;
        let limit = match kind {
            FailureKind::Pair => rules.failures_per_pair,
            FailureKind::Source => rules.failures_per_source,
            FailureKind::Identity => rules.failures_per_identity,
        };
        Attempt { kind, key: key(parts), limit, window: rules.failure_window }
    }
}

fn key(parts: &[&str]) -> SecretHash {
    let mut hash = Sha256::new();
    for part in parts {
        // the length first: "ab" "c" is not "a" "bc"
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    SecretHash::from_digest(hash.finalize().into())
}

fn wait(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default().max(Duration::from_secs(1))
}

/// Whoever has one address has its neighbours: /24 of IPv4, /64 of IPv6.
pub(super) fn network(source: IpAddr) -> String {
    match source.to_canonical() {
        IpAddr::V4(address) => format!("{}/24", Ipv4Addr::from_bits(address.to_bits() & 0xffff_ff00)),
        IpAddr::V6(address) => format!("{}/64", Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_network() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!((of("192.0.2.7"), of("::ffff:192.0.2.9")), ("192.0.2.0/24".into(), "192.0.2.0/24".into()));
        assert_eq!(of("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }
}
