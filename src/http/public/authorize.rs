//! `/oauth/authorize`: no response type is supported, as the metadata says; nobody is ever redirected.

use axum::http::StatusCode;
use axum::response::Response;

use crate::http::respond;

pub async fn refuse() -> Response {
    let text = "this server supports no response type; use a grant of grant_types_supported";
    respond::error(StatusCode::BAD_REQUEST, "unsupported_response_type", text)
}
