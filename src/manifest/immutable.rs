//! What may not change between what was applied and what is asked for, where no API server saw the old object.

use crate::crd::FieldError;
use crate::domain::client::AuthenticationMethod;
use crate::domain::{Desired, Spec};

use super::{Cause, Invalid};

/// Compares `desired` with what was applied last for the same owner, and with the id that it has.
///
/// # Errors
/// An immutable field changed: resourceURI, tokenSource.type, clientID, public or confidential, type, subjectClaim.
pub fn check(desired: &Desired, entity_id: &str, last: &Spec) -> Result<(), Invalid> {
    let mut changed: Vec<&str> = Vec::new();
    match (last, &desired.spec) {
        (Spec::ResourceServer(old), Spec::ResourceServer(new)) => {
            changed.extend((old.resource_uri != new.resource_uri).then_some("resourceURI"));
            changed
                .extend((old.token_source.get("type") != new.token_source.get("type")).then_some("tokenSource.type"));
        }
        (Spec::Client(old), Spec::Client(new)) => {
            let public = |method| method == AuthenticationMethod::None;
            let line = public(old.authentication_method) != public(new.authentication_method);
            changed.extend(line.then_some("authentication.method"));
            changed.extend(desired.wanted_id.as_deref().is_some_and(|id| id != entity_id).then_some("clientID"));
        }
        (Spec::Provider(old), Spec::Provider(new)) => {
            changed.extend((old.provider_type != new.provider_type).then_some("type"));
            changed.extend((old.subject_claim != new.subject_claim).then_some("subjectClaim"));
        }
        _ => {}
    }
    let errors = changed
        .into_iter()
        .map(|field| {
            let message = format!("{field} is immutable: delete the object and create another one");
            FieldError::new(format!("spec.{field}"), message)
        })
        .collect();
    Invalid::unless_empty(Cause::InvalidSpec, errors)
}
