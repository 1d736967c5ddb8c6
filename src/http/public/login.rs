//! `/login` and `/logout`: how a browser begins a session, and how it ends its own.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::pages::{ACCOUNT, Browser, CookieName, Destination, LOGIN, Pages, Posted, Shell};
use crate::domain::{SecretText, chain};
use crate::http::observe::Told;
use crate::identity::{Error, Identity, Knock};
use crate::metrics::{Metrics, Outcome};
use crate::oauth::{AuthorizationServer, path};

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    shell: Shell,
    /// As it was typed, or of who is to show the password again.
    email: &'a str,
    to: &'a str,
    again: bool,
    problem: Option<&'a str>,
}

/// What the page was opened with.
struct Asked {
    to: Destination,
    again: bool,
}

impl Asked {
    fn read<'a>(
        pages: &Pages,
        pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
    ) -> Self {
        let (mut to, mut again) = (None, false);
        for (name, value) in pairs {
            match &*name {
                "to" => to = pages.destination(&value),
                "again" => again = value == "true",
                _ => {}
            }
        }
        Self { to: to.unwrap_or_else(|| pages.home()), again }
    }
}

/// The form, or straight on for who has signed in already.
pub async fn show(
    State(pages): State<Pages>,
    State(server): State<AuthorizationServer>,
    browser: Browser,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let asked = Asked::read(&pages, url::form_urlencoded::parse(query.as_bytes()));
    if browser.signed_in.is_some() && !asked.again {
        return pages.see_other(&browser, asked.to.as_str());
    }
    let email = browser.account.as_ref().map_or("", |account| account.email.as_str());
    let leads_to = leads_to(&server, &browser, &asked.to).await;
    form(&pages, &browser, StatusCode::OK, (&asked, email, None, leads_to))
}

/// Where the form ends, when a client is waiting: its user may be sent there without another page.
async fn leads_to(server: &AuthorizationServer, browser: &Browser, to: &Destination) -> Option<String> {
    let (_, transaction) = to.as_str().split_once(&format!("{}/", path::AUTHORIZE))?;
    // without it the page is the same, but for one address in its policy
    server.returns_to(transaction, browser.binding.hash()).await.ok().flatten()
}

type Shown<'a> = (&'a Asked, &'a str, Option<&'a str>, Option<String>);

fn form(pages: &Pages, browser: &Browser, status: StatusCode, what: Shown<'_>) -> Response {
    let (asked, email, problem, leads_to) = what;
    let (to, again) = (asked.to.as_str(), asked.again && browser.signed_in.is_some());
    let login = Login { shell: pages.shell(browser), email, to, again, problem };
    pages.leading(browser, (status, &login), leads_to.as_deref())
}

/// An address and a password.
pub async fn post(
    State(pages): State<Pages>,
    State(identity): State<Identity>,
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    posted: Posted,
) -> Response {
    let mut attempt = metrics.login_attempt();
    let Posted { browser, form: fields } = posted;
    let pairs = ["to", "again"].into_iter().filter_map(|name| Some((name.into(), fields.get(name)?.into())));
    let asked = Asked::read(&pages, pairs);
    let email = fields.get("email").unwrap_or_default();
    let (false, Some(password)) = (email.is_empty(), fields.get("password").map(SecretText::new)) else {
        attempt.end(Outcome::Invalid);
        let problem = Some("Type your e-mail address and your password.");
        let leads_to = leads_to(&server, &browser, &asked.to).await;
        return form(&pages, &browser, StatusCode::BAD_REQUEST, (&asked, email, problem, leads_to));
    };
    let knock = Knock {
        email,
        password: &password,
        source: browser.source,
        user_agent: &browser.user_agent,
        cookie: browser.cookie.as_ref(),
    };
    match identity.sign_in(&knock).await {
        Ok(entered) => {
            attempt.end(Outcome::Success);
            let mut response = pages.see_other(&browser, asked.to.as_str());
            pages.set_cookie(&mut response, CookieName::Session, &entered.cookie);
            let who = Some(entered.signed_in.user_id);
            response.extensions_mut().insert(Told::Login { who, outcome: "success" });
            response
        }
        Err(Error::Mismatch) => {
            attempt.end(Outcome::Denied);
            let problem = Some("E-mail address and password do not match. Check both, and try again.");
            let leads_to = leads_to(&server, &browser, &asked.to).await;
            let mut response = form(&pages, &browser, StatusCode::FORBIDDEN, (&asked, email, problem, leads_to));
            response.extensions_mut().insert(Told::Login { who: None, outcome: "denied" });
            response
        }
        Err(Error::Locked { retry_after }) => {
            attempt.end(Outcome::Denied);
            metrics.login_locked_out();
            locked(&pages, retry_after)
        }
        Err(error) => {
            attempt.end(Outcome::Error);
            failure(&pages, error)
        }
    }
}

/// The answer to who must wait, whoever it is and whatever was typed.
pub(super) fn locked(pages: &Pages, retry_after: Duration) -> Response {
    let minutes = retry_after.as_secs().div_ceil(60);
    let wait = if minutes == 1 { "in a minute".to_owned() } else { format!("in {minutes} minutes") };
    let text = format!("There were too many failed attempts. Try again {wait}.");
    let seconds = retry_after.as_secs() + 1;
    let mut response = pages.retry(StatusCode::TOO_MANY_REQUESTS, "Please wait", &text, seconds);
    response.extensions_mut().insert(Told::RateLimited { seconds });
    response
}

/// The answer when the room could not do what it was asked.
pub(super) fn failure(pages: &Pages, error: Error) -> Response {
    match error {
        Error::Unavailable(_) => pages.unavailable(),
        Error::Busy => {
            let text = "Many people are signing in at this moment. Wait a little, then try again.";
            pages.retry(StatusCode::SERVICE_UNAVAILABLE, "One moment, please", text, 5)
        }
        error => pages.fault(chain(&error)),
    }
}

/// Ends this browser's session with all that it began, and gives the browser a new name.
pub async fn out(State(pages): State<Pages>, State(identity): State<Identity>, posted: Posted) -> Response {
    let Posted { mut browser, .. } = posted;
    let who = match &browser.signed_in {
        Some(signed_in) => match identity.sign_out(signed_in).await {
            Ok(()) => Some(signed_in.user_id.clone()),
            Err(error) => return failure(&pages, error),
        },
        None => None,
    };
    if let Err(error) = browser.renew(&identity) {
        return failure(&pages, error);
    }
    let mut response = pages.see_other(&browser, &pages.path(LOGIN));
    pages.forget_cookie(&mut response, CookieName::Session);
    if let Some(who) = who {
        response.extensions_mut().insert(Told::Logout { who });
    }
    response
}

impl Pages {
    /// Where somebody goes who wanted to go nowhere.
    fn home(&self) -> Destination {
        Destination::own(self.path(ACCOUNT))
    }
}
