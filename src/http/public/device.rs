//! `/device`: somebody types the code that a device shows, looks at who asks for what, and decides.
//!
//! A link with the code in it fills in the form and does nothing else: whoever sent it may be at the device (RFC 8628
//! §5.4), so what is asked for, by whom and from where is shown before anything can be allowed.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use crate::domain::chain;

use super::pages::{Browser, Destination, Pages, Posted, Shell, shown};
use crate::http::observe::Told;
use crate::metrics::{ConsentDecision, ConsentFlow, DeviceOutcome, Metrics};
use crate::oauth::{AuthorizationServer, DevicePrompt, Error, path};

#[derive(Template)]
#[template(path = "device.html")]
struct Enter<'a> {
    shell: Shell,
    code: &'a str,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "device_confirm.html")]
struct Confirm {
    shell: Shell,
    code: String,
    client: String,
    client_id: String,
    resource: String,
    resource_uri: String,
    scopes: Vec<Described>,
    source: String,
    since: String,
    stays: bool,
}

/// A scope as people read it.
struct Described {
    text: String,
    name: String,
    risky: bool,
}

#[derive(Template)]
#[template(path = "device_done.html")]
struct Done {
    shell: Shell,
    approved: bool,
}

/// A form for the code.
pub async fn show(State(pages): State<Pages>, RawQuery(query): RawQuery, browser: Browser) -> Response {
    let code = code_in(query.as_deref().unwrap_or_default());
    if browser.signed_in.is_none() {
        let to = match &code {
            Some(code) => format!("{}?user_code={code}", pages.path(path::DEVICE)),
            None => pages.path(path::DEVICE),
        };
        return pages.to_login(&browser, &Destination::own(to), false);
    }
    enter(&pages, &browser, StatusCode::OK, (code.as_deref().unwrap_or_default(), None))
}

/// The code in a link, when it can be one.
fn code_in(query: &str) -> Option<String> {
    let found = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "user_code");
    let code = found.map(|(_, code)| code.into_owned())?;
    let plain = (1..=16).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    plain.then_some(code)
}

fn enter(pages: &Pages, browser: &Browser, status: StatusCode, (code, problem): (&str, Option<&str>)) -> Response {
    pages.page(browser, status, &Enter { shell: pages.shell(browser), code, problem })
}

/// A code, and after it has been shown what it stands for, a decision.
pub async fn post(
    State(pages): State<Pages>,
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    posted: Posted,
) -> Response {
    let Posted { browser, form } = posted;
    let Some(signed_in) = &browser.signed_in else {
        return pages.to_login(&browser, &Destination::own(pages.path(path::DEVICE)), false);
    };
    let code = form.get("user_code").unwrap_or_default();
    let approved = match form.get("decision") {
        None => {
            return match server.device_prompt(signed_in, code, browser.source).await {
                Ok(prompt) => confirm(&pages, &browser, prompt),
                Err(error) => problem(&pages, &metrics, (&browser, code), error),
            };
        }
        Some(decision) => decision == "allow",
    };
    match server.decide_device(signed_in, code, approved, browser.source).await {
        Ok(decided) => {
            metrics.device_decided(decided.approved, decided.took.as_secs_f64());
            let decision = if approved { ConsentDecision::Granted } else { ConsentDecision::Denied };
            metrics.consent_decided(decision, ConsentFlow::DeviceCode);
            let mut response = pages.page(
                &browser,
                StatusCode::OK,
                &Done { shell: pages.shell(&browser), approved: decided.approved },
            );
            let (who, client_id) = (signed_in.user_id.clone(), decided.client_id);
            response.extensions_mut().insert(Told::ConsentDecided { who, client_id, outcome: decision });
            response
        }
        Err(error) => problem(&pages, &metrics, (&browser, code), error),
    }
}

fn confirm(pages: &Pages, browser: &Browser, prompt: DevicePrompt) -> Response {
    let describe = |scope: crate::domain::resource_server::Scope| Described {
        text: shown(if scope.description.is_empty() { &scope.name } else { &scope.description }, 200),
        risky: scope.risk == "High",
        name: scope.name,
    };
    let page = Confirm {
        shell: pages.shell(browser),
        code: prompt.user_code,
        client: shown(&prompt.client_name, 80),
        client_id: shown(&prompt.client_id, 120),
        resource: shown(&prompt.resource_name, 80),
        resource_uri: prompt.resource_uri,
        scopes: prompt.scopes.into_iter().map(describe).collect(),
        source: prompt.source,
        since: minute(prompt.asked_at),
        stays: prompt.stays,
    };
    pages.page(browser, StatusCode::OK, &page)
}

/// `2026-11-22 09:30 UTC`
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn problem(pages: &Pages, metrics: &Metrics, (browser, code): (&Browser, &str), error: Error) -> Response {
    let Some(reason) = error.refusal() else {
        return match error {
            Error::Unavailable(_) => pages.unavailable(),
            error => pages.fault(chain(&error)),
        };
    };
    metrics.denied(None, reason);
    let mut response = match (&error, reason.code()) {
        (Error::Limited { retry_after }, _) => {
            let seconds = retry_after.as_secs() + 1;
            let text = "There were too many tries. Wait a minute, look at the device, and type its code again.";
            pages.retry(StatusCode::TOO_MANY_REQUESTS, "Please wait", text, seconds)
        }
        (_, "expired_token") => {
            metrics.device_code(DeviceOutcome::WrongCode);
            let text = "No device waits with that code. Codes are good for a few minutes and for one person only: \
                        compare it with the device, or let the device show a new one.";
            enter(pages, browser, StatusCode::BAD_REQUEST, (&shown(code, 16), Some(text)))
        }
        (_, "access_denied") => {
            let text = "Your account has no role at this resource that gives any of what the device asks for. \
                        Whoever runs it can change that.";
            pages.problem(StatusCode::FORBIDDEN, "That is not yours to give", text)
        }
        _ => {
            let text = "What the device asks for is not available to it any more.";
            pages.problem(StatusCode::BAD_REQUEST, "That cannot be allowed", text)
        }
    };
    response.extensions_mut().insert(Told::of(error));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("user_code=WDJB-MJHT", Some("WDJB-MJHT"))]
    #[case("a=b&user_code=wdjbmjht", Some("wdjbmjht"))]
    #[case("user_code=%3Cscript%3E", None)]
    #[case("user_code=AB%26to=//evil", None)]
    #[case("user_code=AAAAAAAAAAAAAAAAA", None)]
    #[case("", None)]
    fn a_link_carries_a_code_or_nothing(#[case] query: &str, #[case] code: Option<&str>) {
        assert_eq!(code_in(query).as_deref(), code);
    }
}
