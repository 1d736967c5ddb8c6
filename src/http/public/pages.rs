//! What every page for people has in common: its frame, its headers, and the browser that it is for.
//!
//! No page carries a script or an inline style; the one stylesheet is a file named by its hash. A form is answered only
//! when it comes from a page of ours in this very browser ([`Posted`]). Everything that strangers wrote is escaped by
//! the templates, and made plain by [`shown`] before.

mod assets;
mod browser;
mod destination;

use std::sync::Arc;

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use cookie::{Cookie, SameSite};

pub use self::assets::router as assets;
pub use self::browser::{Browser, Posted};
pub use self::destination::Destination;
use crate::domain::SecretText;
use crate::domain::user::is_invisible;
use crate::http::observe::Told;

/// Where people sign in, below the issuer.
pub const LOGIN: &str = "/login";
/// Where they see and end what they have, below the issuer.
pub const ACCOUNT: &str = "/account";

/// What pages need to know of the server. Cheap to clone.
#[derive(Clone)]
pub struct Pages {
    inner: Arc<Inner>,
}

struct Inner {
    /// Path of the issuer.
    base: String,
    /// `https://host`
    origin: String,
    host: String,
    secure: bool,
    stylesheet: String,
    icon: String,
}

/// The frame of a page.
pub struct Shell {
    inner: Arc<Inner>,
    /// The address of who is signed in.
    who: Option<String>,
    csrf: String,
}

impl Shell {
    pub fn stylesheet(&self) -> &str {
        &self.inner.stylesheet
    }

    pub fn icon(&self) -> &str {
        &self.inner.icon
    }

    /// Path of the issuer, to put before every path of ours.
    pub fn base(&self) -> &str {
        &self.inner.base
    }

    /// The issuer's host, by which people know where they are.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// The address of who is signed in.
    pub fn who(&self) -> Option<&str> {
        self.who.as_deref()
    }

    /// The value of the hidden field `csrf` that every form has.
    pub fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// Something went wrong, or is over: a title, a sentence, and perhaps a way on.
#[derive(Template)]
#[template(path = "problem.html")]
struct Problem<'a> {
    shell: Shell,
    title: &'a str,
    text: &'a str,
}

impl Pages {
    /// `issuer` as it is configured; `base` is its path.
    pub fn new(issuer: &str, base: &str) -> Self {
        let url = url::Url::parse(issuer).ok();
        let origin = url.as_ref().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        let host = origin.split_once("://").map_or("", |(_, host)| host).to_owned();
        let (stylesheet, icon) = assets::places(base);
        let secure = issuer.starts_with("https://");
        Self { inner: Arc::new(Inner { base: base.to_owned(), origin, host, secure, stylesheet, icon }) }
    }

    /// The frame for this browser.
    pub fn shell(&self, browser: &Browser) -> Shell {
        let who = browser.account.as_ref().map(|account| account.email.to_string());
        Shell { inner: Arc::clone(&self.inner), who, csrf: browser.csrf() }
    }

    /// A page whose forms lead to this server alone.
    pub fn page(&self, browser: &Browser, status: StatusCode, template: &impl Template) -> Response {
        self.leading(browser, (status, template), None)
    }

    /// A page whose form ends in a redirect to `to`, a client's redirect URI: Chromium holds redirects after a form to
    /// `form-action` too, those of the client's own site as well.
    pub fn leading(
        &self,
        browser: &Browser,
        (status, template): (StatusCode, &impl Template),
        to: Option<&str>,
    ) -> Response {
        let mut response = render(status, template, to);
        self.remember(browser, &mut response);
        response
    }

    /// 303 to a path or URL (RFC 9700 §4.12: never 307).
    pub fn see_other(&self, browser: &Browser, to: &str) -> Response {
        let mut response = self.onward(to);
        self.remember(browser, &mut response);
        response
    }

    /// 303 for a browser of which nothing is known and nothing is to be kept.
    pub fn onward(&self, to: &str) -> Response {
        let mut response = StatusCode::SEE_OTHER.into_response();
        match HeaderValue::from_str(to) {
            Ok(to) => drop(response.headers_mut().insert(header::LOCATION, to)),
            Err(_) => return self.fault("the address to go to cannot be written in a header".to_owned()),
        }
        guard(&mut response);
        response
    }

    /// To the login page, and from there to `to`, one of our own paths. `again`: also somebody who is signed in shows
    /// the password anew.
    pub fn to_login(&self, browser: &Browser, to: &Destination, again: bool) -> Response {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("to", to.as_str());
        if again {
            query.append_pair("again", "true");
        }
        self.see_other(browser, &format!("{}{LOGIN}?{}", self.inner.base, query.finish()))
    }

