//! `/admin/offers…`: rows that one object each may adopt.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Parts;
use super::authenticate::Admin;
use super::call::{Call, Refused, Reply, body};
use crate::domain::OwnerKey;
use crate::http::respond;
use crate::metrics::{Entity, Operation};
use crate::oauth::Role;
use crate::provision::{Error, Offer};

/// The body of `POST /admin/offers`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offered {
    /// `Kind/namespace/name`
    owner: String,
    id: String,
}

pub async fn list(State(parts): State<Parts>, admin: Admin) -> Response {
    let call = Call::new(&parts, Entity::Offer, Operation::List, "offers");
    call.read(admin, Role::Viewer, async {
        let offers = parts.provisioner.offers().await?;
        Ok(json!({"items": offers.iter().map(shown).collect::<Vec<_>>()}))
    })
    .await
}

pub async fn create(State(parts): State<Parts>, admin: Admin, request: Request) -> Response {
    let call = Call::new(&parts, Entity::Offer, Operation::Create, "offer");
    call.write(admin, async |actor| {
        let asked: Offered = body(request).await?;
        let owner: OwnerKey = asked.owner.parse().map_err(|_| Refused::bad("owner: expected Kind/namespace/name"))?;
        if asked.id.is_empty() || asked.id.contains(char::is_control) {
            return Err(Refused::bad("id: expected the id of a row"));
        }
        let made = parts.provisioner.offer(&owner, &asked.id, &actor).await.map_err(refused)?;
        Ok(Reply::made(shown(&made)))
    })
    .await
}

/// `DELETE /admin/offers/{kind}/{namespace}/{name}`
pub async fn withdraw(
    State(parts): State<Parts>,
    admin: Admin,
    Path((kind, namespace, name)): Path<(String, String, String)>,
) -> Response {
    let owner = format!("{kind}/{namespace}/{name}");
    let call = Call::new(&parts, Entity::Offer, Operation::Delete, &owner);
    call.write(admin, async |actor| {
        let key: OwnerKey = owner.parse().map_err(|_| Refused::unknown("there is no such offer"))?;
        match parts.provisioner.withdraw_offer(&key, &actor).await? {
            true => Ok(Reply::ok(json!({"deleted": owner}))),
            false => Err(Refused::unknown("there is no such offer")),
        }
    })
    .await
}

fn shown(offer: &Offer) -> Value {
    json!({
        "owner": offer.owner.to_string(), "id": offer.entity_id, "by": offer.by.to_string(), "at": offer.at.to_string(),
    })
}

fn refused(error: Error) -> Refused {
    match &error {
        Error::Unknown(_) => Refused::unknown("there is no such row"),
        Error::Owned(owner) => {
            let text = format!("{owner} owns this; an offer never takes a row from an owner that lives");
            respond::error(StatusCode::CONFLICT, "owned", &text).into()
        }
        Error::NotOffered(_) => Refused::bad("id: that client registered itself, and no object can manage it"),
        _ => error.into(),
    }
}
