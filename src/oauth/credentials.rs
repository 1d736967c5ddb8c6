//! What a request shows to prove who sent it (OAuth 2.1 §2.4), before anybody has looked at it.

use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use zeroize::Zeroizing;

use super::form::{Form, decode};
use super::json;
use crate::domain::client::{AuthenticationMethod, Client, Origin};
use crate::domain::refusal::Refusal;
use crate::domain::secret::{SecretHash, SecretText};
use crate::store::Once;

/// Longer ids are nobody's.
const MAX_ID: usize = 2048;

/// An id and, for all but public clients, a secret. Basic shows both twice: form-decoded as the RFC says, and raw as
/// some clients send them; either may be meant.
#[derive(Debug)]
pub struct Presented {
    pub(super) way: Way,
    pub(super) readings: Vec<Reading>,
    /// A signed assertion (RFC 7523 §2.2).
    pub(super) assertion: Option<Assertion>,
}

/// A signed assertion, and what was found when it was looked at.
#[derive(Debug)]
pub(super) struct Assertion {
    pub text: String,
    pub verified: OnceLock<Verified>,
}

/// An assertion that is good as long as the client's keys are these.
#[derive(Debug)]
pub(super) struct Verified {
    pub once: Arc<Once>,
    pub jwks: Value,
    pub jwks_uri: Option<String>,
}

impl Assertion {
    /// What is to be used up, when this client's key made the assertion.
    pub fn by(&self, client: &Client) -> Option<Arc<Once>> {
        let verified = self.verified.get()?;
        let same = verified.jwks == client.jwks && verified.jwks_uri == client.jwks_uri;
        let keyed = client.authentication_method == AuthenticationMethod::PrivateKeyJWT;
        (same && keyed).then(|| Arc::clone(&verified.once))
    }
}

/// By which method the request authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Basic,
    Post,
    Assertion,
    None,
}

#[derive(Debug)]
pub(super) struct Reading {
    pub id: String,
    pub secret: Option<SecretHash>,
}

impl Presented {
    /// Takes the credentials out of the `Authorization` headers and the body.
    ///
    /// # Errors
    /// Two methods at once; a header that is not Basic, or not well-formed; none at all.
    pub fn read(authorization: &[&[u8]], form: &Form) -> Result<Self, Refusal> {
        let (id, secret) = (form.get("client_id"), form.get("client_secret"));
        let assertion = form.get("client_assertion").is_some() || form.get("client_assertion_type").is_some();
        let presented = usize::from(!authorization.is_empty()) + usize::from(secret.is_some()) + usize::from(assertion);
        if presented > 1 || authorization.len() > 1 {
            return Err(Refusal::SeveralCredentials);
        }
        if let [header] = authorization {
            let readings = basic(header).ok_or(Refusal::InvalidClient)?;
            let agrees = |reading: &Reading| id.is_none_or(|id| id == reading.id);
            let readings: Vec<Reading> = readings.into_iter().filter(agrees).collect();
            return if readings.is_empty() {
                Err(Refusal::InvalidClient)
            } else {
                Ok(Self { way: Way::Basic, readings, assertion: None })
            };
        }
        if assertion {
            return Self::asserted(form);
        }
        let Some(id) = id.filter(|id| is_id(id)) else { return Err(Refusal::InvalidClient) };
        let secret = secret.map(|text| SecretText::new(text).hash());
        let way = if secret.is_some() { Way::Post } else { Way::None };
        Ok(Self { way, readings: vec![Reading { id: id.to_owned(), secret }], assertion: None })
    }

    /// The id, if it is one that a document describes.
    pub(super) fn document(&self) -> Option<&str> {
        let [reading] = self.readings.as_slice() else { return None };
        (Origin::of(&reading.id) == Origin::Document).then_some(reading.id.as_str())
    }

    /// An assertion names its client itself; `client_id` may be missing, but not be another (CC-02, K-02).
    fn asserted(form: &Form) -> Result<Self, Refusal> {
        let (Some(assertion), Some(TYPE)) = (form.get("client_assertion"), form.get("client_assertion_type")) else {
            return Err(Refusal::InvalidClient);
        };
        let claimed = claimed(assertion).filter(|id| is_id(id)).ok_or(Refusal::InvalidClient)?;
        if form.get("client_id").is_some_and(|id| id != claimed) {
            return Err(Refusal::InvalidClient);
        }
        let readings = vec![Reading { id: claimed, secret: None }];
        let assertion = Assertion { text: assertion.to_owned(), verified: OnceLock::new() };
        Ok(Self { way: Way::Assertion, readings, assertion: Some(assertion) })
    }
}

