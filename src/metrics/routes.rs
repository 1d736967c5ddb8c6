//! What each route answers when all is well.

use super::Metrics;
use super::label::{Method, Route, Status};

/// What each route answers when all is well: these combinations are visible as zero from the start.
const EXPECTED: &[(Method, Route, &[Status])] = &[
    (Method::Post, Route::Token, &[Status::S200, Status::S400, Status::S401, Status::S429, Status::S500, Status::S503]),
    (Method::Post, Route::Introspect, &[Status::S200, Status::S400, Status::S401, Status::S429, Status::S503]),
    (Method::Post, Route::Revoke, &[Status::S200, Status::S400, Status::S401, Status::S429, Status::S503]),
    (Method::Get, Route::Login, &[Status::S200, Status::S303, Status::S503]),
    (Method::Post, Route::Login, &[Status::S303, Status::S400, Status::S403, Status::S429, Status::S500, Status::S503]),
    (Method::Post, Route::Logout, &[Status::S303, Status::S403]),
    (Method::Get, Route::Account, &[Status::S200, Status::S303]),
    (Method::Get, Route::Authorize, &[Status::S200, Status::S303, Status::S400, Status::S429, Status::S503]),
    (Method::Post, Route::Authorize, &[Status::S303, Status::S400, Status::S403, Status::S503]),
    (Method::Post, Route::Par, &[Status::S201, Status::S400, Status::S401, Status::S429, Status::S503]),
    (
        Method::Post,
        Route::DeviceAuthorization,
        &[Status::S200, Status::S400, Status::S401, Status::S429, Status::S500, Status::S503],
    ),
    (Method::Get, Route::Device, &[Status::S200, Status::S303]),
    (Method::Post, Route::Device, &[Status::S200, Status::S400, Status::S403, Status::S429]),
    (
        Method::Post,
        Route::Register,
        &[Status::S201, Status::S400, Status::S401, Status::S429, Status::S500, Status::S503],
    ),
    (Method::Get, Route::Jwks, &[Status::S200, Status::S304]),
    (
        Method::Get,
        Route::Policy,
        &[Status::S200, Status::S304, Status::S400, Status::S401, Status::S403, Status::S429, Status::S503],
    ),
    (
        Method::Put,
        Route::Manifest,
        &[Status::S200, Status::S400, Status::S401, Status::S403, Status::S412, Status::S413, Status::S503],
    ),
    (
        Method::Post,
        Route::Decisions,
        &[Status::S200, Status::S400, Status::S401, Status::S403, Status::S413, Status::S429, Status::S503],
    ),
    (Method::Get, Route::AdminAccessLogs, &[Status::S200, Status::S400, Status::S401, Status::S404]),
    (Method::Get, Route::AdminManifest, &[Status::S200, Status::S401, Status::S403, Status::S404]),
    (Method::Get, Route::AuthorizationServer, &[Status::S200, Status::S304]),
    (Method::Get, Route::OpenidConfiguration, &[Status::S200, Status::S304]),
    (Method::Get, Route::ProtectedResource, &[Status::S200, Status::S304, Status::S404]),
    (Method::Get, Route::AdminResources, &[Status::S200, Status::S401, Status::S403, Status::S503]),
    (Method::Post, Route::AdminPlan, &[Status::S200, Status::S400, Status::S401, Status::S403, Status::S413]),
    (Method::Get, Route::AdminBrake, &[Status::S200, Status::S401, Status::S403]),
    (Method::Post, Route::AdminBrakeConfirmation, &[Status::S200, Status::S401, Status::S403, Status::S404]),
    (Method::Patch, Route::AdminClient, &[Status::S200, Status::S400, Status::S401, Status::S403, Status::S409]),
    (
        Method::Patch,
        Route::AdminResourceServer,
        &[Status::S200, Status::S400, Status::S401, Status::S403, Status::S409],
    ),
    (Method::Get, Route::AdminDriftEvents, &[Status::S200, Status::S400, Status::S401, Status::S404]),
    (Method::Post, Route::AdminDriftDismiss, &[Status::S200, Status::S401, Status::S403, Status::S404]),
    (Method::Get, Route::AdminUsers, &[Status::S200, Status::S401, Status::S403]),
    (Method::Post, Route::AdminUsers, &[Status::S201, Status::S400, Status::S401, Status::S403, Status::S409]),
    (Method::Get, Route::AdminUser, &[Status::S200, Status::S404]),
    (Method::Post, Route::AdminUser, &[Status::S200, Status::S400, Status::S403, Status::S404]),
    (Method::Get, Route::AdminSessions, &[Status::S200]),
    (Method::Delete, Route::AdminSessions, &[Status::S200, Status::S404]),
    (Method::Get, Route::Metrics, &[Status::S200]),
    (Method::Get, Route::Livez, &[Status::S200]),
    (Method::Get, Route::Ready, &[Status::S200, Status::S503]),
    (Method::Get, Route::Health, &[Status::S200, Status::S503]),
    (Method::Get, Route::Unknown, &[Status::S404]),
];

impl Metrics {
    pub(super) fn touch_http(&self) {
        for (method, route, statuses) in EXPECTED {
            self.http_request_duration_seconds.with((*method, *route));
            for status in *statuses {
                self.http_requests_total.with((*method, *route, *status));
            }
        }
    }
}
