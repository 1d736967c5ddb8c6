//! Stands between an operator and the API server, knows what is asked, and answers as it is told to. Every request is
//! recorded.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Router, extract};
use futures::StreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use kube::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::Service;

/// What is asked of the API server.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: Method,
    /// With the query.
    pub path: String,
    /// `oauthclients`, `secrets`, `leases`, …
    pub resource: String,
    pub name: String,
    /// `status`, or nothing.
    pub part: String,
    pub watch: bool,
    pub body: Bytes,
}

impl Ask {
    pub fn writes(&self) -> bool {
        self.method != Method::GET
    }

    /// A write of what the operator keeps for others: of anything but its Lease.
    pub fn has_effect(&self) -> bool {
        self.writes() && self.resource != "leases"
    }

    pub fn lists(&self) -> bool {
        !self.writes() && !self.watch && self.name.is_empty()
    }

    /// What is written.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A request and what became of it.
#[derive(Debug, Clone)]
pub struct Call {
    pub ask: Ask,
    pub at: Instant,
    /// The API server's own answer, or the proxy's; 0 = none was given.
    pub status: u16,
    /// It was carried out.
    pub heard: bool,
}

type Effect = Arc<dyn Fn() + Send + Sync>;

/// What happens to a request.
#[derive(Clone)]
pub enum Fault {
    /// The proxy answers, and the API server hears nothing.
    Answer { status: u16, reason: &'static str, retry_after: Option<u64> },
    /// This body is answered.
    Body(Bytes),
    /// The connection is closed, and the API server hears nothing.
    Unheard,
    /// It is carried out, and then the connection is closed.
    Lost,
    /// As `Lost`, and something happens before anybody can find out.
    Crash(Effect),
    /// Nothing is ever said, and the API server hears nothing: a connection of which one end is gone.
    Silent,
    /// It waits first. It is carried out even when nobody waits for the answer any more.
    Late(Duration),
    /// A watch that begins, and says nothing for ever.
    Still,
    /// A watch that begins, and ends.
    Ends,
    /// A watch that begins, and breaks in the middle of an event.
    Torn,
    /// A watch that begins, and says that it is too old.
    Gone,
    /// A watch without bookmarks.
    Unmarked,
}

impl Fault {
    pub fn answer(status: u16, reason: &'static str) -> Self {
        Self::Answer { status, reason, retry_after: None }
    }
}

type Matches = Box<dyn Fn(&Ask) -> bool + Send + Sync>;

struct Rule {
    fault: Fault,
    matches: Matches,
    /// Of those that match, each n-th.
    every: usize,
    seen: AtomicUsize,
    hits: AtomicUsize,
}

/// A fault that holds until it is lifted.
pub struct Standing {
    rule: Arc<Rule>,
    shared: Arc<Shared>,
}

impl Standing {
    /// How many requests it has met.
    pub fn hits(&self) -> usize {
        self.rule.hits.load(Ordering::SeqCst)
    }

    pub fn lift(self) -> usize {
        self.shared.rules.lock().unwrap().retain(|rule| !Arc::ptr_eq(rule, &self.rule));
        self.hits()
    }
}

/// What is done to the watches that are open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Streams {
    Flow,
    End,
    Tear,
    Still,
}

struct Shared {
    upstream: Client,
    rules: Mutex<Vec<Arc<Rule>>>,
    calls: Mutex<Vec<Call>>,
    streams: watch::Sender<(u64, Streams)>,
}

/// The proxy, until it is dropped.
pub struct Proxy {
    /// Where it listens, with plain HTTP on loopback.
    pub url: String,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// What makes the connection be closed without an answer.
#[derive(Clone)]
struct Severed;

impl Proxy {
    /// In front of the API server that `upstream` speaks to, with its rights.
    pub async fn before(upstream: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (rules, calls) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { upstream, rules, calls, streams: watch::Sender::new((0, Streams::Flow)) });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(listen(listener, router)));
        Self { url, shared, _stop: stop.drop_guard() }
    }

    /// From now on this happens to what matches.
    pub fn fault(&self, fault: Fault, matches: impl Fn(&Ask) -> bool + Send + Sync + 'static) -> Standing {
        self.every(1, fault, matches)
    }

    /// From now on this happens to each `every`-th of what matches.
    pub fn every(
        &self,
        every: usize,
        fault: Fault,
        matches: impl Fn(&Ask) -> bool + Send + Sync + 'static,
    ) -> Standing {
        let (seen, hits) = Default::default();
        let rule = Arc::new(Rule { fault, matches: Box::new(matches), every, seen, hits });
        self.shared.rules.lock().unwrap().push(Arc::clone(&rule));
        Standing { rule, shared: Arc::clone(&self.shared) }
    }

