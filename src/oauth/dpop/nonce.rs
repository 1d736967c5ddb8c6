//! Nonces of DPoP proofs (RFC 9449 §8): nothing is stored, every replica knows them all.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use subtle::ConstantTimeEq;

use super::DpopOptions;
use crate::seal::{Mac, Sealer};

/// Seconds for which one nonce is handed out. It is accepted for the two epochs after that: 200 to 300 seconds.
const EPOCH: i64 = 100;
/// Says what it is.
const PREFIX: &str = "hfdn_";

/// A nonce is the keyed digest of its epoch, under a key that follows from the master key.
pub(in crate::oauth) struct Nonces {
    mac: Mac,
    options: DpopOptions,
}

impl Nonces {
    pub fn new(sealer: &Sealer, options: DpopOptions) -> Self {
        Self { mac: sealer.mac("dpop-nonce"), options }
    }

    pub fn options(&self) -> DpopOptions {
        self.options
    }

    /// The nonce of this moment.
    pub fn current(&self, now: Timestamp) -> String {
        self.of(epoch(now))
    }

    /// Whether it is the present nonce, one of the two before, or the next, of a replica whose clock is ahead.
    pub fn accepts(&self, nonce: &str, now: Timestamp) -> bool {
        let epoch = epoch(now);
        (epoch - 2..=epoch + 1).any(|epoch| self.of(epoch).as_bytes().ct_eq(nonce.as_bytes()).into())
    }

    fn of(&self, epoch: i64) -> String {
        let mut text = String::with_capacity(PREFIX.len() + 43);
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(self.mac.digest(&[&epoch.to_be_bytes()]), &mut text);
        text
    }
}

fn epoch(now: Timestamp) -> i64 {
    now.as_second().div_euclid(EPOCH)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;

    use super::*;
    use crate::domain::clock::{Entropy, EntropyUnavailable};
    use crate::domain::secret::SecretText;
    use crate::seal::MasterKey;

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
            bytes.fill(0);
            Ok(())
        }
    }

    fn nonces(key: char) -> Nonces {
        let key = MasterKey::parse(&SecretText::new(format!("{}=", key.to_string().repeat(43))), "test").unwrap();
        let options = DpopOptions { nonce_required: true, window: SignedDuration::from_secs(60) };
        Nonces::new(&Sealer::new(&key, Arc::new(Zeros)).unwrap(), options)
    }

    /// P-08, RC-10: two epochs at least and five minutes at most, on every replica.
    #[test]
    fn a_nonce_lives_for_two_epochs_on_every_replica() {
        let (one, other) = (nonces('A'), nonces('A'));
        let at = |second| Timestamp::from_second(1_900_000_000 - 1_900_000_000 % EPOCH + second).unwrap();
        for second in 0..EPOCH {
            let nonce = one.current(at(second));
            assert!(nonce.starts_with(PREFIX));
            let lasts = (0..600).take_while(|more| other.accepts(&nonce, at(second + more))).count() as i64;
            assert!((2 * EPOCH..=300).contains(&lasts), "{lasts}");
            assert!(other.accepts(&nonce, at(second - 5)), "a clock that is behind");
            assert!(!nonces('E').accepts(&nonce, at(second)));
        }
        for wrong in ["", "hfdn_", "hfdn_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(!one.accepts(wrong, at(0)));
        }
    }
}
