//! Public keys as JWK and JWK sets (RFC 7517), those of others and ours alike: what is weak, private or ambiguous verifies nothing.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Algorithm;

/// Members that are in no public key (RFC 7518 §6.2.2, §6.3.2, §6.4).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Bytes of an RSA modulus.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;
/// More keys than anybody needs to publish.
const MAX_KEYS: usize = 64;

/// Why a JWK is no key of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// A private or symmetric key: whoever published it gave it away.
    #[error("the key has private or symmetric members")]
    Private,
    /// Another type, curve, algorithm or use.
    #[error("the key is not for an algorithm that this server verifies")]
    Unsupported,
    /// Members missing or malformed, or too weak.
    #[error("the key is malformed or too weak")]
    Malformed,
    /// No JWK set at all.
    #[error("this is no JWK set")]
    NotASet,
    /// Two keys with one id.
    #[error("two keys have the same kid")]
    Ambiguous,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Public {
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// A public key that can verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub kid: Option<String>,
    /// SHA-256 in base64url (RFC 7638).
    pub thumbprint: String,
    algorithms: Vec<Algorithm>,
    public: Public,
}

impl Key {
    /// Reads one JWK.
    ///
    /// # Errors
    /// Whatever is not a sound public key for one of our algorithms.
    pub fn parse(jwk: &Map<String, Value>) -> Result<Self, BadKey> {
        if PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
            return Err(BadKey::Private);
        }
        let kty = text(jwk, "kty")?.ok_or(BadKey::Malformed)?;
        let crv = text(jwk, "crv")?;
        let (public, algorithms, canonical) = match (kty, crv) {
            ("EC", Some("P-256")) => ec(jwk)?,
            ("OKP", Some("Ed25519")) => okp(jwk)?,
            ("RSA", None) => rsa(jwk)?,
            _ => return Err(BadKey::Unsupported),
        };
        let only = text(jwk, "alg")?;
        let algorithms: Vec<_> = algorithms.iter().copied().filter(|a| only.is_none_or(|o| o == a.as_str())).collect();
        if algorithms.is_empty() || !is_for_signatures(jwk)? {
            return Err(BadKey::Unsupported);
        }
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
        Ok(Self { kid: text(jwk, "kid")?.map(str::to_owned), thumbprint, algorithms, public })
    }

    /// Whether it is for this algorithm.
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether it made this signature over these very bytes.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let verified = match (&self.public, algorithm) {
            _ if !self.is_for(algorithm) => return false,
            (Public::P256(point), Algorithm::ES256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Public::Ed25519(x), Algorithm::EdDSA) => UnparsedPublicKey::new(&ED25519, x).verify(message, signature),
            (Public::Rsa { n, e }, Algorithm::RS256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Public::Rsa { n, e }, Algorithm::PS256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PSS_2048_8192_SHA256, message, signature)
            }
            _ => return false,
        };
        verified.is_ok()
    }
}

type Sound = (Public, &'static [Algorithm], String);

fn ec(jwk: &Map<String, Value>) -> Result<Sound, BadKey> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if (x.1.len(), y.1.len()) != (32, 32) {
        return Err(BadKey::Malformed);
    }
    let canonical = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{}\",\"y\":\"{}\"}}", x.0, y.0);
    Ok((Public::P256([&[4], x.1.as_slice(), &y.1].concat()), &[Algorithm::ES256], canonical))
}

fn okp(jwk: &Map<String, Value>) -> Result<Sound, BadKey> {
    let (text, x) = bytes(jwk, "x")?;
    if x.len() != 32 {
        return Err(BadKey::Malformed);
    }
    let canonical = format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{text}\"}}");
    Ok((Public::Ed25519(x), &[Algorithm::EdDSA], canonical))
}

fn rsa(jwk: &Map<String, Value>) -> Result<Sound, BadKey> {
    let ((modulus, n), (exponent, e)) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    // one spelling for each number, or one key had many thumbprints
    let minimal = n.first() != Some(&0) && e.first() != Some(&0);
    let odd = e.last().is_some_and(|last| last % 2 == 1);
    let sound = odd && e.len() <= 4 && e.as_slice() != [1];
    if !minimal || !sound || !MODULUS.contains(&n.len()) || is_of_infineon(&n) {
        return Err(BadKey::Malformed);
    }
    let canonical = format!("{{\"e\":\"{exponent}\",\"kty\":\"RSA\",\"n\":\"{modulus}\"}}");
    Ok((Public::Rsa { n, e }, &[Algorithm::RS256, Algorithm::PS256], canonical))
}

/// A member that is text, if it is there.
fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, BadKey> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(BadKey::Malformed),
    }
}

fn bytes<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<(&'a str, Vec<u8>), BadKey> {
    let text = text(jwk, name)?.ok_or(BadKey::Malformed)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadKey::Malformed)?;
    Ok((text, bytes))
}

/// RFC 7517 §4.2 and §4.3: a key may say what it is for.
fn is_for_signatures(jwk: &Map<String, Value>) -> Result<bool, BadKey> {
    let operations = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => return Err(BadKey::Malformed),
    };
    Ok(operations && text(jwk, "use")?.is_none_or(|purpose| purpose == "sig"))
}

/// CVE-2017-15361 (ROCA): such moduli are powers of 65537 modulo each small prime, and can be factored.
fn is_of_infineon(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
        109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * (65_537 % prime) % prime));
        powers.take(*prime as usize).any(|power| power == rest)
    })
}

/// The keys of one principal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// Reads a JWK set. Keys of other types, algorithms and uses are left out (RFC 7517 §5).
    ///
    /// # Errors
    /// No set; a private or symmetric key in it; two keys with one id.
    pub fn parse(set: &Map<String, Value>) -> Result<Self, BadKey> {
        let Some(Value::Array(listed)) = set.get("keys") else { return Err(BadKey::NotASet) };
        if listed.len() > MAX_KEYS {
            return Err(BadKey::NotASet);
        }
        let mut keys: Vec<Key> = Vec::with_capacity(listed.len());
        for jwk in listed {
            match jwk.as_object().ok_or(BadKey::NotASet).and_then(Key::parse) {
                Ok(key) if key.kid.is_some() && keys.iter().any(|known| known.kid == key.kid) => {
                    return Err(BadKey::Ambiguous);
                }
                Ok(key) => keys.push(key),
                Err(BadKey::Unsupported | BadKey::Malformed) => {}
                Err(reason) => return Err(reason),
            }
        }
        Ok(Self(keys))
    }

    /// None that can verify.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that a header can mean: the one it names, or, where names are missing, every one that fits.
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        let named = move |key: &&Key| kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid;
        self.0.iter().filter(named).filter(move |key| key.is_for(algorithm))
    }
}

impl FromIterator<Key> for KeySet {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}
