//! `GET /admin/resource-servers/{id}/manifest`: what a server publishes, beside what is effective.

use axum::extract::State;
use axum::response::Response;

use super::Parts;
use super::authenticate::Admin;
use super::call::Call;
use super::patch::Id;
use crate::metrics::{Entity, Operation};
use crate::oauth::Role;

pub async fn get(State(parts): State<Parts>, admin: Admin, Id(id): Id) -> Response {
    let call = Call::new(&parts, Entity::ResourceServer, Operation::Get, &id);
    call.read(admin, Role::Viewer, async { Ok(parts.activity.comparison(&id).await?) }).await
}
