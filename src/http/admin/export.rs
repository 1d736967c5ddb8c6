//! `GET /admin/export`: the policy as custom resources, for files that from then on say what it is.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};

use super::Parts;
use super::authenticate::Admin;
use super::call::{Call, Refused, query};
use crate::domain::{Actor, Kind};
use crate::http::respond;
use crate::manifest::export::{Wanted, export};
use crate::manifest::yaml;
use crate::metrics::{Entity, Operation, Outcome};
use crate::oauth::Role;

/// Whoever exports leaves a record, so it is no mere reading.
pub async fn get(State(parts): State<Parts>, admin: Admin, RawQuery(text): RawQuery) -> Response {
    let administrator = match admin.at_least(Role::Operator) {
        Ok(administrator) => administrator,
        Err(forbidden) => {
            parts.metrics.metrics.admin_operation(Entity::Resource, Operation::Export, Outcome::Denied);
            return forbidden.into_response();
        }
    };
    let call = Call::new(&parts, Entity::Resource, Operation::Export, "export");
    let actor = Actor::api_key(&administrator.name);
    let told = async {
        let wanted = wanted(text.as_deref())?;
        let exported = export(&parts.provisioner.rows().await?, &wanted, &parts.policy);
        parts.provisioner.record_export(exported.len(), &actor).await?;
        Ok(exported.iter().map(|document| document.text()).collect::<String>())
    };
    match told.await {
        Ok(text) => call.told(respond::text(text, "application/yaml")),
        Err(refused) => call.refused(refused),
    }
}

fn wanted(text: Option<&str>) -> Result<Wanted, Refused> {
    let mut wanted = Wanted { namespace: yaml::DEFAULT_NAMESPACE.to_owned(), ..Wanted::default() };
    for (name, value) in query(text, &["kind", "namespace", "id", "unowned"])? {
        match (name.as_str(), value.as_str()) {
            ("kind", _) => {
                let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == value);
                let expected = || Refused::bad("kind: expected ResourceServer, OAuthClient or Provider");
                wanted.kind = Some(kind.ok_or_else(expected)?);
            }
            ("namespace", _) if !yaml::is_namespace(&value) => {
                return Err(Refused::bad("namespace: must be a namespace"));
            }
            ("namespace", _) => wanted.namespace = value,
            ("id", _) => wanted.id = Some(value),
            ("unowned", "true") => wanted.unowned = true,
            ("unowned", "false") => wanted.unowned = false,
            _ => return Err(Refused::bad("unowned: must be true or false")),
        }
    }
    Ok(wanted)
}