    /// A path of ours, below the issuer, as the browser is told it.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.inner.base)
    }

    /// One of our own paths to go to, as a request or a form says it.
    pub fn destination(&self, text: &str) -> Option<Destination> {
        Destination::read(&self.inner.base, text)
    }

    /// A page that says what is wrong and repeats nothing of the request.
    pub fn problem(&self, status: StatusCode, title: &str, text: &str) -> Response {
        let shell = Shell { inner: Arc::clone(&self.inner), who: None, csrf: String::new() };
        render(status, &Problem { shell, title, text }, None)
    }

    /// The database is away: the same page again, in a moment.
    pub fn unavailable(&self) -> Response {
        let text = "The server cannot answer just now. Wait a moment, then load this page again.";
        self.retry(StatusCode::SERVICE_UNAVAILABLE, "One moment, please", text, 5)
    }

    /// A page for who has to come back after so many seconds.
    pub fn retry(&self, status: StatusCode, title: &str, text: &str, seconds: u64) -> Response {
        let mut response = self.problem(status, title, text);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        response
    }

    /// A fault of ours, which only the log is told of.
    pub fn fault(&self, what: String) -> Response {
        let text = "The server failed to answer. If it happens again, tell whoever runs it.";
        let mut response = self.problem(StatusCode::INTERNAL_SERVER_ERROR, "That went wrong", text);
        response.extensions_mut().insert(Told::Failed(what));
        response
    }

    /// `Set-Cookie` of a cookie that this browser alone has and shows to us alone; gone when the browser is closed.
    pub fn set_cookie(&self, response: &mut Response, name: CookieName, value: &SecretText) {
        self.put_cookie(response, Cookie::new(self.cookie_name(name), value.expose().to_owned()));
    }

    /// Takes a cookie away.
    pub fn forget_cookie(&self, response: &mut Response, name: CookieName) {
        let mut cookie = Cookie::new(self.cookie_name(name), "");
        cookie.make_removal();
        self.put_cookie(response, cookie);
    }

    fn put_cookie(&self, response: &mut Response, mut cookie: Cookie<'_>) {
        cookie.set_path("/");
        cookie.set_http_only(true);
        cookie.set_same_site(SameSite::Lax);
        cookie.set_secure(self.inner.secure);
        if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }

    /// `__Host-`: no other host, also none below ours, can set it. Plain http cannot have that.
    fn cookie_name(&self, name: CookieName) -> &'static str {
        match (name, self.inner.secure) {
            (CookieName::Session, true) => "__Host-holdfast-session",
            (CookieName::Session, false) => "holdfast-session",
            (CookieName::Browser, true) => "__Host-holdfast-browser",
            (CookieName::Browser, false) => "holdfast-browser",
        }
    }

    /// A browser that had no binding gets the one that the page was made for.
    fn remember(&self, browser: &Browser, response: &mut Response) {
        if browser.is_new {
            self.set_cookie(response, CookieName::Browser, &browser.binding);
        }
    }
}

/// Our cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieName {
    /// Opens a login session.
    Session,
    /// Ties forms and transactions to a browser, signed in or not.
    Browser,
}

fn render(status: StatusCode, template: &impl Template, leads_to: Option<&str>) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(event = "page_failed", %error);
            return crate::http::respond::fault();
        }
    };
    let mut response = (status, Html(html)).into_response();
    guard(&mut response);
    if let Ok(policy) = HeaderValue::from_str(&policy(leads_to)) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A-14, but for the policy.
fn guard(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Content Security Policy: nothing but our stylesheet, our images, and forms to us.
fn policy(leads_to: Option<&str>) -> String {
    let mut forms = "'self'".to_owned();
    if let Some(url) = leads_to.and_then(|to| url::Url::parse(to).ok()) {
        // the client's own site may send the browser on, to https wherever
        forms.push_str(" https:");
        match (url.scheme(), url.host_str()) {
            ("https", _) => {}
            // a policy cannot name an IPv6 address (CSP3 §2.3.1)
            ("http", Some(host)) if host.starts_with('[') => forms.push_str(" http:"),
            ("http", Some(_)) => {
                forms.push(' ');
                forms.push_str(&url.origin().ascii_serialization());
            }
            (scheme, _) => {
                forms.push(' ');
                forms.push_str(scheme);
                forms.push(':');
            }
        }
    }
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action {forms}; frame-ancestors 'none'; \
         base-uri 'none'"
    )
}

/// What a stranger wrote, fit to be shown: one line, no control or invisible characters, nothing that turns the text
/// around it, and not longer than `most` characters. The template escapes it, and puts it into `<bdi>`.
pub fn shown(text: &str, most: usize) -> String {
    let plain = text.chars().map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c });
    let plain: String = plain.filter(|c| !is_invisible(*c)).collect();
    let plain = plain.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match plain.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", plain.get(..end).unwrap_or_default().trim_end()),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    ///
    #[rstest::rstest]
    #[case("Claude Code", "Claude Code")]
    #[case("a\r\nb\tc\0d", "a b c d")]
    #[case("pay\u{202e}lap\u{200b}yap", "paylapyap")]
    #[case("  ", "")]
    #[case("1234567890123", "123456789012…")]
    #[case("ئ<script>", "ئ<script>")]
    fn what_a_stranger_wrote_is_one_short_plain_line(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shown(text, 12), expected);
    }

    #[rstest::rstest]
    #[case(None, "'self'")]
    #[case(Some("https://app.example.com/cb?x=1"), "'self' https:")]
    #[case(Some("http://127.0.0.1:5000/cb"), "'self' https: http://127.0.0.1:5000")]
    #[case(Some("http://[::1]:5000/cb"), "'self' https: http:")]
    #[case(Some("cursor://anysphere.cursor-mcp/oauth"), "'self' https: cursor:")]
    #[case(Some("no url"), "'self'")]
    fn a_form_may_lead_where_it_must(#[case] to: Option<&str>, #[case] expected: &str) {
        assert!(policy(to).contains(&format!("form-action {expected};")), "{}", policy(to));
    }
}
