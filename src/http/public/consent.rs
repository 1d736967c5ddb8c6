//! The page that asks for consent, and the one that says why there is nothing to consent to.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::pages::{Browser, Pages, Shell, shown};
use crate::domain::client::Origin;
use crate::domain::redirect;
use crate::domain::refusal::Refusal;
use crate::domain::resource_server::Scope;
use crate::oauth::ConsentPage;

#[derive(Template)]
#[template(path = "consent.html")]
struct Consent<'a> {
    shell: Shell,
    page: &'a ConsentPage,
    client: String,
    /// Of a client that is described at its own id.
    client_host: Option<String>,
    resource: String,
    scopes: Vec<Line<'a>>,
}

/// A scope.
struct Line<'a> {
    name: &'a str,
    text: String,
    high: bool,
}

/// The longest name that is shown whole, in characters.
const NAME: usize = 80;
const DESCRIPTION: usize = 200;

/// M-11, M-13
pub fn page<'a>(pages: &Pages, browser: &Browser, page: &'a ConsentPage) -> Response {
    let name_or = |name: &str, other: &str| {
        let name = shown(name, NAME);
        if name.is_empty() { shown(other, NAME) } else { name }
    };
    let line = |scope: &'a Scope| {
        let text = shown(&scope.description, DESCRIPTION);
        Line {
            name: &scope.name,
            text: if text.is_empty() { scope.name.clone() } else { text },
            high: scope.risk == "High",
        }
    };
    let scopes = page.scopes.iter().map(line).collect();
    let client_host = (page.origin == Origin::Document).then(|| redirect::shown(&page.client_id).to_owned());
    let template = Consent {
        shell: pages.shell(browser),
        client: name_or(&page.client_name, &page.client_id),
        client_host,
        resource: name_or(&page.resource_name, &page.resource_uri),
        scopes,
        page,
    };
    pages.leading(browser, (StatusCode::OK, &template), Some(&page.redirect_uri))
}

#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    shell: Shell,
    title: &'a str,
    text: &'a str,
    code: &'a str,
    description: &'a str,
    back: Option<&'a str>,
    host: &'a str,
}

/// Why nothing comes of a request. Of the request itself nothing is repeated.
pub fn refused(pages: &Pages, browser: &Browser, reason: Refusal, back: Option<&str>) -> Response {
    let (status, title, text) = words(reason);
    let template = Refused {
        shell: pages.shell(browser),
        title,
        text,
        code: reason.code(),
        description: reason.description(),
        back,
        host: back.map_or("", redirect::shown),
    };
    pages.page(browser, status, &template)
}

fn words(reason: Refusal) -> (StatusCode, &'static str, &'static str) {
    let bad = StatusCode::BAD_REQUEST;
    match reason {
        Refusal::UnknownClient => (
            bad,
            "This application is not known here",
            "It was removed, or it has not been used for so long that it was forgotten. Remove this server in the \
             application and add it again; that registers it anew.",
        ),
        Refusal::InvalidRedirect => (
            bad,
            "You will not be sent on",
            "The application wants you to be sent to an address that it has not registered. It may be set up wrongly, \
             or the link that brought you here is not genuine.",
        ),
        Refusal::RequestOver => (
            bad,
            "This page is out of date",
            "It was opened in another browser, it waited too long, or it was answered already. Go back to the \
             application and begin again.",
        ),
        Refusal::InvalidRequestUri => (
            bad,
            "This link is out of date",
            "It can be used once, and soon. Go back to the application and begin again.",
        ),
        Refusal::NoRole => (
            StatusCode::FORBIDDEN,
            "You have no access",
            "Nobody has given you a role that allows what the application asks for. Ask whoever runs it.",
        ),
        _ => (
            bad,
            "The application asked for something that it cannot have",
            "Nothing was granted. Whoever made the application can do something with the line below.",
        ),
    }
}
