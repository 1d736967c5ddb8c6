//! An MCP server as small as one can be: sends strangers to the authorization server, asks it about tokens, lists a tool.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// How it asks about a token (RFC 7662).
#[derive(Clone)]
pub struct Introspection {
    pub endpoint: String,
    pub id: String,
    pub secret: String,
}

struct Mcp {
    origin: String,
    issuer: String,
    introspection: Introspection,
}

/// A port that is free, to name the resource before it is there.
pub async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    (listener, origin)
}

/// Serves until the test ends.
pub fn serve(listener: TcpListener, origin: &str, issuer: &str, introspection: Introspection) {
    let mcp = Arc::new(Mcp { origin: origin.to_owned(), issuer: issuer.to_owned(), introspection });
    let router = Router::new()
        .route("/.well-known/oauth-protected-resource/mcp", get(metadata))
        .route("/mcp", post(call).get(|| async { StatusCode::METHOD_NOT_ALLOWED }))
        .with_state(mcp);
    tokio::spawn(async move { axum::serve(listener, router).await });
}

/// RFC 9728 §2.
async fn metadata(State(mcp): State<Arc<Mcp>>) -> Response {
    let resource = format!("{}/mcp", mcp.origin);
    axum::Json(json!({"resource": resource, "authorization_servers": [mcp.issuer]})).into_response()
}

async fn call(State(mcp): State<Arc<Mcp>>, headers: HeaderMap, body: String) -> Response {
    if !mcp.admits(&headers).await {
        let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", mcp.origin);
        let challenge = [(header::WWW_AUTHENTICATE, format!("Bearer resource_metadata=\"{metadata}\""))];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    let call: Value = serde_json::from_str(&body).unwrap();
    let result = match call["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": call["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "ledger", "version": "1"},
        }),
        "tools/list" => json!({"tools": [{"name": "list_invoices", "inputSchema": {"type": "object"}}]}),
        method if method.starts_with("notifications/") => return StatusCode::ACCEPTED.into_response(),
        _ => {
            let error = json!({"code": -32601, "message": "Method not found"});
            return axum::Json(json!({"jsonrpc": "2.0", "id": call["id"], "error": error})).into_response();
        }
    };
    axum::Json(json!({"jsonrpc": "2.0", "id": call["id"], "result": result})).into_response()
}

impl Mcp {
    async fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let Some((scheme, token)) = value.split_once(' ') else { return false };
        let Introspection { endpoint, id, secret } = &self.introspection;
        let request = reqwest::Client::new().post(endpoint).basic_auth(id, Some(secret)).form(&[("token", token)]);
        let told: Value = request.send().await.unwrap().json().await.unwrap();
        told["active"] == true && told["token_type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case(scheme))
    }
}
