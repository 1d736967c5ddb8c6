//! Claims with their types (RFC 7519 §4.1): one that is there and of another type is never the same as absent.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::Invalid;
use crate::oauth::json;

/// What a verified JWT says.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    pub iss: Option<String>,
    pub sub: Option<String>,
    /// Empty when absent; one text is a list of one.
    pub aud: Vec<String>,
    pub exp: Option<Timestamp>,
    pub nbf: Option<Timestamp>,
    pub iat: Option<Timestamp>,
    pub jti: Option<String>,
    /// All the others, as they came.
    pub others: Map<String, Value>,
}

impl Claims {
    /// Reads the payload of a JWT.
    ///
    /// # Errors
    /// No object, a member twice, or a registered claim of the wrong type (CVE-2026-25537).
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Invalid> {
        let mut members = json::object(payload).ok_or(Invalid::Malformed)?;
        Ok(Self {
            iss: text(&mut members, "iss")?,
            sub: text(&mut members, "sub")?,
            aud: texts(&mut members, "aud")?,
            exp: time(&mut members, "exp")?,
            nbf: time(&mut members, "nbf")?,
            iat: time(&mut members, "iat")?,
            jti: text(&mut members, "jti")?,
            others: members,
        })
    }

    /// A claim of another kind that is text.
    ///
    /// # Errors
    /// When it is there and no text.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, Invalid> {
        match self.others.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Invalid::Claim(name)),
        }
    }

    /// Whether it is neither expired, nor of the future, give or take `skew`.
    ///
    /// # Errors
    /// Which claim says otherwise.
    pub fn in_time(&self, now: Timestamp, skew: SignedDuration) -> Result<(), Invalid> {
        let (early, late) = (now.saturating_sub(skew), now.saturating_add(skew));
        let (early, late) = (early.unwrap_or(Timestamp::MIN), late.unwrap_or(Timestamp::MAX));
        match self {
            Self { exp: Some(exp), .. } if *exp <= early => Err(Invalid::Claim("exp")),
            Self { nbf: Some(nbf), .. } if *nbf > late => Err(Invalid::Claim("nbf")),
            Self { iat: Some(iat), .. } if *iat > late => Err(Invalid::Claim("iat")),
            _ => Ok(()),
        }
    }
}

fn text(members: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, Invalid> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Invalid::Claim(name)),
    }
}

fn texts(members: &mut Map<String, Value>, name: &'static str) -> Result<Vec<String>, Invalid> {
    let text = |value| match value {
        Value::String(text) => Ok(text),
        _ => Err(Invalid::Claim(name)),
    };
    match members.remove(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => list.into_iter().map(text).collect(),
        Some(one) => text(one).map(|one| vec![one]),
    }
}

/// Whole seconds since 1970; a fraction, a text or a number beyond the calendar is none.
fn time(members: &mut Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, Invalid> {
    let Some(value) = members.remove(name) else { return Ok(None) };
    let second = value.as_u64().and_then(|second| i64::try_from(second).ok());
    let time = second.and_then(|second| Timestamp::from_second(second).ok());
    time.map(Some).ok_or(Invalid::Claim(name))
}
