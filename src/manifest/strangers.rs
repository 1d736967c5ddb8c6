//! List items that somebody other than the object's author put there, as server-side apply keeps them.
//!
//! A scope added by `kubectl patch` survives every later apply and shows in no diff, so it is named in `Accepted`.

use std::collections::BTreeSet;

use kube::api::ObjectMeta;
use serde_json::Value;

/// The lists of items with a name, as managedFields spell them.
const LISTS: &[&str] = &["scopes", "tools", "roles", "roleBindings", "fronting", "claimMappings"];
/// Required fields, by which the author of an object is known.
const AUTHORS: &[&str] = &["f:resourceURI", "f:type", "f:grantTypes"];

/// Items of which no author of the object owns anything: `scopes[invoices.write]`, sorted. Empty without
/// managedFields, as in a policy directory.
pub fn strangers(metadata: &ObjectMeta) -> Vec<String> {
    let (mut authored, mut all) = (BTreeSet::new(), BTreeSet::new());
    for entry in metadata.managed_fields.iter().flatten() {
        let Some(spec) = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:spec")) else { continue };
        let items = items(spec);
        if AUTHORS.iter().any(|field| spec.get(field).is_some()) {
            authored.extend(items.iter().cloned());
        }
        all.extend(items);
    }
    all.difference(&authored).cloned().collect()
}

/// `k:{"name":"a"}` below `f:scopes` → `scopes[a]`.
fn items(spec: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for list in LISTS {
        for key in spec.get(format!("f:{list}")).and_then(Value::as_object).into_iter().flat_map(|list| list.keys()) {
            let Some(Ok(Value::Object(members))) = key.strip_prefix("k:").map(serde_json::from_str) else { continue };
            let names: Vec<&str> = members.values().filter_map(Value::as_str).collect();
            found.push(format!("{list}[{}]", names.join(",")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_that_no_author_owns_is_named() {
        let entry = |manager: &str, spec: Value| json!({"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": spec}});
        let metadata = json!({"managedFields": [
            entry("gitops", json!({"f:resourceURI": {}, "f:scopes": {".": {}, "k:{\"name\":\"a\"}": {"f:name": {}}}})),
            entry("kubectl-patch", json!({"f:scopes": {"k:{\"name\":\"a\"}": {"f:risk": {}}, "k:{\"name\":\"b\"}": {"f:name": {}}}, "f:lifecycle": {}})),
            {"manager": "holdfast", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
        ]});
        let metadata: ObjectMeta = serde_json::from_value(metadata).unwrap();
        assert_eq!(strangers(&metadata), ["scopes[b]"]);
        assert!(strangers(&ObjectMeta::default()).is_empty());
    }
}
