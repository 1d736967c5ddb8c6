//! Opaque handles: 256 random bits behind a prefix that says what they are. Only their SHA-256 is kept, and no handle
//! of one kind reads as one of another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::clock::{Entropy, EntropyUnavailable};
use super::secret::SecretText;

/// What a handle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Handle {
    AccessToken,
    RefreshToken,
    AuthorizationCode,
    DeviceCode,
    /// Cookie of a login session.
    LoginSession,
    /// Cookie that ties transactions to a browser.
    BrowserBinding,
    /// An authorization request under way.
    Transaction,
    /// `request_uri` of a pushed authorization request (RFC 9126 §2.2).
    PushedRequest,
    /// Of a registered client, to manage itself (RFC 7592 §3).
    RegistrationToken,
}

impl Handle {
    pub const ALL: [Self; 9] = [
        Self::AccessToken,
        Self::RefreshToken,
        Self::AuthorizationCode,
        Self::DeviceCode,
        Self::LoginSession,
        Self::BrowserBinding,
        Self::Transaction,
        Self::PushedRequest,
        Self::RegistrationToken,
    ];

    /// What it begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::AccessToken => "hfat_",
            Self::RefreshToken => "hfrt_",
            Self::AuthorizationCode => "hfac_",
            Self::DeviceCode => "hfdc_",
            Self::LoginSession => "hfls_",
            Self::BrowserBinding => "hfbb_",
            Self::Transaction => "hftx_",
            Self::PushedRequest => "urn:ietf:params:oauth:request_uri:hfpr_",
            Self::RegistrationToken => "hfra_",
        }
    }

    /// A new one.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn generate(self, entropy: &dyn Entropy) -> Result<SecretText, EntropyUnavailable> {
        let random = SecretText::generate(entropy)?;
        Ok(SecretText::new([self.prefix(), random.expose()].concat()))
    }

    /// The one that these bits stand for.
    pub fn of_bits(self, bits: &[u8; 32]) -> SecretText {
        let mut text = String::with_capacity(self.prefix().len() + LENGTH);
        text.push_str(self.prefix());
        URL_SAFE_NO_PAD.encode_string(bits, &mut text);
        SecretText::new(text)
    }

    /// The text as a handle of this kind, when it has that form; it has one spelling only.
    pub fn read(self, text: &str) -> Option<SecretText> {
        let random = text.strip_prefix(self.prefix())?;
        let mut bits = [0; 33];
        let decoded = random.len() == LENGTH && URL_SAFE_NO_PAD.decode_slice(random, &mut bits).is_ok();
        decoded.then(|| SecretText::new(text))
    }

    /// Which kind the text is of, when it is of any.
    pub fn kind_of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.read(text).is_some())
    }
}

/// 32 bytes in base64url.
const LENGTH: usize = 43;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// SplitMix64: every run tries the same ten thousand.
    struct Sequence(Cell<u64>);

    impl Sequence {
        fn next(&self) -> u64 {
            self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
            let mut z = self.0.get();
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn bits(&self) -> [u8; 32] {
            std::array::from_fn(|_| self.next() as u8)
        }
    }

    /// a handle of one kind is none of another, nor is what becomes of it when its prefix, its length or a byte
    /// is changed, unless the change names the other kind.
    #[test]
    fn no_handle_of_one_kind_reads_as_one_of_another() {
        let chance = Sequence(Cell::new(7));
        for round in 0..1000 {
            for kind in Handle::ALL {
                let handle = kind.of_bits(&chance.bits());
                let text = handle.expose();
                let readers: Vec<Handle> = Handle::ALL.into_iter().filter(|k| k.read(text).is_some()).collect();
                assert_eq!(readers, [kind], "{text}");
                let mut changed = text.as_bytes().to_vec();
                let at = chance.next() as usize % changed.len();
                changed[at] = chance.next() as u8 & 0x7f;
                let changed = String::from_utf8(changed).unwrap();
                let named = Handle::ALL.into_iter().find(|k| changed.starts_with(k.prefix()));
                assert!(Handle::kind_of(&changed).is_none_or(|read| Some(read) == named), "{changed}");
                let cut = &text[..text.len() - 1 - round % 20];
                assert_eq!((Handle::kind_of(cut), Handle::kind_of(&format!("{text}A"))), (None, None), "{cut}");
            }
        }
    }

    #[test]
    fn no_prefix_begins_with_another() {
        for one in Handle::ALL {
            let others = Handle::ALL.into_iter().filter(|other| *other != one);
            assert!(others.into_iter().all(|other| !one.prefix().starts_with(other.prefix())));
        }
    }

    #[test]
    fn a_handle_has_one_spelling() {
        let text = Handle::RefreshToken.of_bits(&[0; 32]);
        assert!(Handle::RefreshToken.read(text.expose()).is_some());
        for other in ["B", "=", "+", " "] {
            let text = format!("{}{other}", &text.expose()[..text.expose().len() - 1]);
            assert!(Handle::RefreshToken.read(&text).is_none(), "{text}");
        }
    }
}
