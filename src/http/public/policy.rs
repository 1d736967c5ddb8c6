//! `GET /v1/resource-servers/{id}/policy`: the policy as it is, as soon as it changes, or as a stream of changes.
//!
//! An enforcement point says which version it runs in one way: the `If-None-Match` of its next request, with its own name
//! in `Holdfast-Enforcement-Point`. Whoever listens to the stream asks once after each event, and once in a while.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, sleep, sleep_until};

use crate::activity::{Activity, Place, PolicyDocument};
use crate::domain::enforcement::{Instance, PolicyTag};
use crate::domain::refusal::Refusal;
use crate::http::extract::source;
use crate::http::respond;
use crate::metrics::{Metrics, Refresh};
use crate::oauth::{self, Acting, AuthorizationServer};

/// The longest that a request may ask to wait, in seconds: below the minute after which proxies lose patience.
const LONGEST: u64 = 55;
/// A stream that says nothing says so.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How soon a stream that broke is opened again.
const RETRY: Duration = Duration::from_secs(5);
/// The name of an enforcement point.
const POINT: HeaderName = HeaderName::from_static("holdfast-enforcement-point");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

pub async fn get(
    State(server): State<AuthorizationServer>,
    State(activity): State<Activity>,
    State(metrics): State<Arc<Metrics>>,
    id: Result<Path<String>, PathRejection>,
    request: Parts,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let acting = match acting(&server, &id, &request).await {
        Ok(acting) => acting,
        Err(error) => {
            let outcome = if error.refusal().is_some() { Refresh::Denied } else { Refresh::Error };
            metrics.policy_refreshed(outcome);
            return refused(&metrics, error);
        }
    };
    let ask = match Ask::read(request.uri.query(), &request.headers) {
        Ok(ask) => ask,
        Err(problem) => {
            metrics.policy_refreshed(Refresh::Invalid);
            return respond::error(StatusCode::BAD_REQUEST, "invalid_request", problem);
        }
    };
    if let (Some(instance), Some(tag)) = (ask.instance.clone(), ask.running()) {
        activity.report(&id, instance, tag, acting.actor());
    }
    let listener = Listener { server, activity, metrics, id, acting };
    if ask.stream { listener.stream(ask) } else { listener.poll(&ask).await }
}

/// Whoever may act as this resource server.
pub(super) async fn acting(server: &AuthorizationServer, id: &str, request: &Parts) -> Result<Acting, oauth::Error> {
    let authorization = request.headers.get_all(header::AUTHORIZATION);
    let authorization: Vec<&[u8]> = authorization.iter().map(|value| value.as_bytes()).collect();
    server.acting(&authorization, id, source(&request.extensions)).await
}

/// 401 names both ways to authenticate; 403 tells nothing of whether there is such a resource server.
pub(super) fn refused(metrics: &Metrics, error: oauth::Error) -> Response {
    if let Some(reason) = error.refusal() {
        metrics.denied(None, reason);
    }
    let mut response = respond::oauth(error);
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"holdfast\""));
    }
    response
}

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Ask {
    wait: Duration,
    stream: bool,
    instance: Option<Instance>,
    /// Entity tags that the sender holds, without their quotes; `*` is any.
    held: Vec<String>,
    /// What a stream ended with.
    last_event: Option<String>,
}

impl Ask {
    fn read(query: Option<&str>, headers: &HeaderMap) -> Result<Self, &'static str> {
        let mut wait = None;
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if name != "wait" || wait.is_some() {
                return Err("the only parameter is wait, once");
            }
            let seconds = value.parse::<u64>().ok().filter(|seconds| *seconds <= LONGEST);
            wait = Some(seconds.ok_or("wait must be 0 to 55, in seconds")?);
        }
        let instance = point(headers)?;
        let last_event = match one(headers, &LAST_EVENT) {
            (Some(Some(text)), true) => Some(text.to_owned()),
            _ => None,
        };
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut kinds = accepted.flat_map(|list| list.split(',')).filter_map(|kind| kind.split(';').next());
        let stream = kinds.any(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"));
        let wait = Duration::from_secs(wait.unwrap_or_default());
        Ok(Self { wait, stream, instance, held: tags(headers, &header::IF_NONE_MATCH), last_event })
    }

    /// What the sender runs: the one policy that it holds.
    fn running(&self) -> Option<PolicyTag> {
        let [held] = self.held.as_slice() else { return None };
        PolicyTag::parse(held)
    }

    fn holds(&self, tag: &str) -> bool {
        self.held.iter().any(|held| held == "*" || held == tag)
    }
}

/// The first value of a header, as far as it is text, and whether it is the only one.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> (Option<Option<&'a str>>, bool) {
    let mut values = headers.get_all(name).iter().map(|value| value.to_str().ok());
    (values.next(), values.next().is_none())
}

/// What the enforcement point that sends this calls itself.
pub(super) fn point(headers: &HeaderMap) -> Result<Option<Instance>, &'static str> {
    match one(headers, &POINT) {
        (None, _) => Ok(None),
        (Some(Some(text)), true) => Instance::parse(text).map(Some).ok_or(BAD_POINT),
        _ => Err(BAD_POINT),
    }
}

const BAD_POINT: &str = "Holdfast-Enforcement-Point must be 1 to 128 letters, digits and . _ -";

/// The entity tags that a header lists, without quotes; weakness makes no difference here (RFC 9110 §13.1.2).
pub(super) fn tags(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lists = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let tags = lists.flat_map(|list| list.split(',')).map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'));
    tags.map(str::to_owned).collect()
}

