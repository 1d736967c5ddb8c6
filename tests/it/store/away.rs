//! A database that goes away and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast::domain::observer::Unobserved;
use holdfast::domain::policy::Policy;
use holdfast::domain::{Actor, Kind};
use holdfast::store::Store;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::engine::Engine::Postgres;
use super::engine::{Feed, eventually};
use super::samples::put_all;

/// Stands between the store and PostgreSQL; while closed every connection is cut.
struct Gate {
    port: u16,
    open: watch::Sender<bool>,
}

impl Gate {
    async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (server, mut state) = (server.clone(), state.clone());
                tokio::spawn(async move {
                    if !*state.borrow() {
                        return;
                    }
                    let mut far = TcpStream::connect(&server).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = state.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { port, open }
    }
}

/// FT-12: what is known is served on, what must be written waits or is refused, and all of it heals.
#[tokio::test]
async fn the_snapshot_outlives_the_database() {
    let fresh = Postgres.fresh().await;
    let mut url = url::Url::parse(&fresh.url).unwrap();
    let gate = Gate::before(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())).await;
    url.set_port(Some(gate.port)).unwrap();
    let mut options = fresh.options();
    options.url = url.into();
    let store = Store::open(&options, Arc::new(Unobserved)).await.unwrap();
    store.migrate().await.unwrap();
    put_all(&store).await;
    let _feed = Feed::start(&store).await;

    gate.open.send(false).unwrap();
    eventually(|| !store.feed_healthy()).await;
    assert!(store.snapshot().client("portal").is_some() && store.is_loaded());
    let started = Instant::now();
    assert!(store.ping().await.unwrap_err().is_unavailable());
    assert!(store.write(&Actor::controller()).await.err().unwrap().is_unavailable());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    fresh.sql("DELETE FROM client").await;

    gate.open.send(true).unwrap();
    eventually(|| store.feed_healthy() && store.snapshot().client("portal").is_none()).await;
    store.ping().await.unwrap();
    assert_eq!(store.snapshot().count(Kind::ResourceServer), 1);
}
