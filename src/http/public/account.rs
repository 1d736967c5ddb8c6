//! `/account`: the browsers that a person has signed in with and the applications that a person has allowed, each with a
//! way out.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use super::login::failure;
use super::pages::{ACCOUNT, Browser, Destination, Pages, Posted, Shell, shown};
use crate::domain::user::SessionEnd;
use crate::domain::{Actor, SignedIn, chain};
use crate::http::observe::Told;
use crate::identity::{self, Identity};
use crate::metrics::{ConsentRevoker, Metrics};
use crate::oauth::{self, AuthorizationServer, ConsentSummary, Withdraw};

/// Ends one session, below the issuer.
pub const END_SESSION: &str = "/account/end-session";
/// Withdraws one consent, below the issuer.
pub const WITHDRAW: &str = "/account/withdraw";

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    shell: Shell,
    name: String,
    devices: Vec<Device>,
    consents: Vec<Consent>,
}

/// An application that was allowed something, as it is shown.
struct Consent {
    id: String,
    client: String,
    resource: String,
    scopes: String,
    since: String,
    used: String,
}

impl From<ConsentSummary> for Consent {
    fn from(consent: ConsentSummary) -> Self {
        let name_or = |name: &str, id: &str| match shown(name, 80) {
            name if name.is_empty() => shown(id, 80),
            name => name,
        };
        Self {
            client: name_or(&consent.client_name, &consent.client_id),
            resource: name_or(&consent.resource_name, &consent.resource_server_id),
            scopes: shown(&consent.scopes.join(", "), 300),
            since: minute(consent.granted_at),
            used: minute(consent.used_at),
            id: consent.id,
        }
    }
}

/// A browser, as it is shown.
struct Device {
    session_id: String,
    agent: String,
    address: String,
    since: String,
    last_seen: String,
    this: bool,
}

impl Device {
    fn of(device: identity::Device, signed_in: &SignedIn) -> Self {
        Self {
            agent: agent(&device.user_agent),
            address: device.address,
            since: minute(device.created_at),
            last_seen: minute(device.last_seen_at),
            this: device.session_id == signed_in.session_id,
            session_id: device.session_id,
        }
    }
}

/// What a person has here.
pub async fn show(
    State(pages): State<Pages>,
    State(identity): State<Identity>,
    State(server): State<AuthorizationServer>,
    browser: Browser,
) -> Response {
    let (Some(signed_in), Some(account)) = (&browser.signed_in, &browser.account) else {
        return pages.to_login(&browser, &Destination::own(pages.path(ACCOUNT)), false);
    };
    let devices = match identity.devices(Some(&signed_in.user_id)).await {
        Ok(devices) => devices,
        Err(error) => return failure(&pages, error),
    };
    let mut devices: Vec<Device> = devices.into_iter().map(|device| Device::of(device, signed_in)).collect();
    devices.sort_by_key(|device| !device.this);
    let consents = match server.consents(&signed_in.user_id).await {
        Ok(consents) => consents.into_iter().map(Consent::from).collect(),
        Err(error) => return protocol_failure(&pages, &error),
    };
    let page = AccountPage { shell: pages.shell(&browser), name: shown(&account.name, 80), devices, consents };
    pages.page(&browser, StatusCode::OK, &page)
}

/// Signs another browser out, and ends what its session began.
pub async fn end_session(State(pages): State<Pages>, State(identity): State<Identity>, posted: Posted) -> Response {
    let Posted { browser, form } = posted;
    let Some(signed_in) = &browser.signed_in else {
        return pages.to_login(&browser, &Destination::own(pages.path(ACCOUNT)), false);
    };
    let id = form.get("session").unwrap_or_default();
    let by = Actor::user(&signed_in.user_id);
    let ended = identity.end_session(Some(&signed_in.user_id), id, SessionEnd::RevokedRemotely, &by).await;
    let mut response = pages.see_other(&browser, &pages.path(ACCOUNT));
    match ended {
        Ok(Some(_)) => {
            let told = Told::SessionEnded { who: signed_in.user_id.clone(), reason: SessionEnd::RevokedRemotely };
            response.extensions_mut().insert(told);
        }
        // somebody else's, or over already: nothing is different, and nothing is told
        Ok(None) => {}
        Err(error) => return failure(&pages, error),
    }
    response
}

/// Withdraws what was allowed, and ends what came of it.
pub async fn withdraw(
    State(pages): State<Pages>,
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    posted: Posted,
) -> Response {
    let Posted { browser, form } = posted;
    let Some(signed_in) = &browser.signed_in else {
        return pages.to_login(&browser, &Destination::own(pages.path(ACCOUNT)), false);
    };
    let id = form.get("consent").unwrap_or_default();
    let by = Actor::user(&signed_in.user_id);
    let mut response = pages.see_other(&browser, &pages.path(ACCOUNT));
    match server.withdraw_consent(id, Withdraw::Own(&signed_in.user_id), &by).await {
        Ok(Some(_)) => {
            metrics.consent_revoked(ConsentRevoker::User);
            response.extensions_mut().insert(Told::ConsentRevoked { who: signed_in.user_id.clone() });
        }
        // somebody else's, or withdrawn already
        Ok(None) => {}
        Err(error) => return protocol_failure(&pages, &error),
    }
    response
}

fn protocol_failure(pages: &Pages, error: &oauth::Error) -> Response {
    match error {
        oauth::Error::Unavailable(_) => pages.unavailable(),
        error => pages.fault(chain(error)),
    }
}

/// `2026-11-22 09:30 UTC`
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The browser and the system out of what a browser calls itself; what is unknown is shown as it is.
fn agent(user_agent: &str) -> String {
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    // most browsers name others too: the first that fits is the one
    let browser = named(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Vivaldi/", "Vivaldi"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("HeadlessChrome/", "Chrome"),
        ("Chromium/", "Chromium"),
        ("Chrome/", "Chrome"),
        ("Version/", "Safari"),
    ]);
    let system = named(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ if user_agent.is_empty() => "A browser without a name".to_owned(),
        _ => shown(user_agent, 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
        "Chrome on Linux"
    )]
    #[case(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0",
        "Edge on Windows"
    )]
    #[case(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Version/18.0 Mobile Safari/604.1",
        "Safari on iPhone"
    )]
    #[case("Mozilla/5.0 (Macintosh; Intel Mac OS X 15.0; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on macOS")]
    #[case("curl/8", "curl/8")]
    #[case("", "A browser without a name")]
    fn a_browser_has_a_name(#[case] user_agent: &str, #[case] name: &str) {
        assert_eq!(agent(user_agent), name);
    }
}
