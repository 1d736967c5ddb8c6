//! The admin port: bearer API keys for everything below `/admin`, metrics and health for everybody who reaches it.

mod access_log;
mod authenticate;
mod brake;
mod call;
mod consents;
mod dcr;
mod denied;
mod drift;
mod export;
mod keys;
mod listing;
mod manifest;
mod offers;
mod patch;
mod plan;
mod resources;
mod sessions;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, patch as on_patch, post};

use super::gate::{Gate, Sources};
use super::health::{self, Health};
use super::metrics::MetricsPage;
use super::observe::Observatory;
use super::public::finish;
use super::respond;
use crate::activity::Activity;
use crate::domain::outcome::StatusBoard;
use crate::domain::owner::Kind;
use crate::identity::Identity;
use crate::manifest::Policy;
use crate::metrics::Metrics;
use crate::oauth::{AuthorizationServer, Error};
use crate::provision::Provisioner;

/// What the admin port is made of.
#[derive(Clone)]
pub struct Parts {
    pub server: AuthorizationServer,
    pub provisioner: Provisioner,
    /// What configuration says about which objects may say what.
    pub policy: Arc<Policy>,
    pub identity: Identity,
    pub activity: Activity,
    /// Where the last word on each object is looked up.
    pub board: Arc<dyn StatusBoard>,
    pub metrics: MetricsPage,
    pub health: Health,
    pub sources: Sources,
}

impl FromRef<Parts> for AuthorizationServer {
    fn from_ref(parts: &Parts) -> Self {
        parts.server.clone()
    }
}

impl FromRef<Parts> for Provisioner {
    fn from_ref(parts: &Parts) -> Self {
        parts.provisioner.clone()
    }
}

impl FromRef<Parts> for Arc<dyn StatusBoard> {
    fn from_ref(parts: &Parts) -> Self {
        Arc::clone(&parts.board)
    }
}

impl FromRef<Parts> for Arc<Metrics> {
    fn from_ref(parts: &Parts) -> Self {
        Arc::clone(&parts.metrics.metrics)
    }
}

/// Everything on the admin port.
///
/// # Errors
/// When the system's random source fails.
pub fn router(parts: Parts) -> Result<Router, Error> {
    let observatory = Observatory::new(
        Arc::clone(&parts.metrics.metrics),
        "",
        parts.server.nonce()?,
        Gate::new(parts.sources.clone(), None),
    );
    let others = health::router(parts.health.clone(), true).merge(parts.metrics.routes());
    let router = Router::new()
        .route("/admin/resources", get(resources::list))
        .route("/admin/plan", post(plan::post))
        .route("/admin/export", get(export::get))
        .route("/admin/offers", get(offers::list).post(offers::create))
        .route("/admin/offers/{kind}/{namespace}/{name}", delete(offers::withdraw))
        .route("/admin/brake", get(brake::list))
        .route("/admin/brake/{id}/confirm", post(brake::confirm))
        .route("/admin/consents", get(consents::list))
        .route("/admin/consents/{id}", delete(consents::delete))
        .route("/admin/dcr", get(dcr::get).put(dcr::put))
        .route("/admin/dcr/invitations", get(dcr::invitations).post(dcr::invite))
        .route("/admin/dcr/invitations/{id}", delete(dcr::end))
        .route("/admin/clients/{id}", on_patch(patch::client))
        .route("/admin/resource-servers/{id}", on_patch(patch::resource_server))
        .route("/admin/resource-servers/{id}/drift-events", get(drift::list))
        .route("/admin/resource-servers/{id}/drift-events/{event_id}/dismiss", post(drift::dismiss))
        .route("/admin/resource-servers/{id}/access-logs", get(access_log::list))
        .route("/admin/resource-servers/{id}/manifest", get(manifest::get))
        .route("/admin/users", get(users::list).post(users::create))
        .route("/admin/users/{id}", get(users::get).patch(users::update).delete(users::delete))
        .route("/admin/users/{id}/password", post(users::password))
        .route("/admin/users/{id}/disable", post(users::disable))
        .route("/admin/users/{id}/enable", post(users::enable))
        .route("/admin/users/{id}/force-logout", post(users::force_logout))
        .route("/admin/sessions", get(sessions::list))
        .route("/admin/sessions/{id}", delete(sessions::revoke))
        .route("/admin/keys", get(keys::list))
        .route("/admin/keys/rotate", post(keys::rotate))
        .route_layer(from_fn_with_state(parts.server.clone(), denied::record))
        .with_state(parts)
        .merge(others)
        .method_not_allowed_fallback(respond::wrong_method)
        .fallback(respond::not_found);
    Ok(finish(router, observatory))
}

const fn entity(kind: Kind) -> crate::metrics::Entity {
    match kind {
        Kind::OAuthClient => crate::metrics::Entity::Client,
        Kind::ResourceServer | Kind::Provider => crate::metrics::Entity::ResourceServer,
    }
}