    /// All watches that are open end.
    pub fn end_watches(&self) {
        self.to_streams(Streams::End);
    }

    /// All watches that are open break in the middle of an event.
    pub fn tear_watches(&self) {
        self.to_streams(Streams::Tear);
    }

    /// All watches that are open stay so and say nothing any more.
    pub fn still_watches(&self) {
        self.to_streams(Streams::Still);
    }

    fn to_streams(&self, what: Streams) {
        self.shared.streams.send_modify(|(turn, now)| (*turn, *now) = (*turn + 1, what));
    }

    /// Everything that was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// What was asked and matches.
    pub fn asked(&self, matches: impl Fn(&Ask) -> bool) -> Vec<Call> {
        self.shared.calls.lock().unwrap().iter().filter(|call| matches(&call.ask)).cloned().collect()
    }
}

async fn listen(listener: TcpListener, router: Router) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = Severing(router.clone());
        tokio::spawn(async move {
            let service = TowerToHyperService::new(service);
            // what went wrong is the peer's own
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Closes the connection instead of giving an answer that is marked so.
#[derive(Clone)]
struct Severing(Router);

impl<R> Service<R> for Severing
where
    Router: Service<R, Response = Response<Body>, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<Body>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let answer = Service::<R>::call(&mut self.0, request);
        Box::pin(async move {
            match answer.await {
                Ok(answer) if answer.extensions().get::<Severed>().is_some() => {
                    Err(io::ErrorKind::ConnectionReset.into())
                }
                Ok(answer) => Ok(answer),
                Err(never) => match never {},
            }
        })
    }
}

async fn answer(extract::State(shared): extract::State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 16 << 20).await.unwrap();
    let ask = parse(parts.method, parts.uri.path_and_query().unwrap().as_str(), body);
    let (fault, place) = shared.begin(&ask);
    let forward = {
        let (shared, ask, headers) = (Arc::clone(&shared), ask.clone(), parts.headers);
        async move { shared.forward(ask, headers, place).await }
    };
    match fault {
        None => forward.await,
        Some(Fault::Answer { status, reason, retry_after }) => {
            shared.note(place, status, false);
            refusal(status, reason, retry_after)
        }
        Some(Fault::Body(body)) => {
            shared.note(place, 200, false);
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Some(Fault::Unheard) => severed(),
        Some(Fault::Lost) => {
            forward.await;
            severed()
        }
        Some(Fault::Crash(effect)) => {
            forward.await;
            effect();
            severed()
        }
        Some(Fault::Silent) => std::future::pending().await,
        Some(Fault::Late(by)) => {
            // a task of its own: who asked may be gone by then
            let late = tokio::spawn(async move {
                tokio::time::sleep(by).await;
                forward.await
            });
            late.await.unwrap()
        }
        Some(fault) => {
            shared.note(place, 200, false);
            match fault {
                Fault::Unmarked => shared.open(&ask, true).await,
                other => pretend(&other),
            }
        }
    }
}

/// A watch that never reaches the API server.
fn pretend(fault: &Fault) -> Response<Body> {
    let (send, receive) = mpsc::channel(4);
    match fault {
        Fault::Still => drop(tokio::spawn(async move { send.closed().await })),
        Fault::Torn => {
            send.try_send(Ok(Bytes::from_static(b"{\"type\":\"MODI"))).unwrap();
            send.try_send(Err(io::Error::from(io::ErrorKind::ConnectionReset))).unwrap();
        }
        Fault::Gone => {
            let event = json!({"type": "ERROR", "object": status(410, "Expired", None)});
            send.try_send(Ok(Bytes::from(format!("{event}\n")))).unwrap();
        }
        _ => {}
    }
    stream(receive)
}

fn stream(receive: mpsc::Receiver<io::Result<Bytes>>) -> Response<Body> {
    let body = futures::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(body)).into_response()
}

fn severed() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    answer.extensions_mut().insert(Severed);
    answer
}

fn status(code: u16, reason: &str, retry_after: Option<u64>) -> Value {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("{reason}, says the proxy"), "reason": reason, "code": code,
    });
    if let Some(seconds) = retry_after {
        status["details"] = json!({"retryAfterSeconds": seconds});
    }
    status
}

