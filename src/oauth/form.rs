//! `application/x-www-form-urlencoded` as OAuth reads it: strictly, and each parameter once.

use crate::domain::refusal::Refusal;

/// Parameters that may repeat (RFC 8707 §2, RFC 8693 §2.1).
const REPEATED: [&str; 2] = ["resource", "audience"];
/// More parameters than any request needs.
const MAX_PARAMETERS: usize = 100;

/// The parameters of one request. An empty value is an absent one (OAuth 2.1 §3.2).
#[derive(Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a request body.
    ///
    /// # Errors
    /// Invalid percent-encoding or UTF-8, control characters, a parameter given twice (but `resource` and `audience`).
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let parameters = pairs(body)?;
        let twice = |(at, (name, _)): (usize, &(String, String))| {
            !REPEATED.contains(&name.as_str()) && parameters[..at].iter().any(|(other, _)| other == name)
        };
        if parameters.iter().enumerate().any(twice) {
            return Err(Refusal::Malformed("a parameter is given more than once"));
        }
        Ok(Self(parameters))
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, v)| n == name && !v.is_empty());
        found.map(|(_, v)| v.as_str())
    }

    /// The values of a parameter that may repeat.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }
}

/// The parameters of a body or a query, decoded, each as often as it is there.
///
/// # Errors
/// Invalid percent-encoding or UTF-8, control characters, too many parameters.
pub fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    let mut parameters: Vec<(String, String)> = Vec::with_capacity(8);
    for pair in text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.iter().position(|b| *b == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[..0]),
        };
        let (Some(name), Some(value)) = (decode(name), decode(value)) else {
            return Err(Refusal::Malformed("the body is not valid form encoding"));
        };
        if name.chars().chain(value.chars()).any(char::is_control) {
            return Err(Refusal::Malformed("parameters must not contain control characters"));
        }
        if parameters.len() == MAX_PARAMETERS {
            return Err(Refusal::Malformed("too many parameters"));
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

/// Undoes form encoding; `None` for an incomplete escape or invalid UTF-8.
pub(super) fn decode(text: &[u8]) -> Option<String> {
    let digit = |at: usize| text.get(at).and_then(|b| (*b as char).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                bytes.push(u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()?);
                at += 2;
            }
            plain => bytes.push(*plain),
        }
        at += 1;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_empty_ones_are_absent() {
        let form = Form::parse(b"a=1%2B2+3&empty=&resource=x&resource=y&&flag").unwrap();
        assert_eq!(form.get("a"), Some("1+2 3"));
        assert_eq!((form.get("empty"), form.get("flag"), form.get("none")), (None, None, None));
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
    }

    ///
    #[rstest::rstest]
    #[case::twice(b"a=1&a=1")]
    #[case::twice_once_empty(b"a=&a=1")]
    #[case::escape(b"a=%zz")]
    #[case::half_an_escape(b"a=%4")]
    #[case::not_utf8(b"a=%ff")]
    #[case::control(b"a=%00")]
    #[case::line(b"a=%0d%0a")]
    fn what_is_ambiguous_is_refused(#[case] body: &[u8]) {
        assert!(matches!(Form::parse(body), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn a_flood_of_parameters_is_refused() {
        let body = (0..=MAX_PARAMETERS).map(|i| format!("p{i}=1")).collect::<Vec<_>>().join("&");
        assert!(Form::parse(body.as_bytes()).is_err());
    }
}
