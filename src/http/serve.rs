//! One listener until it is told to stop; whoever connects and does not say what it wants is not waited for.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Extension};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Layer, Service};

/// The first request has to begin within this, its headers whole.
const FIRST: Duration = Duration::from_secs(10);
/// Each later one too, counted from the answer before: longer than the minute for which load balancers keep an idle
/// connection, since a connection that both ends close at once costs its client a request.
const NEXT: Duration = Duration::from_secs(75);
/// The largest head of a request, in bytes.
const MAX_HEAD: u32 = 32 * 1024;
/// After a connection could not be accepted because there are too many.
const PAUSE: Duration = Duration::from_millis(500);

/// Serves until `stop`, then takes no new connection and finishes what it has begun.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => drop(connections.spawn(connection(stream, peer, router.clone(), stop.clone()))),
            // the peer is gone already
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                // those that are open end one by one, and then there is room again
                tracing::warn!(event = "accept_failed", %error);
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    let began = Arc::new(AtomicBool::new(false));
    let service = Extension(ConnectInfo(peer)).layer(router);
    let service = TowerToHyperService::new(Begun { service, began: Arc::clone(&began) });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(NEXT).max_buf_size(MAX_HEAD as usize);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(NEXT).max_header_list_size(MAX_HEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut first = pin!(sleep(FIRST));
    let (mut looked, mut ending) = (false, false);
    loop {
        tokio::select! {
            // what went wrong is the peer's own
            _ = connection.as_mut() => return,
            () = first.as_mut(), if !looked => {
                looked = true;
                if !began.load(Ordering::Relaxed) {
                    return;
                }
            }
            () = stop.cancelled(), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Knows whether a request has come.
#[derive(Clone)]
struct Begun<S> {
    service: S,
    began: Arc<AtomicBool>,
}

impl<S: Service<R>, R> Service<R> for Begun<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.began.store(true, Ordering::Relaxed);
        self.service.call(request)
    }
}
