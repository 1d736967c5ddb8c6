//! `/admin/dcr…`: who may register a client, and invitations for who else may.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Parts;
use super::authenticate::Admin;
use super::call::{Call, Refused, Reply, body};
use crate::metrics::{Entity, Operation};
use crate::oauth::{Mode, Role, invitation};

pub async fn get(State(parts): State<Parts>, admin: Admin) -> Response {
    let call = Call::new(&parts, Entity::Dcr, Operation::Get, "mode");
    call.read(admin, Role::Viewer, async { Ok(shown(parts.server.registration_mode().await?)) }).await
}

/// The body of `PUT /admin/dcr`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    mode: String,
}

pub async fn put(State(parts): State<Parts>, admin: Admin, request: Request) -> Response {
    let call = Call::new(&parts, Entity::Dcr, Operation::Update, "mode");
    call.write(admin, async |actor| {
        let asked: Setting = body(request).await?;
        let expected = || Refused::bad("mode: expected open, approved_redirects or admin_only");
        let mode = Mode::parse(&asked.mode).ok_or_else(expected)?;
        parts.server.set_registration_mode(mode, &actor).await?;
        Ok(Reply::ok(shown(mode)))
    })
    .await
}

fn shown(mode: Mode) -> Value {
    json!({"mode": mode.as_str()})
}

/// The body of `POST /admin/dcr/invitations`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    uses: i64,
    expires_in: i64,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { uses: 1, expires_in: 86_400 }
    }
}

/// Makes an initial access token (RFC 7591 §1.2); it is shown this once.
pub async fn invite(State(parts): State<Parts>, admin: Admin, request: Request) -> Response {
    let call = Call::new(&parts, Entity::Dcr, Operation::Create, "invitation");
    call.write_as(Role::Operator, admin, async |actor| {
        let asked: Wanted = body(request).await?;
        let expected = || Refused::bad("uses: expected 1 to 10000; expires_in: 60 to 31536000 seconds");
        let wanted = invitation::Wanted::sensible(asked.uses, asked.expires_in).ok_or_else(expected)?;
        let made = parts.server.invite(wanted, &actor).await?;
        let (token, expires_in) = (made.token.expose(), wanted.lifetime.as_secs());
        Ok(Reply::made(json!({"id": made.id, "token": token, "uses": wanted.uses, "expires_in": expires_in})))
    })
    .await
}

/// Those that still invite somebody, never their tokens.
pub async fn invitations(State(parts): State<Parts>, admin: Admin) -> Response {
    let call = Call::new(&parts, Entity::Dcr, Operation::List, "invitations");
    call.read(admin, Role::Viewer, async {
        let found = parts.server.invitations().await?;
        let item = |one: invitation::Invitation| {
            json!({"id": one.id, "uses_left": one.uses_left, "expires_at": one.expires_at.to_string(), "by": one.by})
        };
        Ok(json!({"items": found.into_iter().map(item).collect::<Vec<_>>()}))
    })
    .await
}

/// Ends one at once; who has registered with it stays.
pub async fn end(State(parts): State<Parts>, admin: Admin, Path(id): Path<String>) -> Response {
    let call = Call::new(&parts, Entity::Dcr, Operation::Delete, &id);
    call.write_as(Role::Operator, admin, async |actor| match parts.server.end_invitation(&id, &actor).await? {
        true => Ok(Reply::ok(json!({"deleted": id}))),
        false => Err(Refused::unknown("there is no such invitation")),
    })
    .await
}
