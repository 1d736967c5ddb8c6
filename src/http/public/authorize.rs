//! `/oauth/authorize`: a browser that a client has sent, and what becomes of it.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::chain;

use super::consent;
use super::pages::{Browser, Pages, Posted};
use crate::domain::authorize::Parameters;
use crate::domain::refusal::Refusal;
use crate::http::extract::{is_form, read};
use crate::http::observe::Told;
use crate::metrics::{self, AuthorizeTimer, ConsentDecision, ConsentFlow, Metrics, Outcome};
use crate::oauth::{AuthorizationServer, Choice, Decision, Error, Progress, Return, Visitor, pairs, path};

/// What every step answers with.
pub struct Step {
    server: AuthorizationServer,
    pages: Pages,
    metrics: Arc<Metrics>,
    timer: AuthorizeTimer,
    browser: Browser,
}

/// A request by its query.
pub async fn get(
    State(server): State<AuthorizationServer>,
    State(pages): State<Pages>,
    State(metrics): State<Arc<Metrics>>,
    browser: Browser,
    RawQuery(query): RawQuery,
) -> Response {
    let timer = metrics.authorize_request();
    let step = Step { server, pages, metrics, timer, browser };
    let parameters = match pairs(query.unwrap_or_default().as_bytes()) {
        Ok(pairs) => Parameters::new(pairs),
        Err(reason) => return step.refused(reason, None, None),
    };
    let progress = step.server.authorize(parameters, &visitor(&step.browser)).await;
    step.answer(progress)
}

/// A request by its body (OIDC Core §3.1.2.1) comes again by its query: from another site no browser shows its cookies
/// with a POST, and would be taken for a new one.
pub async fn post(State(server): State<AuthorizationServer>, State(pages): State<Pages>, request: Request) -> Response {
    let bad = |status, text| pages.problem(status, "That request cannot be read", text);
    let (parts, body) = request.into_parts();
    if !is_form(&parts.headers) {
        return bad(StatusCode::BAD_REQUEST, "The application sent something that is no form.");
    }
    let body = match read(body).await {
        Ok(body) => body,
        Err(answer) => return bad(answer.status(), "What was sent is too large, or did not arrive in time."),
    };
    let Ok(pairs) = pairs(&body) else {
        return bad(StatusCode::BAD_REQUEST, "Something in the request cannot be understood.");
    };
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.len() > MAX_QUERY {
        return bad(StatusCode::PAYLOAD_TOO_LARGE, "The application sent too much.");
    }
    pages.onward(&format!("{}{}?{query}", server.base_path(), path::AUTHORIZE))
}

/// A request that waits for its user, below the issuer.
pub const TRANSACTION: &str = "/oauth/authorize/{transaction}";

/// Longer queries are not sent back: the head of a request is limited as well.
const MAX_QUERY: usize = 24 * 1024;

/// The same request after the sign-in, or again.
pub async fn resume(
    State(server): State<AuthorizationServer>,
    State(pages): State<Pages>,
    State(metrics): State<Arc<Metrics>>,
    browser: Browser,
    Path(transaction): Path<String>,
) -> Response {
    let timer = metrics.authorize_request();
    let step = Step { server, pages, metrics, timer, browser };
    let progress = step.server.resume(&transaction, &visitor(&step.browser)).await;
    step.answer(progress)
}

/// The user's answer.
pub async fn choose(
    State(server): State<AuthorizationServer>,
    State(pages): State<Pages>,
    State(metrics): State<Arc<Metrics>>,
    Path(transaction): Path<String>,
    posted: Posted,
) -> Response {
    let timer = metrics.authorize_request();
    let Posted { browser, form } = posted;
    let step = Step { server, pages, metrics, timer, browser };
    let allow = match form.get("decision") {
        Some("allow") => true,
        Some("deny") => false,
        _ => return step.refused(Refusal::Malformed("decision is missing"), None, None),
    };
    let choice = Choice { allow, digest: form.get("shown").unwrap_or_default() };
    let progress = step.server.choose(&transaction, choice, &visitor(&step.browser)).await;
    step.answer(progress)
}