fn refusal(code: u16, reason: &str, retry_after: Option<u64>) -> Response<Body> {
    let mut answer = (
        StatusCode::from_u16(code).unwrap(),
        [(header::CONTENT_TYPE, "application/json")],
        status(code, reason, retry_after).to_string(),
    )
        .into_response();
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

impl Shared {
    /// Records what is asked; which fault meets it, and where it stands in the record.
    fn begin(&self, ask: &Ask) -> (Option<Fault>, usize) {
        let place = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(Call { ask: ask.clone(), at: Instant::now(), status: 0, heard: false });
            calls.len() - 1
        };
        let rules = self.rules.lock().unwrap();
        let due = rules.iter().find(|rule| {
            (rule.matches)(ask) && (rule.seen.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(rule.every)
        });
        let fault = due.map(|rule| {
            rule.hits.fetch_add(1, Ordering::SeqCst);
            rule.fault.clone()
        });
        (fault, place)
    }

    fn note(&self, place: usize, status: u16, heard: bool) {
        let mut calls = self.calls.lock().unwrap();
        (calls[place].status, calls[place].heard) = (status, heard);
    }

    /// What the API server says.
    async fn forward(&self, ask: Ask, headers: HeaderMap, place: usize) -> Response<Body> {
        if ask.watch {
            self.note(place, 200, true);
            return self.open(&ask, false).await;
        }
        let mut request = Request::builder().method(ask.method).uri(&ask.path);
        for name in [header::CONTENT_TYPE, header::ACCEPT] {
            if let Some(value) = headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let request = request.body(kube::client::Body::from(ask.body)).unwrap();
        let Ok(answer) = self.upstream.send(request).await else { return severed() };
        let (parts, body) = answer.into_parts();
        let Ok(body) = axum::body::to_bytes(Body::new(body), 64 << 20).await else { return severed() };
        self.note(place, parts.status.as_u16(), parts.status.is_success());
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = parts.status;
        for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
            if let Some(value) = parts.headers.get(&name) {
                answer.headers_mut().insert(name, value.clone());
            }
        }
        answer
    }

    /// A watch at the API server, event by event.
    async fn open(&self, ask: &Ask, unmarked: bool) -> Response<Body> {
        let path = if unmarked { ask.path.replace("allowWatchBookmarks=true", "") } else { ask.path.clone() };
        let request = Request::get(path).body(kube::client::Body::empty()).unwrap();
        // subscribed before it begins, so that none that is open is missed
        let streams = self.streams.subscribe();
        let Ok(answer) = self.upstream.send(request).await else { return severed() };
        let (parts, body) = answer.into_parts();
        let body = Body::new(body);
        if !parts.status.is_success() {
            let mut refusal = Response::new(body);
            *refusal.status_mut() = parts.status;
            return refusal;
        }
        let (send, receive) = mpsc::channel(64);
        tokio::spawn(pump(body, send, streams));
        stream(receive)
    }
}

async fn pump(body: Body, send: mpsc::Sender<io::Result<Bytes>>, mut streams: watch::Receiver<(u64, Streams)>) {
    let mut body = body.into_data_stream();
    loop {
        tokio::select! {
            () = send.closed() => return,
            changed = streams.changed() => {
                let what = if changed.is_ok() { streams.borrow_and_update().1 } else { Streams::End };
                match what {
                    Streams::Flow => {}
                    Streams::End => return,
                    Streams::Still => return send.closed().await,
                    Streams::Tear => {
                        let _ = send.send(Ok(Bytes::from_static(b"{\"type\":\"MODI"))).await;
                        let _ = send.send(Err(io::Error::from(io::ErrorKind::ConnectionReset))).await;
                        return;
                    }
                }
            }
            bytes = body.next() => {
                let Some(bytes) = bytes else { return };
                if send.send(bytes.map_err(io::Error::other)).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// `/api/v1/namespaces/{namespace}/{resource}/{name}/{part}`, or `/apis/{group}/{version}/…`.
fn parse(method: Method, path: &str, body: Bytes) -> Ask {
    let (plain, query) = path.split_once('?').unwrap_or((path, ""));
    let mut segments = plain.trim_matches('/').split('/');
    let skipped = if segments.next() == Some("apis") { 2 } else { 1 };
    let mut rest: Vec<&str> = segments.skip(skipped).collect();
    if rest.len() > 2 && rest[0] == "namespaces" {
        rest.drain(..2);
    }
    let at = |place: usize| rest.get(place).copied().unwrap_or_default().to_owned();
    let watch = query.split('&').any(|pair| pair == "watch=true");
    Ask { method, path: path.to_owned(), resource: at(0), name: at(1), part: at(2), watch, body }
}
