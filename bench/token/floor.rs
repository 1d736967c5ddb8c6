//! The floor: parse a form, compare a secret, sign a token, wait for its row to be durable, answer. No policy, no
//! metrics, no log, no errors to speak of.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};
use subtle::ConstantTimeEq;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{Result, SECRET};

/// At most so many rows a commit, as the product has it.
const BATCH: usize = 256;
const LIFETIME: i64 = 900;

struct Floor {
    key: EcdsaKeyPair,
    random: SystemRandom,
    header: String,
    secret: [u8; 32],
    rows: mpsc::Sender<(Row, oneshot::Sender<()>)>,
}

struct Row {
    jti: Uuid,
    scope: String,
    issued_at: i64,
}

#[derive(Deserialize)]
struct Ask {
    scope: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    client_id: &'a str,
    scope: &'a str,
}

#[derive(Serialize)]
struct Token {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    scope: String,
}

pub async fn serve() -> Result<()> {
    let url = std::env::var("HOLDFAST_DATABASE__URL")?;
    let options = SqliteConnectOptions::new()
        .filename(url.trim_start_matches("sqlite://"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    let table = "CREATE TABLE token (jti BLOB PRIMARY KEY, client_id TEXT, scope TEXT, issued_at BIGINT) WITHOUT ROWID";
    sqlx::query(table).execute(&mut connection).await?;
    let (rows, queue) = mpsc::channel(1024);
    tokio::spawn(write(connection, queue));
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?;
    let floor = Floor {
        key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref())?,
        random,
        header: URL_SAFE_NO_PAD.encode(r#"{"typ":"at+jwt","alg":"ES256","kid":"floor"}"#) + ".",
        secret: Sha256::digest(SECRET).into(),
        rows,
    };
    let router = Router::new()
        .route("/ready", get(|| async { "ready" }))
        .route("/token", post(token))
        .with_state(Arc::new(floor));
    let listener = tokio::net::TcpListener::bind(std::env::var("HOLDFAST_SERVER__PUBLIC__LISTEN")?).await?;
    Ok(axum::serve(listener, router).await?)
}

async fn token(
    State(floor): State<Arc<Floor>>,
    headers: HeaderMap,
    Form(ask): Form<Ask>,
) -> std::result::Result<Json<Token>, StatusCode> {
    authenticate(&floor, &headers).ok_or(StatusCode::UNAUTHORIZED)?;
    let jti = Uuid::now_v7();
    let iat = jti.get_timestamp().map_or(0, |time| time.to_unix().0.cast_signed());
    let access_token = sign(&floor, jti, iat, &ask.scope).ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
    let (done, written) = oneshot::channel();
    let row = Row { jti, scope: ask.scope.clone(), issued_at: iat };
    floor.rows.send((row, done)).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    written.await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Json(Token { access_token, token_type: "Bearer", expires_in: LIFETIME, scope: ask.scope }))
}

fn authenticate(floor: &Floor, headers: &HeaderMap) -> Option<()> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = STANDARD.decode(value).ok()?;
    let secret: [u8; 32] = Sha256::digest(text.strip_prefix(b"bench:")?).into();
    bool::from(secret.ct_eq(&floor.secret)).then_some(())
}

fn sign(floor: &Floor, jti: Uuid, iat: i64, scope: &str) -> Option<String> {
    let claims = Claims {
        iss: "http://localhost:9000",
        sub: "bench",
        aud: "https://bench.example.com/mcp",
        exp: iat + LIFETIME,
        iat,
        jti: jti.to_string(),
        client_id: "bench",
        scope,
    };
    let mut token = floor.header.clone();
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&claims).ok()?, &mut token);
    let signature = floor.key.sign(&floor.random, token.as_bytes()).ok()?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
    Some(token)
}

async fn write(mut connection: SqliteConnection, mut queue: mpsc::Receiver<(Row, oneshot::Sender<()>)>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let values = vec!["(?,'bench',?,?)"; batch.len()].join(",");
        let sql = AssertSqlSafe(format!("INSERT INTO token (jti, client_id, scope, issued_at) VALUES {values}"));
        let insert = batch.iter().fold(sqlx::query(sql), |query, (row, _)| {
            query.bind(row.jti.as_bytes().to_vec()).bind(row.scope.clone()).bind(row.issued_at)
        });
        if insert.execute(&mut connection).await.is_ok() {
            batch.drain(..).for_each(|(_, done)| done.send(()).unwrap_or_default());
        }
        batch.clear();
    }
}
