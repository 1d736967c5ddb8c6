//! Compact JWS of others (RFC 7515): the one verifier of client assertions and DPoP proofs.
//!
//! Of the header nothing counts but an algorithm that is listed and fits the key, a type that is expected, and the id
//! of a key that is known already. What asks for more is refused: extensions, compression, keys from elsewhere.

mod claims;
mod key;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

pub use self::claims::Claims;
pub use self::key::{BadKey, Key, KeySet};
use super::json;

/// Longer texts are not looked at, in bytes.
const MAX: usize = 16 * 1024;

/// Algorithms of others that are verified: asymmetric, without SHA-1, for which keys of 128 bits of strength are
/// common (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    ES256,
    EdDSA,
    PS256,
    RS256,
}

impl Algorithm {
    pub const ALL: [Self; 4] = [Self::ES256, Self::EdDSA, Self::PS256, Self::RS256];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
            Self::PS256 => "PS256",
            Self::RS256 => "RS256",
        }
    }

    /// By its exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// What kind of JWS is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// Values of `typ` (RFC 8725 §3.11), lower case.
    pub types: &'a [&'a str],
    /// Whether `typ` may be missing.
    pub untyped: bool,
    pub algorithms: &'a [Algorithm],
}

/// Why a text is no such JWS. Nothing of the text is repeated in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("not a compact JWS of one signature, or too long")]
    Malformed,
    #[error("the header asks for what is not supported")]
    Header,
    #[error("the algorithm is not one that is accepted")]
    Algorithm,
    #[error("the type is not the expected one")]
    Type,
    #[error("no known key fits")]
    NoKey,
    #[error("the key in the header cannot be used")]
    Key(#[source] BadKey),
    #[error("the signature does not match")]
    Signature,
    #[error("the claim {0} is missing or wrong")]
    Claim(&'static str),
}

/// The header members that count (RFC 7515 §4.1).
struct Header {
    algorithm: Algorithm,
    typ: Option<String>,
    kid: Option<String>,
    jwk: Option<Map<String, Value>>,
}

/// A token in its parts, not verified yet.
struct Parts<'a> {
    header: Header,
    message: &'a [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The claims of a token that one of these keys signed.
///
/// # Errors
/// Everything that makes it not exactly that. [`Invalid::NoKey`] tells that other keys might.
pub fn verify(token: &str, keys: &KeySet, expect: &Expect<'_>) -> Result<Claims, Invalid> {
    let parts = Parts::read(token)?;
    if parts.header.jwk.is_some() {
        return Err(Invalid::Header);
    }
    parts.header.fits(expect)?;
    Claims::parse(&parts.signed_by_one_of(keys)?)
}

/// The key in the header of a token and the claims that it signed (RFC 9449 §4.2): the token proves no more than that
/// its sender has the key.
///
/// # Errors
/// As [`verify`]; a `kid` in the place of the key is not enough.
pub fn verify_embedded(token: &str, expect: &Expect<'_>) -> Result<(Key, Claims), Invalid> {
    let parts = Parts::read(token)?;
    parts.header.fits(expect)?;
    let key = Key::parse(parts.header.jwk.as_ref().ok_or(Invalid::NoKey)?).map_err(Invalid::Key)?;
    if !key.is_for(parts.header.algorithm) {
        return Err(Invalid::Algorithm);
    }
    if !key.verifies(parts.header.algorithm, parts.message, &parts.signature) {
        return Err(Invalid::Signature);
    }
    let claims = Claims::parse(&parts.payload)?;
    Ok((key, claims))
}

impl Header {
    fn read(part: &[u8]) -> Result<Self, Invalid> {
        let mut members = json::object(part).ok_or(Invalid::Malformed)?;
        // extensions (RFC 7515 §4.1.11), unencoded payloads (RFC 7797), JWE, and keys that a stranger points at
        let refused = ["crit", "b64", "zip", "enc", "jku", "x5u", "x5c"];
        if refused.iter().any(|name| members.contains_key(*name)) {
            return Err(Invalid::Header);
        }
        let algorithm = match members.get("alg") {
            Some(Value::String(name)) => Algorithm::parse(name).ok_or(Invalid::Algorithm)?,
            _ => return Err(Invalid::Algorithm),
        };
        let mut text = |name: &str| match members.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Invalid::Header),
        };
        let (typ, kid) = (text("typ")?, text("kid")?);
        let jwk = match members.remove("jwk") {
            None => None,
            Some(Value::Object(jwk)) => Some(jwk),
            Some(_) => return Err(Invalid::Header),
        };
        Ok(Self { algorithm, typ, kid, jwk })
    }

    fn fits(&self, expect: &Expect<'_>) -> Result<(), Invalid> {
        if !expect.algorithms.contains(&self.algorithm) {
            return Err(Invalid::Algorithm);
        }
        let typed = match &self.typ {
            None => expect.untyped,
            Some(typ) => expect.types.iter().any(|expected| typ.eq_ignore_ascii_case(expected)),
        };
        if typed { Ok(()) } else { Err(Invalid::Type) }
    }
}

impl<'a> Parts<'a> {
    fn read(token: &'a str) -> Result<Self, Invalid> {
        if token.len() > MAX {
            return Err(Invalid::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Invalid::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Invalid::Malformed)?;
        // neither padding nor bits that mean nothing: one text for one value; a dot is no base64
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Invalid::Malformed);
        Ok(Self {
            header: Header::read(&decode(header)?)?,
            message: message.as_bytes(),
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    fn signed_by_one_of(self, keys: &KeySet) -> Result<Vec<u8>, Invalid> {
        let algorithm = self.header.algorithm;
        let mut known = false;
        for key in keys.candidates(self.header.kid.as_deref(), algorithm) {
            known = true;
            if key.verifies(algorithm, self.message, &self.signature) {
                return Ok(self.payload);
            }
        }
        Err(if known { Invalid::Signature } else { Invalid::NoKey })
    }
}

#[cfg(test)]
mod tests;
