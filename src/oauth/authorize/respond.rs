//! The authorization response (OAuth 2.1 §4.1.2, RFC 9207): the registered redirect URI as it is, and behind it what
//! the client is told.

use std::fmt::Write;

use crate::domain::refusal::Refusal;

/// Where the answer to one request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// As the client asked, or the only registered one.
    pub redirect_uri: String,
    pub state: Option<String>,
    pub issuer: String,
}

impl Destination {
    pub fn success(&self, code: &str) -> String {
        self.with(&[("code", code)])
    }

    pub fn error(&self, reason: Refusal) -> String {
        self.with(&[("error", reason.code()), ("error_description", reason.description())])
    }

    fn with(&self, parameters: &[(&str, &str)]) -> String {
        let mut url = self.redirect_uri.clone();
        let mut separator = match url.split_once('?') {
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        let state = self.state.as_deref().map(|state| ("state", state));
        for (name, value) in parameters.iter().copied().chain(state).chain([("iss", self.issuer.as_str())]) {
            url.push_str(separator);
            url.push_str(name);
            url.push('=');
            encode(value, &mut url);
            separator = "&";
        }
        url
    }
}

/// Everything but unreserved characters, so that form decoding and percent-decoding read the same.
fn encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            // a String takes every text
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(redirect_uri: &str, state: Option<&str>) -> Destination {
        let state = state.map(str::to_owned);
        Destination { redirect_uri: redirect_uri.to_owned(), state, issuer: "https://a.example/t1".to_owned() }
    }

    /// M-05
    #[rstest::rstest]
    #[case::plain("https://c.example/cb", "https://c.example/cb?code=hfac_x&iss=https%3A%2F%2Fa.example%2Ft1")]
    #[case::query(
        "https://c.example/cb?b=%2f&a=1",
        "https://c.example/cb?b=%2f&a=1&code=hfac_x&iss=https%3A%2F%2Fa.example%2Ft1"
    )]
    #[case::bare("https://c.example/cb?", "https://c.example/cb?code=hfac_x&iss=https%3A%2F%2Fa.example%2Ft1")]
    #[case::open("https://c.example/cb?a&", "https://c.example/cb?a&code=hfac_x&iss=https%3A%2F%2Fa.example%2Ft1")]
    #[case::loopback("http://127.0.0.1:4711/", "http://127.0.0.1:4711/?code=hfac_x&iss=https%3A%2F%2Fa.example%2Ft1")]
    #[case::private("com.example.app:/cb", "com.example.app:/cb?code=hfac_x&iss=https%3A%2F%2Fa.example%2Ft1")]
    fn what_is_registered_is_kept(#[case] registered: &str, #[case] expected: &str) {
        assert_eq!(to(registered, None).success("hfac_x"), expected);
    }

    /// byte for byte, whichever way it is decoded.
    #[test]
    fn state_comes_back_as_it_was() {
        for state in ["a b+c%20&d=é/?#\"'<>", "%", "日本", &"s".repeat(4000)] {
            for url in [
                to("https://c/cb", Some(state)).success("x"),
                to("https://c/cb", Some(state)).error(Refusal::ConsentDenied),
            ] {
                let url = url::Url::parse(&url).unwrap();
                let values: Vec<_> = url.query_pairs().filter(|(name, _)| name == "state").collect();
                assert_eq!(values.len(), 1);
                assert_eq!(values[0].1, state);
                assert!(!url.query().unwrap().contains('+'));
                assert_eq!(url.query_pairs().filter(|(name, _)| name == "iss").count(), 1);
            }
        }
    }

    #[test]
    fn an_error_says_what_and_never_a_code() {
        let url = to("https://c/cb", Some("s")).error(Refusal::ConsentDenied);
        assert!(url.starts_with("https://c/cb?error=access_denied&error_description=") && !url.contains("code="));
    }
}
