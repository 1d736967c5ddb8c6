//! One file a grant.

pub(super) mod client_credentials;
