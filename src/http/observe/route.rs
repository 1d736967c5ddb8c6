//! Which route a request is for, and which limit it counts against.

use crate::http::public::{
    DECISIONS, END_SESSION, LEGACY_AUTHORIZE, LEGACY_REGISTER, LEGACY_TOKEN, LOGOUT, MANIFEST, PASSWORD, POLICY,
    TRANSACTION, WITHDRAW, pages,
};
use crate::metrics::{Endpoint, Route};
use crate::oauth::path;

/// The route of a matched path; `base` is the path of the issuer, before each route of the protocol.
pub fn of(matched: &str, base: &str) -> Route {
    let matched = matched.trim_end_matches('/');
    if let Some(route) = well_known(matched) {
        return route;
    }
    match matched.strip_prefix(base).unwrap_or(matched) {
        path::TOKEN => Route::Token,
        path::INTROSPECT => Route::Introspect,
        path::REVOKE => Route::Revoke,
        path::REGISTER => Route::Register,
        "/oauth/register/{id}" => Route::Registration,
        path::PAR => Route::Par,
        path::AUTHORIZE | TRANSACTION => Route::Authorize,
        LEGACY_AUTHORIZE if base.is_empty() => Route::Authorize,
        LEGACY_TOKEN if base.is_empty() => Route::Token,
        LEGACY_REGISTER if base.is_empty() => Route::Register,
        path::DEVICE_AUTHORIZATION => Route::DeviceAuthorization,
        path::DEVICE => Route::Device,
        path::JWKS => Route::Jwks,
        POLICY => Route::Policy,
        MANIFEST => Route::Manifest,
        DECISIONS => Route::Decisions,
        pages::LOGIN => Route::Login,
        LOGOUT => Route::Logout,
        pages::ACCOUNT | END_SESSION | WITHDRAW | PASSWORD => Route::Account,
        "/admin/brake" => Route::AdminBrake,
        "/admin/brake/{id}/confirm" => Route::AdminBrakeConfirmation,
        "/admin/dcr" => Route::AdminDcr,
        "/admin/dcr/invitations" | "/admin/dcr/invitations/{id}" => Route::AdminDcrInvitations,
        "/admin/resources" => Route::AdminResources,
        "/admin/plan" => Route::AdminPlan,
        "/admin/export" => Route::AdminExport,
        offer if offer.starts_with("/admin/offers") => Route::AdminOffers,
        "/admin/consents" | "/admin/consents/{id}" => Route::AdminConsents,
        "/admin/clients/{id}" => Route::AdminClient,
        "/admin/resource-servers/{id}" => Route::AdminResourceServer,
        "/admin/resource-servers/{id}/drift-events" => Route::AdminDriftEvents,
        "/admin/resource-servers/{id}/drift-events/{event_id}/dismiss" => Route::AdminDriftDismiss,
        "/admin/resource-servers/{id}/access-logs" => Route::AdminAccessLogs,
        "/admin/resource-servers/{id}/manifest" => Route::AdminManifest,
        "/admin/users" => Route::AdminUsers,
        "/admin/sessions" | "/admin/sessions/{id}" => Route::AdminSessions,
        user if user.starts_with("/admin/users/{id}") => Route::AdminUser,
        "/admin/keys" => Route::AdminKeys,
        "/admin/keys/rotate" => Route::AdminKeyRotation,
        "/livez" => Route::Livez,
        "/ready" => Route::Ready,
        "/health" => Route::Health,
        "/metrics" => Route::Metrics,
        other => well_known(other).unwrap_or(Route::Unknown),
    }
}

fn well_known(matched: &str) -> Option<Route> {
    [
        (path::AUTHORIZATION_SERVER, Route::AuthorizationServer),
        (path::OPENID_CONFIGURATION, Route::OpenidConfiguration),
        (path::PROTECTED_RESOURCE, Route::ProtectedResource),
    ]
    .into_iter()
    .find_map(|(path, route)| matched.starts_with(path).then_some(route))
}

/// Where sources are counted: a device authenticates, and is counted by its client.
pub fn by_source(route: Route) -> Option<Endpoint> {
    endpoint(route).filter(|_| route != Route::DeviceAuthorization)
}

/// What a limit of requests is for.
pub const fn endpoint(route: Route) -> Option<Endpoint> {
    Some(match route {
        Route::Token => Endpoint::Token,
        Route::Introspect => Endpoint::Introspect,
        Route::Revoke => Endpoint::Revoke,
        Route::Authorize => Endpoint::Authorize,
        Route::Par => Endpoint::Par,
        Route::Device | Route::DeviceAuthorization => Endpoint::Device,
        Route::Policy | Route::Manifest | Route::Decisions => Endpoint::Policy,
        Route::Login => Endpoint::Login,
        Route::Register | Route::Registration => Endpoint::Register,
        Route::AdminBrake
        | Route::AdminBrakeConfirmation
        | Route::AdminResources
        | Route::AdminPlan
        | Route::AdminExport
        | Route::AdminOffers
        | Route::AdminClient
        | Route::AdminResourceServer
        | Route::AdminDriftEvents
        | Route::AdminDriftDismiss
        | Route::AdminManifest
        | Route::AdminAccessLogs
        | Route::AdminUsers
        | Route::AdminUser
        | Route::AdminSessions
        | Route::AdminConsents
        | Route::AdminDcr
        | Route::AdminDcrInvitations
        | Route::AdminKeys
        | Route::AdminKeyRotation => Endpoint::Admin,
        _ => return None,
    })
}
