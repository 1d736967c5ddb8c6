//! The browser that a page is for: who is signed in, what ties it to its forms, and forms that it sent itself.

use std::net::IpAddr;

use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::Cookie;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{CookieName, Pages};
use crate::domain::{Account, SecretText, SignedIn, chain};
use crate::http::extract::{is_form, read, source};
use crate::identity::{self, Identity, Seen};
use crate::oauth::Form;

/// A browser.
pub struct Browser {
    pub signed_in: Option<SignedIn>,
    /// Of who is signed in.
    pub account: Option<Account>,
    /// The session cookie, whatever it opens.
    pub cookie: Option<SecretText>,
    /// The value of the cookie that tells this browser from every other; what a transaction is bound to is its hash.
    pub binding: SecretText,
    /// The browser did not have it yet: the answer sets it.
    pub(super) is_new: bool,
    pub source: IpAddr,
    pub user_agent: String,
}

impl Browser {
    /// Gives the browser a new name: what was begun under the old one cannot be finished.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn renew(&mut self, identity: &Identity) -> Result<(), identity::Error> {
        self.binding = identity.new_binding()?;
        self.is_new = true;
        Ok(())
    }

    /// What only our own pages in this browser know.
    pub(super) fn csrf(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"holdfast form\0");
        hash.update(self.binding.expose());
        URL_SAFE_NO_PAD.encode(hash.finalize())
    }
}

impl<S> FromRequestParts<S> for Browser
where
    S: Send + Sync,
    Pages: FromRef<S>,
    Identity: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let (pages, identity) = (Pages::from_ref(state), Identity::from_ref(state));
        let source = source(&parts.extensions);
        let agent = parts.headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let user_agent = agent.unwrap_or_default().into_owned();
        let cookie = find(&parts.headers, pages.cookie_name(CookieName::Session)).map(SecretText::new);
        let shown = cookie.as_ref().map(SecretText::expose);
        let (signed_in, account) = match identity.who(shown, &user_agent, source).await {
            Ok(Seen::Someone(signed_in, account)) => (Some(signed_in), Some(*account)),
            Ok(Seen::Nobody | Seen::Over) => (None, None),
            Err(identity::Error::Unavailable(_)) => return Err(pages.unavailable()),
            Err(error) => return Err(pages.fault(chain(&error))),
        };
        let known = find(&parts.headers, pages.cookie_name(CookieName::Browser));
        let known = known.and_then(|text| identity.read_binding(&text));
        let (binding, is_new) = match known {
            Some(binding) => (binding, false),
            None => (identity.new_binding().map_err(|error| pages.fault(chain(&error)))?, true),
        };
        Ok(Self { signed_in, account, cookie, binding, is_new, source, user_agent })
    }
}

/// The value of the cookie of that name; of two of one name neither counts.
fn find(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let cookies = lines.flat_map(|line| Cookie::split_parse(line.to_owned()).filter_map(Result::ok));
    let mut found = cookies.filter(|cookie| cookie.name() == name);
    let (Some(cookie), None) = (found.next(), found.next()) else { return None };
    Some(cookie.value().to_owned())
}

/// A form that one of our own pages sent, in the browser that the page was made for.
pub struct Posted {
    pub browser: Browser,
    pub form: Form,
}

impl<S> FromRequest<S> for Posted
where
    S: Send + Sync,
    Pages: FromRef<S>,
    Identity: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let pages = Pages::from_ref(state);
        let (mut parts, body) = request.into_parts();
        let browser = Browser::from_request_parts(&mut parts, state).await?;
        let bad = |text| pages.problem(StatusCode::BAD_REQUEST, "That form cannot be read", text);
        if !is_form(&parts.headers) {
            return Err(bad("The browser sent something that is no form."));
        }
        let body = read(body).await.map_err(|answer| {
            let text = "What was sent is too large, or did not arrive in time.";
            pages.problem(answer.status(), "That form cannot be read", text)
        })?;
        let form = Form::parse(&body).map_err(|_| bad("Something in the form cannot be understood."))?;
        let shown = form.get("csrf").unwrap_or_default();
        let genuine: bool = shown.as_bytes().ct_eq(browser.csrf().as_bytes()).into();
        if browser.is_new || !genuine || is_foreign(&parts.headers, &pages.inner.origin) {
            let text = "This page is out of date, or it was opened in another browser. Go back, load it again, and \
                        send it once more. Cookies have to be allowed for this site.";
            let answer = pages.problem(StatusCode::FORBIDDEN, "Please try again", text);
            return Err(answer);
        }
        Ok(Self { browser, form })
    }
}

/// Whether the browser says that a page of another site sent this. Our pages send no referrer, so that their own
/// `Origin` is `null` (Fetch §3.1).
fn is_foreign(headers: &HeaderMap, origin: &str) -> bool {
    let value = |name: &str| headers.get(name).map(|value| value.as_bytes());
    match value("sec-fetch-site") {
        Some(site) => !matches!(site, b"same-origin" | b"none"),
        None => value("origin").is_some_and(|from| from != b"null" && from != origin.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[rstest::rstest]
    #[case(&[], false)]
    #[case(&[("sec-fetch-site", "same-origin")], false)]
    #[case(&[("sec-fetch-site", "none")], false)]
    #[case(&[("sec-fetch-site", "same-site")], true)]
    #[case(&[("sec-fetch-site", "cross-site")], true)]
    #[case(&[("origin", "null")], false)]
    #[case(&[("origin", "https://auth.example.com")], false)]
    #[case(&[("origin", "https://evil.example")], true)]
    #[case(&[("sec-fetch-site", "cross-site"), ("origin", "https://auth.example.com")], true)]
    fn a_page_of_another_site_is_known(#[case] pairs: &[(&'static str, &'static str)], #[case] foreign: bool) {
        assert_eq!(is_foreign(&headers(pairs), "https://auth.example.com"), foreign);
    }

    #[test]
    fn a_cookie_that_is_there_twice_is_none() {
        let of = |pairs: &[(&'static str, &'static str)]| find(&headers(pairs), "a");
        assert_eq!(of(&[("cookie", "b=2; a=1")]).as_deref(), Some("1"));
        assert_eq!(of(&[("cookie", "a=1; a=2")]), None);
        assert_eq!(of(&[("cookie", "a=1"), ("cookie", "a=2")]), None);
        assert_eq!(of(&[("cookie", "ab=1")]), None);
    }
}
