//! The largest legal object of each kind is accepted: a rule may install and then run out of budget on what it allows.

use holdfast::crd;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Map, Value, json};

use crate::support::cluster;

/// What cannot be told from the schema: members of a union that is not chosen (null), and values that refer to others.
type Choice = fn(path: &str, index: usize) -> Option<Value>;

/// A string of exactly `max` characters that differs by index and fits every pattern of a name.
fn text(max: u64, index: usize) -> String {
    let number = format!("a{index}");
    let fill = usize::try_from(max).unwrap().saturating_sub(number.len());
    format!("{}{number}", "a".repeat(fill))
}

fn url(max: u64, index: usize) -> String {
    let head = "https://a.example/";
    format!("{head}{}", text(max - head.len() as u64, index))
}

fn largest(schema: &Value, path: &str, index: usize, choice: Choice) -> Value {
    if let Some(value) = choice(path, index) {
        return value;
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().max_by_key(|v| v.as_str().map(str::len)).unwrap().clone();
    }
    let limit = |name: &str| schema[name].as_u64();
    match schema["type"].as_str().unwrap_or_default() {
        "string" if schema["format"] == "date-time" => json!("2026-11-22T10:00:00.123456789+01:00"),
        "string" => {
            let max = limit("maxLength").unwrap_or_else(|| panic!("{path} has no maxLength"));
            let rules = schema["x-kubernetes-validations"].to_string();
            json!(if rules.contains("https://") { url(max, index) } else { text(max, index) })
        }
        "integer" => json!(schema["maximum"].as_f64().unwrap() as i64),
        "array" => {
            let max = limit("maxItems").unwrap_or_else(|| panic!("{path} has no maxItems"));
            if let Some(values) = schema["items"]["enum"].as_array() {
                return json!(values.iter().take(usize::try_from(max).unwrap()).collect::<Vec<_>>());
            }
            let path = format!("{path}[]");
            (0..usize::try_from(max).unwrap()).map(|i| largest(&schema["items"], &path, i, choice)).collect()
        }
        _ if schema["x-kubernetes-preserve-unknown-fields"] == true => json!({"k": "v"}),
        _ => object(schema, path, index, choice),
    }
}

fn object(schema: &Value, path: &str, index: usize, choice: Choice) -> Value {
    let mut members = Map::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let value = largest(property, &format!("{path}.{name}"), index, choice);
        if !value.is_null() {
            members.insert(name.clone(), value);
        }
    }
    if let Some(max) = schema["maxProperties"].as_u64() {
        for i in 0..usize::try_from(max).unwrap() {
            let value = largest(&schema["additionalProperties"], path, i, choice);
            members.insert(format!("{}/{}", text(253, i), text(63, i)), value);
        }
    }
    Value::Object(members)
}

fn client(path: &str, _: usize) -> Option<Value> {
    Some(match path {
        "spec.authentication.method" => json!("ClientSecretBasic"),
        "spec.authentication.jwks" | "spec.authentication.jwksURI" | "spec.authentication.workloadIdentity" => {
            Value::Null
        }
        "spec.authentication.secret.source" => json!("Generated"),
        "spec.authentication.secret.keys.clientID" => json!(text(253, 1)),
        "spec.authentication.secret.keys.clientSecret" => json!(text(253, 2)),
        "spec.allowedNamespaces.from" => json!("Selector"),
        _ => return None,
    })
}

fn client_with_keys(path: &str, index: usize) -> Option<Value> {
    Some(match path {
        "spec.authentication.method" => json!("PrivateKeyJWT"),
        "spec.authentication.jwks" => return None,
        "spec.authentication.secret" => Value::Null,
        _ => return client(path, index),
    })
}

/// Scopes of tools and roles are the last of the catalogue, where looking them up costs most.
fn resource_server(path: &str, index: usize) -> Option<Value> {
    Some(match path {
        "spec.tokenSource.type" => json!("Broker"),
        "spec.tools[].access" => json!("Scoped"),
        "spec.tools[].scopes[]" | "spec.roles[].scopes[]" => json!(text(128, 255 - index)),
        "spec.roleBindings[].role" => json!(text(63, 31)),
        "spec.roleBindings[].subjects" => {
            json!([{"kind": "Client", "name": text(256, 0)}, {"kind": "Client", "name": text(256, 1)}])
        }
        "spec.exchange.mode" => json!("Listed"),
        "spec.allowedNamespaces.from" => json!("Selector"),
        _ => return None,
    })
}

fn provider(path: &str, _: usize) -> Option<Value> {
    Some(match path {
        "spec.type" => json!("OAuth2"),
        "spec.oidc" | "spec.apiKey" | "spec.signedAssertion" => Value::Null,
        "spec.allowedNamespaces.from" => json!("Selector"),
        _ => return None,
    })
}

#[tokio::test]
async fn the_largest_legal_objects_are_accepted() {
    let client_ = cluster::client().await;
    cluster::install_crds(&client_).await;
    let namespace = cluster::namespace(&client_).await;
    let choices: [(&str, Choice); 4] = [
        ("OAuthClient", client),
        ("OAuthClient", client_with_keys),
        ("ResourceServer", resource_server),
        ("Provider", provider),
    ];
    for (kind, choice) in choices {
        let definition = crd::all().unwrap().into_iter().find(|d| d.spec.names.kind == kind).unwrap();
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        let spec = largest(&schema["openAPIV3Schema"]["properties"]["spec"], "spec", 0, choice);
        let object =
            json!({"apiVersion": crd::API_VERSION, "kind": kind, "metadata": {"name": text(63, 0)}, "spec": spec});
        let size = object.to_string().len();
        assert!(size > 200_000, "{kind} is only {size} bytes");
        crd::validate(&object, None).unwrap_or_else(|e| panic!("{kind}: {e:?}"));
        holdfast::manifest::Object::from_value(object.clone()).unwrap_or_else(|e| panic!("{kind}: {e}"));
        let gvk = GroupVersionKind::gvk(crd::GROUP, crd::VERSION, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, &definition.spec.names.plural);
        let api: Api<DynamicObject> = Api::namespaced_with(client_.clone(), &namespace, &resource);
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let created =
            api.create(&PostParams::default(), &object).await.unwrap_or_else(|e| panic!("{kind}, {size} bytes: {e}"));
        // rules about changes have a budget too
        let mut again = created.clone();
        again.data["spec"]["displayName"] = json!("changed");
        api.replace(&text(63, 0), &PostParams::default(), &again).await.unwrap_or_else(|e| panic!("{kind}: {e}"));
        api.delete(&text(63, 0), &DeleteParams::default()).await.unwrap();
    }
}
