//! The installed definitions: whether they stand, and whether they know all that this program writes.
//!
//! An old definition prunes what it does not know, or refuses it. That is said in the log and in `/health?verbose`, and
//! nothing is refused for it: tokens must go on being issued, also while somebody replaces a definition.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt};
use serde_json::Value;

use crate::crd;
use crate::domain::Kind;

use super::context::Context;
use super::error::{Error, kube_error};
use super::kubernetes::definition;

/// So much of what is missing is named.
const NAMED: usize = 8;

/// Whether the kind's definition is there and is not being deleted, which looks like deleting each object.
pub(super) async fn stands(context: &Context, kind: Kind) -> Result<bool, Error> {
    let found = installed(context, &definition(kind)).await?;
    Ok(found.is_some_and(|definition| definition.metadata.deletion_timestamp.is_none()))
}

async fn installed(context: &Context, name: &str) -> Result<Option<CustomResourceDefinition>, Error> {
    let api: Api<CustomResourceDefinition> = Api::all(context.client.clone());
    api.get_opt(name).await.map_err(kube_error("read the definition"))
}

/// Compares what is installed with what this program was made for, and says what is missing when that is news.
pub(super) async fn compare(context: &Context) {
    let lacking = match lacking(context).await {
        Ok(lacking) => lacking,
        Err(error) => {
            tracing::warn!(event = "definitions_unread", error = error.chain());
            return;
        }
    };
    if context.board.definitions_lack(lacking.clone())
        && let Some(lacking) = lacking
    {
        tracing::warn!(event = "definitions_outdated", lacking, "apply crds/ of this version");
    }
}

/// What the installed definitions lack, in one line.
async fn lacking(context: &Context) -> Result<Option<String>, Error> {
    let mut lacking = Vec::new();
    for ours in crd::all().unwrap_or_default() {
        let name = ours.name_any();
        match installed(context, &name).await? {
            None => lacking.push(format!("{name} is not installed")),
            Some(found) => {
                let missing = missing(&ours, &found)?;
                if !missing.is_empty() {
                    let more = missing.len().saturating_sub(NAMED);
                    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                    let named: Vec<&str> = missing.iter().take(NAMED).map(String::as_str).collect();
                    lacking.push(format!("{name} lacks {}{more}", named.join(", ")));
                }
            }
        }
    }
    Ok((!lacking.is_empty()).then(|| lacking.join("; ")))
}

fn missing(ours: &CustomResourceDefinition, found: &CustomResourceDefinition) -> Result<Vec<String>, Error> {
    let schema = |definition: &CustomResourceDefinition| -> Result<Option<Value>, serde_json::Error> {
        let version = definition.spec.versions.iter().find(|version| version.name == crd::VERSION && version.served);
        version.map(|version| serde_json::to_value(&version.schema)).transpose()
    };
    let mut missing = Vec::new();
    match (schema(ours)?, schema(found)?) {
        (Some(ours), Some(found)) => {
            differences(&ours["openAPIV3Schema"], &found["openAPIV3Schema"], "", &mut missing);
        }
        _ => missing.push(format!("version {}", crd::VERSION)),
    }
    Ok(missing)
}

/// Fields and values that `ours` knows and `found` does not.
fn differences(ours: &Value, found: &Value, path: &str, missing: &mut Vec<String>) {
    for (name, schema) in ours["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match found["properties"].get(name) {
            Some(found) => differences(schema, found, &path, missing),
            // a schema that is open takes everything
            None if found["x-kubernetes-preserve-unknown-fields"] == true => {}
            None => missing.push(path),
        }
    }
    match (ours["enum"].as_array(), found["enum"].as_array()) {
        (Some(ours), Some(found)) => {
            let new = ours.iter().filter(|value| !found.contains(value));
            missing.extend(new.map(|value| format!("{path}={}", value.as_str().unwrap_or_default())));
        }
        (None, Some(found)) => {
            let known: Vec<&str> = found.iter().filter_map(Value::as_str).collect();
            missing.push(format!("{path} beyond {}", known.join(", ")));
        }
        (_, None) => {}
    }
    if ours["items"].is_object() {
        differences(&ours["items"], &found["items"], &format!("{path}[]"), missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> CustomResourceDefinition {
        crd::all().unwrap().remove(0)
    }

    #[test]
    fn a_definition_of_this_version_lacks_nothing() {
        for ours in crd::all().unwrap() {
            assert_eq!(missing(&ours, &ours).unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn an_older_definition_lacks_what_came_later() {
        let mut older = serde_json::to_value(server()).unwrap();
        let spec = &mut older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        spec.as_object_mut().unwrap().remove("dynamicClients").unwrap();
        spec["lifecycle"]["enum"] = serde_json::json!(["Draft"]);
        let older: CustomResourceDefinition = serde_json::from_value(older).unwrap();
        assert_eq!(missing(&server(), &older).unwrap(), ["spec.dynamicClients", "spec.lifecycle=Live"]);
    }

    #[test]
    fn an_older_definition_that_knows_some_values_only_lacks_the_others() {
        let mut older = serde_json::to_value(server()).unwrap();
        let status =
            &mut older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
        status["state"]["enum"] = serde_json::json!(["Draft", "Live"]);
        let older: CustomResourceDefinition = serde_json::from_value(older).unwrap();
        assert_eq!(missing(&server(), &older).unwrap(), ["status.state beyond Draft, Live"]);
    }

    #[test]
    fn a_definition_that_does_not_serve_the_version_lacks_it() {
        let mut older = server();
        older.spec.versions[0].served = false;
        assert_eq!(missing(&server(), &older).unwrap(), ["version v1alpha1"]);
    }
}
