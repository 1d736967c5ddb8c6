//! `/admin/sessions…`: the browsers that people have signed in with.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::Parts;
use super::authenticate::Admin;
use super::call::{Call, Reply, query};
use crate::domain::user::SessionEnd;
use crate::identity::{Device, Error};
use crate::metrics::{Entity, Operation};
use crate::oauth::Role;

#[derive(Serialize)]
struct Shown {
    id: String,
    user_id: String,
    user_agent: String,
    address: String,
    created_at: String,
    authenticated_at: String,
    last_seen_at: String,
}

impl From<Device> for Shown {
    fn from(device: Device) -> Self {
        Self {
            id: device.session_id,
            user_id: device.user_id,
            user_agent: device.user_agent,
            address: device.address,
            created_at: device.created_at.to_string(),
            authenticated_at: device.authenticated_at.to_string(),
            last_seen_at: device.last_seen_at.to_string(),
        }
    }
}

pub async fn list(State(parts): State<Parts>, admin: Admin, RawQuery(asked): RawQuery) -> Response {
    let call = Call::new(&parts, Entity::Session, Operation::List, "");
    call.read(admin, Role::Viewer, async {
        let asked = query(asked.as_deref(), &["user"])?;
        let user = asked.first().map(|(_, id)| id.as_str());
        let devices = parts.identity.devices(user).await?;
        Ok(json!({"items": devices.into_iter().map(Shown::from).collect::<Vec<_>>()}))
    })
    .await
}

pub async fn revoke(State(parts): State<Parts>, admin: Admin, Path(id): Path<String>) -> Response {
    let call = Call::new(&parts, Entity::Session, Operation::Delete, &id);
    call.write(admin, async |actor| {
        let ended = parts.identity.end_session(None, &id, SessionEnd::RevokedRemotely, &actor).await?;
        let user_id = ended.ok_or(Error::UnknownSession)?;
        Ok(Reply::ok(json!({"revoked": id, "user_id": user_id})))
    })
    .await
}