fn visitor(browser: &Browser) -> Visitor<'_> {
    Visitor { signed_in: browser.signed_in.as_ref(), binding: browser.binding.hash(), source: browser.source }
}

impl Step {
    fn answer(self, progress: Result<Progress, Error>) -> Response {
        match progress {
            Ok(Progress::Return(answer)) => self.returned(answer),
            Ok(Progress::Consent(page)) => {
                self.timer.end(Outcome::Success);
                consent::page(&self.pages, &self.browser, &page)
            }
            Ok(Progress::SignIn { transaction, again }) => {
                self.timer.end(Outcome::Success);
                let place = format!("{}{}/{}", self.server.base_path(), path::AUTHORIZE, transaction.expose());
                match self.pages.destination(&place) {
                    Some(place) => self.pages.to_login(&self.browser, &place, again),
                    None => self.pages.fault("a transaction has no path".to_owned()),
                }
            }
            Ok(Progress::Refused(refused)) => self.refused(refused.reason, refused.client_id, refused.back),
            Err(error) => self.failed(error),
        }
    }

    fn returned(self, answer: Return) -> Response {
        let Return { url, client_id, user_id, outcome } = answer;
        let decided = match outcome {
            Ok(Decision::Granted) => Some(ConsentDecision::Granted),
            Ok(Decision::Implicit) => Some(ConsentDecision::Implicit),
            Err(Refusal::ConsentDenied) => Some(ConsentDecision::Denied),
            Ok(Decision::Remembered) | Err(_) => None,
        };
        self.timer.end(outcome.map_or_else(kind, |_| Outcome::Success));
        let mut response = self.pages.see_other(&self.browser, &url);
        if let Some(decision) = decided {
            self.metrics.consent_decided(decision, ConsentFlow::AuthorizationCode);
            let who = user_id.unwrap_or_default();
            response.extensions_mut().insert(Told::ConsentDecided { who, client_id, outcome: decision });
        } else if let Err(reason) = outcome {
            self.metrics.denied(None, reason);
            response.extensions_mut().insert(Told::Denied { client_id: Some(client_id), reason: reason.as_str() });
        }
        response
    }

    /// A page, and no redirect.
    fn refused(self, reason: Refusal, client_id: Option<String>, back: Option<String>) -> Response {
        self.timer.end(kind(reason));
        self.metrics.denied(None, reason);
        let mut response = consent::refused(&self.pages, &self.browser, reason, back.as_deref());
        response.extensions_mut().insert(Told::Denied { client_id, reason: reason.as_str() });
        response
    }

    fn failed(self, error: Error) -> Response {
        let pages = self.pages;
        match error {
            Error::Refused { .. } => {
                self.timer.end(Outcome::Invalid);
                pages.fault(chain(&error))
            }
            Error::Limited { retry_after } => {
                self.timer.end(Outcome::Denied);
                let seconds = retry_after.as_secs() + 1;
                let text = "There were too many requests that could not be answered. Wait a moment, then try again.";
                let mut response = pages.retry(StatusCode::TOO_MANY_REQUESTS, "Please wait", text, seconds);
                response.extensions_mut().insert(Told::RateLimited { seconds });
                response
            }
            Error::Unavailable(_) => {
                self.timer.end(Outcome::Error);
                pages.unavailable()
            }
            error => {
                self.timer.end(Outcome::Error);
                pages.fault(chain(&error))
            }
        }
    }
}

/// How a refusal counts.
fn kind(reason: Refusal) -> Outcome {
    match reason.code() {
        "invalid_request" | "unsupported_response_type" | "request_not_supported" | "request_uri_not_supported" => {
            metrics::Outcome::Invalid
        }
        _ => Outcome::Denied,
    }
}
