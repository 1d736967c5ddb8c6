//! The database stops answering: nothing is made up, nothing is lost.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::harness::{BILLING, Server, Setup, answer};
use crate::support::postgres;

/// A lock on every table that the protocol reads or writes: the server hangs, as it does when its disk does.
async fn hold(url: &str) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let tables = "access_token, client, resource_server, change, credential";
    let lock = format!("BEGIN; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE");
    // the change feed reads meanwhile, and one of the two may be the victim of a deadlock
    while connection.execute(AssertSqlSafe(lock.clone())).await.is_err() {
        connection.execute("ROLLBACK").await.unwrap();
    }
    connection
}

async fn server() -> (Server, String) {
    let url = postgres::fresh().await.url;
    (Setup { url: Some(url.clone()), ..Setup::default() }.start().await, url)
}

/// FT-12, RC-3: a pause shorter than ten seconds is sat out.
#[tokio::test]
async fn a_short_pause_is_not_noticed() {
    let (server, url) = server().await;
    let token = server.token("reporter", BILLING).await;
    let held = hold(&url).await;
    let release = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        held.close().await.unwrap();
    };
    let ask = [("grant_type", "client_credentials")];
    let about = [("token", token.as_str())];
    let (issued, seen, ()) = tokio::join!(
        server.post_as("reporter", "/oauth/token", &ask),
        server.post_as("reporter", "/oauth/introspect", &about),
        release
    );
    assert_eq!((issued.status, seen.json()["active"].as_bool()), (200, Some(true)), "{issued:?} {seen:?}");
}

/// FT-12: every connection breaks, and no request notices.
#[tokio::test]
async fn broken_connections_are_not_noticed() {
    let (server, url) = server().await;
    let token = server.token("reporter", BILLING).await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    for _ in 0..3 {
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        other.execute(kill).await.unwrap();
        server.token("reporter", BILLING).await;
        assert_eq!(server.introspect("reporter", &token).await["active"], true);
    }
}

/// FT-12, RC-2, RC-3, RC-5, F-06, G-06: after ten seconds it is 503 in JSON with when to come back, never
/// `invalid_client` and never a revocation that did not happen; what needs no database goes on.
#[tokio::test]
async fn a_database_that_is_away_is_said_to_be() {
    let (server, url) = server().await;
    let token = server.token("reporter", BILLING).await;
    let held = hold(&url).await;
    let began = Instant::now();
    let ask = [("grant_type", "client_credentials")];
    let about = [("token", token.as_str())];
    let wrong = "grant_type=client_credentials&client_id=reporter&client_secret=wrong";
    let answers = tokio::join!(
        server.post_as("reporter", "/oauth/token", &ask),
        server.post_as("reporter", "/oauth/introspect", &about),
        server.post_as("reporter", "/oauth/revoke", &about),
        server.post("/oauth/token", None, wrong),
    );
    for got in [&answers.0, &answers.1, &answers.2, &answers.3] {
        assert_eq!((got.status, got.error().as_str()), (503, "temporarily_unavailable"), "{got:?}");
        assert!(got.header("retry-after").parse::<u64>().unwrap() > 0);
        assert_eq!(got.header("content-type"), "application/json");
    }
    assert!(began.elapsed() < Duration::from_secs(14), "{:?}", began.elapsed());
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/livez", "/ready"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    let health = server.get("/health").await;
    assert_eq!((health.status, health.json()), (503, json!({"status": "unavailable"})));
    let verbose = answer(server.http.get(format!("{}/health?verbose", server.admin))).await;
    assert_eq!(verbose.json()["checks"]["database"], "failing", "{verbose:?}");
    assert!(server.metric("holdfast_healthy{check=\"database\"} 0"));
    held.close().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.get("/health").await.status != 200 {
        assert!(Instant::now() < deadline, "health does not come back");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(server.introspect("reporter", &token).await["active"], true, "the revocation was never acknowledged");
    server.token("reporter", BILLING).await;
}
