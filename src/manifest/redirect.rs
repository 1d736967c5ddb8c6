//! What the one rule for redirect URIs says of an object's fields, and which private-use schemes resources may use.

use super::policy::Policy;
use crate::crd::FieldError;
use crate::domain::redirect::{self, Place};

/// A registered redirect URI (RFC 8252 §7, OAuth 2.1 §2.3.1).
pub(super) fn check(path: &str, uri: &str, policy: &Policy) -> Option<FieldError> {
    let fault = match redirect::place(uri) {
        Err(fault) => fault.to_string(),
        Ok(Place::PrivateUse(scheme)) if !scheme.contains('.') && !policy.private_use_schemes.contains(scheme) => {
            format!(
                "scheme {scheme} is not allowed: a private-use scheme has a dot in it (RFC 8252), or is listed in the configuration"
            )
        }
        Ok(_) => return None,
    };
    Some(FieldError::new(path, fault))
}

/// An http or https URL.
pub(super) fn web(path: &str, url: &str) -> Option<FieldError> {
    redirect::web(url).err().map(|fault| FieldError::new(path, fault.to_string()))
}
