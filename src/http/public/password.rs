//! `/account/password`: a person sets another password, and is signed out everywhere else.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::login::{failure, locked};
use super::pages::{ACCOUNT, Browser, CookieName, Destination, Pages, Posted, Shell};
use crate::domain::SecretText;
use crate::identity::{Change, Error, Identity};

/// Below the issuer.
pub const PASSWORD: &str = "/account/password";

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage<'a> {
    shell: Shell,
    email: &'a str,
    least: usize,
    problem: Option<&'a str>,
}

pub async fn show(State(pages): State<Pages>, State(identity): State<Identity>, browser: Browser) -> Response {
    form(&pages, &identity, &browser, (StatusCode::OK, None))
}

fn form(pages: &Pages, identity: &Identity, browser: &Browser, what: (StatusCode, Option<&str>)) -> Response {
    let Some(account) = &browser.account else {
        return pages.to_login(browser, &Destination::own(pages.path(PASSWORD)), false);
    };
    let (status, problem) = what;
    let (email, least) = (account.email.as_str(), identity.min_password_length());
    pages.page(browser, status, &PasswordPage { shell: pages.shell(browser), email, least, problem })
}

pub async fn post(State(pages): State<Pages>, State(identity): State<Identity>, posted: Posted) -> Response {
    let Posted { browser, form: fields } = posted;
    let (Some(signed_in), Some(cookie)) = (&browser.signed_in, &browser.cookie) else {
        return pages.to_login(&browser, &Destination::own(pages.path(PASSWORD)), false);
    };
    let again = |problem: &str| form(&pages, &identity, &browser, (StatusCode::BAD_REQUEST, Some(problem)));
    let field = |name| SecretText::new(fields.get(name).unwrap_or_default());
    let (old, new) = (field("old"), field("new"));
    if new.expose() != field("repeated").expose() {
        return again("The new password and its repetition differ.");
    }
    let change = Change {
        signed_in,
        old: &old,
        new: &new,
        cookie,
        disconnect: fields.get("disconnect").is_some(),
        source: browser.source,
        user_agent: &browser.user_agent,
    };
    match identity.change_password(&change).await {
        Ok(cookie) => {
            let mut response = pages.see_other(&browser, &pages.path(ACCOUNT));
            pages.set_cookie(&mut response, CookieName::Session, &cookie);
            response
        }
        Err(Error::Mismatch) => again("That is not your password."),
        Err(Error::Weak(weak)) => {
            let mut problem = weak.to_string();
            if let Some(first) = problem.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            again(&format!("{problem}."))
        }
        Err(Error::Locked { retry_after }) => locked(&pages, retry_after),
        Err(error) => failure(&pages, error),
    }
}