/// Somebody who asks for one policy.
struct Listener {
    server: AuthorizationServer,
    activity: Activity,
    metrics: Arc<Metrics>,
    id: String,
    acting: Acting,
}

impl Listener {
    async fn poll(&self, ask: &Ask) -> Response {
        let deadline = Instant::now() + ask.wait;
        let mut place: Option<Place> = None;
        loop {
            // gone meanwhile: nothing else is told than of one that never was
            let Some(document) = self.activity.policy(&self.id) else { return self.denied() };
            if !ask.holds(&document.tag.to_string()) {
                return self.told(Refresh::Success, policy(&document));
            }
            if ask.wait.is_zero() {
                return self.told(Refresh::Unchanged, unchanged(&document));
            }
            let Some(place) = &mut place else {
                match self.activity.wait(&self.id) {
                    // once more, since it may have changed before there was a place
                    Ok(taken) => place = Some(taken),
                    Err(_) => return self.too_many(),
                }
                continue;
            };
            let over = tokio::select! {
                () = sleep_until(deadline) => true,
                more = place.woken() => !more,
            };
            if !self.server.still_acts(&self.acting).await {
                return self.denied();
            }
            if over {
                return self.told(Refresh::Unchanged, unchanged(&document));
            }
        }
    }

    fn stream(self, ask: Ask) -> Response {
        let place = match self.activity.wait(&self.id) {
            Ok(place) => place,
            Err(_) => return self.too_many(),
        };
        let held = ask.last_event.or_else(|| ask.held.into_iter().next());
        let stream = Stream { listener: self, place, held, begun: false };
        let events = futures::stream::unfold(stream, |mut stream| async {
            let event = stream.next().await?;
            Some((Ok::<_, Infallible>(event), stream))
        });
        let mut response = Sse::new(events).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // proxies that gather answers would sit on events
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    fn told(&self, outcome: Refresh, response: Response) -> Response {
        self.metrics.policy_refreshed(outcome);
        response
    }

    fn denied(&self) -> Response {
        self.metrics.policy_refreshed(Refresh::Denied);
        refused(&self.metrics, Refusal::NotItsRuntime.into())
    }

    fn too_many(&self) -> Response {
        self.told(Refresh::Error, respond::unavailable("too many requests wait for this policy; ask without waiting"))
    }
}

/// One open stream.
struct Stream {
    listener: Listener,
    place: Place,
    /// The tag of what was sent last, or held before.
    held: Option<String>,
    begun: bool,
}

impl Stream {
    /// The next event; `None` ends the stream: the process is on its way out, or who listens may no longer.
    async fn next(&mut self) -> Option<Event> {
        let Listener { server, activity, metrics, id, acting } = &self.listener;
        loop {
            let document = activity.policy(id)?;
            let tag = document.tag.to_string();
            if self.held.as_deref() != Some(&tag) {
                metrics.policy_refreshed(Refresh::Success);
                let event = Event::default().event("policy").id(&tag).data(String::from_utf8_lossy(&document.bytes));
                self.held = Some(tag);
                let event = if self.begun { event } else { event.retry(RETRY) };
                self.begun = true;
                return Some(event);
            }
            let quiet = tokio::select! {
                () = sleep(HEARTBEAT) => true,
                more = self.place.woken() => if more { false } else { return None },
            };
            if !server.still_acts(acting).await {
                return None;
            }
            if quiet {
                return Some(Event::default().comment("still here"));
            }
        }
    }
}

fn policy(document: &PolicyDocument) -> Response {
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    tagged((json, document.bytes.clone()).into_response(), document)
}

fn unchanged(document: &PolicyDocument) -> Response {
    tagged(StatusCode::NOT_MODIFIED.into_response(), document)
}

fn tagged(mut response: Response, document: &PolicyDocument) -> Response {
    let headers = response.headers_mut();
    let kept = format!("private, max-age={}", document.ttl_seconds);
    for (name, text) in [(header::CACHE_CONTROL, kept), (header::ETAG, format!("\"{}\"", document.tag))] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[rstest::rstest]
    #[case::nothing(None, &[], Ok(()))]
    #[case::longest(Some("wait=55"), &[], Ok(()))]
    #[case::too_long(Some("wait=56"), &[], Err("wait must be 0 to 55, in seconds"))]
    #[case::no_number(Some("wait=-1"), &[], Err("wait must be 0 to 55, in seconds"))]
    #[case::twice(Some("wait=1&wait=2"), &[], Err("the only parameter is wait, once"))]
    #[case::unknown(Some("watch=true"), &[], Err("the only parameter is wait, once"))]
    #[case::point(None, &[("holdfast-enforcement-point", "pod-0")], Ok(()))]
    #[case::strange_point(None, &[("holdfast-enforcement-point", "pod 0")], Err(BAD_POINT))]
    fn a_request_is_read_strictly(
        #[case] query: Option<&str>,
        #[case] pairs: &[(&'static str, &'static str)],
        #[case] expected: Result<(), &'static str>,
    ) {
        assert_eq!(Ask::read(query, &headers(pairs)).map(drop), expected);
    }

    #[test]
    fn one_tag_of_ours_is_what_somebody_runs() {
        let running = |tag| Ask::read(None, &headers(&[("if-none-match", tag)])).unwrap().running();
        let expected = PolicyTag { version: 17, hash: "abcdefghij_-0123".to_owned() };
        assert_eq!(running("\"17-abcdefghij_-0123\""), Some(expected.clone()));
        assert_eq!(running("W/\"17-abcdefghij_-0123\""), Some(expected));
        assert_eq!(running("\"17-abcdefghij_-0123\", \"18-abcdefghij_-0123\""), None);
        assert_eq!(running("*"), None);
    }
}
