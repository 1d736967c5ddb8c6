//! How this program speaks to the API server: patient with who says "later", and never waiting for ever.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tokio::time::{Instant, sleep_until, timeout};
use tower::{BoxError, Layer, Service};

/// An answer has to begin within this: the API server itself gives up sooner on most of what can hold it up.
const ANSWER: Duration = Duration::from_secs(30);
/// Nothing heard for so long, not even a bookmark of a watch, and the other end is taken for gone.
const SILENCE: Duration = Duration::from_secs(90);
/// Between two watches of the same thing: one that ends at once must not be begun again at once.
const BREATH: Duration = Duration::from_secs(1);
/// Nobody is told to wait longer than this.
const LONGEST: Duration = Duration::from_secs(60);

/// A client that asks nothing again by itself: who asks decides, and the pause that the server wants is kept for them.
///
/// # Errors
/// The configuration cannot be used.
pub fn client(mut config: Config) -> Result<Client, kube::Error> {
    config.default_retry = false;
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    Ok(ClientBuilder::try_from(config)?.with_layer(&Patience::default()).build())
}

/// Until when each thing is not to be asked for.
#[derive(Clone, Default)]
struct Patience(Arc<Mutex<HashMap<Asked, Instant>>>);

/// What is asked for: a method, a path with its selector, and whether it is watched.
type Asked = (Method, String, bool);

fn asked(request: &Request<Body>) -> Asked {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let selector = query.split('&').find(|pair| pair.starts_with("labelSelector=")).unwrap_or_default();
    let watches = query.split('&').any(|pair| pair == "watch=true");
    (request.method().clone(), format!("{path} {selector}"), watches)
}

impl Patience {
    /// When this may be asked; a watch that begins then keeps the next one waiting.
    fn turn(&self, asked: &Asked, now: Instant) -> Instant {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, until| *until > now);
        let turn = until.get(asked).copied().unwrap_or(now);
        if asked.2 {
            until.insert(asked.clone(), turn + BREATH);
        }
        turn
    }

    fn told_to_wait(&self, asked: Asked, wait: Duration, now: Instant) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.insert(asked, now + wait.min(LONGEST));
    }
}

impl<S> Layer<S> for Patience {
    type Service = Patient<S>;

    fn layer(&self, inner: S) -> Patient<S> {
        Patient { inner, patience: self.clone() }
    }
}

struct Patient<S> {
    inner: S,
    patience: Patience,
}

impl<S, B> Service<Request<Body>> for Patient<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let asked = asked(&request);
        let patience = self.patience.clone();
        // sent when it is polled
        let answer = self.inner.call(request);
        Box::pin(async move {
            sleep_until(patience.turn(&asked, Instant::now())).await;
            let answer = timeout(ANSWER, answer).await?.map_err(Into::into)?;
            if let Some(wait) = later(answer.status(), answer.headers()) {
                patience.told_to_wait(asked, wait, Instant::now());
            }
            Ok(answer)
        })
    }
}

/// How long the server wants to be left alone.
fn later(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let refused = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let seconds = headers.get(header::RETRY_AFTER).filter(|_| refused)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(watch: bool) -> Asked {
        let query = "allowWatchBookmarks=true&resourceVersion=7&labelSelector=a%3Db";
        let uri = format!("/api/v1/secrets?watch={watch}&{query}");
        super::asked(&Request::get(uri).body(Body::empty()).unwrap())
    }

    #[test]
    fn a_watch_keeps_the_next_one_waiting_and_nothing_else() {
        let (patience, now) = (Patience::default(), Instant::now());
        assert_eq!(patience.turn(&asked(true), now), now);
        assert_eq!(patience.turn(&asked(true), now), now + BREATH);
        assert_eq!(patience.turn(&asked(false), now), now);
        assert_eq!(patience.turn(&asked(false), now), now);
        let later = now + BREATH * 3;
        assert_eq!(patience.turn(&asked(true), later), later);
    }

    #[test]
    fn who_is_told_to_come_later_comes_later() {
        let (patience, now) = (Patience::default(), Instant::now());
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, 7.into());
        assert_eq!(later(StatusCode::OK, &headers), None);
        let wait = later(StatusCode::TOO_MANY_REQUESTS, &headers).unwrap();
        patience.told_to_wait(asked(false), wait, now);
        assert_eq!(patience.turn(&asked(false), now), now + Duration::from_secs(7));
        patience.told_to_wait(asked(false), Duration::MAX, now);
        assert_eq!(patience.turn(&asked(false), now), now + LONGEST);
        assert_eq!(patience.turn(&asked(false), now + LONGEST), now + LONGEST);
    }
}
