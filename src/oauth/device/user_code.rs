//! The code that a user types (RFC 8628 §6.1): eight letters that spell no word, in any case and with any dashes.

use crate::domain::clock::{Entropy, EntropyUnavailable};

/// No vowels, so no words; nothing that looks like a digit.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// 20^8: more than 34 bits.
const LENGTH: usize = 8;

/// Eight of the letters.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct UserCode([u8; LENGTH]);

impl UserCode {
    /// A new one, each letter as likely as every other.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        let mut code = [0; LENGTH];
        let mut filled = 0;
        while filled < LENGTH {
            let mut bytes = [0; 16];
            entropy.fill(&mut bytes)?;
            // 240 is the last multiple of 20 in a byte
            for byte in bytes.into_iter().filter(|byte| *byte < 240).take(LENGTH - filled) {
                code[filled] = LETTERS[usize::from(byte) % LETTERS.len()];
                filled += 1;
            }
        }
        Ok(Self(code))
    }

    /// As a user typed it.
    pub fn read(text: &str) -> Option<Self> {
        let mut code = [0; LENGTH];
        let mut letters = text.chars().filter(|c| !matches!(c, '-' | ' ' | '\u{2010}'..='\u{2015}'));
        for place in &mut code {
            let letter = u8::try_from(letters.next()?).ok()?.to_ascii_uppercase();
            *place = LETTERS.contains(&letter).then_some(letter)?;
        }
        letters.next().is_none().then_some(Self(code))
    }

    /// As a device shows it: `ABCD-EFGH`.
    pub fn shown(&self) -> String {
        let (left, right) = self.0.split_at(LENGTH / 2);
        format!("{}-{}", String::from_utf8_lossy(left), String::from_utf8_lossy(right))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
            bytes.iter_mut().for_each(|byte| *byte = self.0.fetch_add(1, Ordering::Relaxed));
            Ok(())
        }
    }

    /// L-01
    #[test]
    fn a_code_is_read_as_people_write_it() {
        let code = UserCode::read("WDJBMJHT").unwrap();
        assert_eq!(code.shown(), "WDJB-MJHT");
        for text in ["wdjb-mjht", "WDJB MJHT", " w-d-j-b-mjht ", "wdjb\u{2013}mjht"] {
            assert!(UserCode::read(text) == Some(code.clone()), "{text}");
        }
        for text in ["", "WDJBMJH", "WDJBMJHTT", "WDJBMJHA", "WDJBMJH0", "WDJBMJHÉ", "WDJB_MJHT"] {
            assert!(UserCode::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn every_letter_is_as_likely_as_every_other() {
        let entropy = Counting(AtomicU8::new(0));
        let mut seen = [0; 256];
        for _ in 0..256 {
            UserCode::generate(&entropy).unwrap().0.iter().for_each(|letter| seen[usize::from(*letter)] += 1);
        }
        let counts: Vec<i32> = LETTERS.iter().map(|letter| seen[usize::from(*letter)]).collect();
        assert_eq!(counts.iter().sum::<i32>(), 256 * 8);
        assert!(counts.iter().all(|count| (90..=120).contains(count)), "{counts:?}");
    }
}