/// The only value of `client_assertion_type`.
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// `sub` of an assertion that nobody has verified: whose keys to look at, and nothing else.
fn claimed(assertion: &str) -> Option<String> {
    let payload = assertion.split('.').nth(1).filter(|part| part.len() <= 16 * 1024)?;
    let claims = json::object(&URL_SAFE_NO_PAD.decode(payload).ok()?)?;
    claims.get("sub")?.as_str().map(str::to_owned)
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control)
}

/// RFC 7617 §2 with the encoding of OAuth 2.1 §2.4.1; `None` when it is not that.
fn basic(header: &[u8]) -> Option<Vec<Reading>> {
    let header = std::str::from_utf8(header).ok()?;
    let (scheme, value) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let text = Zeroizing::new(STANDARD.decode(value.trim()).ok()?);
    let (id, secret) = std::str::from_utf8(&text).ok()?.split_once(':')?;
    let mut readings = Vec::with_capacity(2);
    if let (Some(id), Some(secret)) = (decode(id.as_bytes()), decode(secret.as_bytes())) {
        readings.push((id, SecretText::new(secret)));
    }
    if readings.first().is_none_or(|(i, s)| i != id || s.expose() != secret) {
        readings.push((id.to_owned(), SecretText::new(secret)));
    }
    readings.retain(|(id, secret)| is_id(id) && !secret.expose().is_empty());
    let readings = readings.into_iter().map(|(id, secret)| Reading { id, secret: Some(secret.hash()) }).collect();
    Some(readings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: Option<&str>, body: &str) -> Result<Presented, Refusal> {
        let headers: Vec<&[u8]> = header.iter().map(|h| h.as_bytes()).collect();
        Presented::read(&headers, &Form::parse(body.as_bytes()).unwrap())
    }

    fn basic_of(text: &str) -> String {
        format!("bAsIc {}", STANDARD.encode(text))
    }

    /// B-06: the decoded reading comes first, the raw one is tried too.
    #[test]
    fn basic_is_read_decoded_and_raw() {
        let presented = read(Some(&basic_of("a%2Bb:s+s")), "").unwrap();
        let ids: Vec<_> = presented.readings.iter().map(|r| r.id.as_str()).collect();
        assert_eq!(ids, ["a+b", "a%2Bb"]);
        assert_eq!(presented.readings[0].secret, Some(SecretText::new("s s").hash()));
        assert_eq!(presented.readings[1].secret, Some(SecretText::new("s+s").hash()));
        assert_eq!(read(Some(&basic_of("plain:secret")), "").unwrap().readings.len(), 1);
        assert_eq!(read(Some(&basic_of("plain:100%")), "client_id=plain").unwrap().readings.len(), 1);
    }

    /// B-04, B-06
    #[rstest::rstest]
    #[case::both(Some("Basic YTpi"), "client_id=a&client_secret=b", Refusal::SeveralCredentials)]
    #[case::assertion_too(Some("Basic YTpi"), "client_assertion=x", Refusal::SeveralCredentials)]
    #[case::secret_and_assertion(None, "client_id=a&client_secret=b&client_assertion=x", Refusal::SeveralCredentials)]
    #[case::other_id(Some("Basic YTpi"), "client_id=other", Refusal::InvalidClient)]
    #[case::no_colon(Some("Basic YWI="), "", Refusal::InvalidClient)]
    #[case::not_base64(Some("Basic %%%"), "", Refusal::InvalidClient)]
    #[case::not_utf8(Some("Basic //8="), "", Refusal::InvalidClient)]
    #[case::no_secret(Some("Basic YTo="), "", Refusal::InvalidClient)]
    #[case::scheme(Some("Bearer YTpi"), "", Refusal::InvalidClient)]
    #[case::empty(Some(""), "", Refusal::InvalidClient)]
    #[case::nothing(None, "", Refusal::InvalidClient)]
    #[case::assertion(None, "client_id=a&client_assertion=x", Refusal::InvalidClient)]
    fn what_proves_nothing_is_refused(#[case] header: Option<&str>, #[case] body: &str, #[case] reason: Refusal) {
        assert_eq!(read(header, body).unwrap_err(), reason);
    }
}
