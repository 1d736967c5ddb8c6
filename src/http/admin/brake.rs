//! `/admin/brake…`: deletions that wait, and letting them go.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

use super::Parts;
use super::authenticate::Admin;
use super::call::{Call, Refused, Reply};
use crate::metrics::{Entity, Operation};
use crate::oauth::Role;

pub async fn list(State(parts): State<Parts>, admin: Admin) -> Response {
    let call = Call::new(&parts, Entity::Brake, Operation::List, "");
    call.read(admin, Role::Viewer, async { Ok(json!({ "items": parts.provisioner.brakes().await? })) }).await
}

pub async fn confirm(State(parts): State<Parts>, admin: Admin, Path(id): Path<String>) -> Response {
    let call = Call::new(&parts, Entity::Brake, Operation::Confirm, &id);
    call.write(admin, async |actor| match parts.provisioner.confirm_brake(&id, &actor).await? {
        Some(released) => Ok(Reply::ok(json!({ "id": id, "released": released }))),
        None => Err(Refused::unknown("no brake with this id is open")),
    })
    .await
}
