//! Who was refused for want of a role is recorded, whatever was asked for.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::authenticate::Denied;
use crate::domain::Actor;
use crate::http::extract::source;
use crate::http::observe::Told;
use crate::oauth::AuthorizationServer;

/// Around everything below `/admin`.
pub async fn record(State(server): State<AuthorizationServer>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let asked = format!("{} {path}", request.method());
    let source = source(request.extensions());
    let mut response = next.run(request).await;
    if let Some(Denied(administrator)) = response.extensions_mut().remove() {
        server.note_admin_denial(&administrator, &asked, source).await;
        let (who, outcome) = (Actor::api_key(&administrator.name).to_string(), "denied");
        response.extensions_mut().insert(Told::AdminChanged { who, what: asked, outcome });
    }
    response
}
