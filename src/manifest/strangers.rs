//! List items that somebody other than the object's author put there, as server-side apply keeps them.
//!
//! A scope added by `kubectl patch` survives every later apply and shows in no diff, so it is named in `Accepted`.
//!
//! The author is whoever applies the object as a whole: the managers of operation Apply that hold its identity. What
//! an Update wrote beside them is a stranger's, even if it was there first, as after `kubectl create`: it stays when
//! the author drops it. Two authors are strangers to each other, else repeating the identity would hide an item.
//! Where nobody applies the whole, all Updates together are the author: create, replace, edit and client-side apply
//! write a list whole, so nothing hides from them, and that hands change is normal. Only partial applies stand out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kube::api::ObjectMeta;
use serde_json::{Value, json};

/// The lists of items with a name, as managedFields spell them.
const LISTS: &[&str] = &["scopes", "tools", "roles", "roleBindings", "fronting", "claimMappings"];
/// Required fields that never change, by which an author is known.
const IDENTITY: &[&str] = &["f:resourceURI", "f:type"];

/// An item that is not the author's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stranger {
    /// Where it is: `scopes[invoices.write]`.
    pub item: String,
    /// The field managers that hold it, sorted.
    pub managers: BTreeSet<String>,
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let managers: Vec<&str> = self.managers.iter().map(String::as_str).collect();
        write!(f, "{} ({})", self.item, managers.join(", "))
    }
}

/// What one entry of managedFields holds.
struct Hand<'a> {
    manager: &'a str,
    applies: bool,
    /// It holds what identifies the object.
    whole: bool,
    items: BTreeSet<String>,
}

/// Items that are not their author's, sorted. Empty without managedFields, as in a policy directory.
pub fn strangers(metadata: &ObjectMeta) -> Vec<Stranger> {
    let hands = hands(metadata);
    let authors: Vec<&Hand<'_>> = hands.iter().filter(|hand| hand.applies && hand.whole).collect();
    let is_authored = |item: &String| match authors.as_slice() {
        [] => hands.iter().any(|hand| !hand.applies && hand.items.contains(item)),
        authors => authors.iter().all(|author| author.items.contains(item)),
    };
    let mut held: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
    for hand in &hands {
        for item in hand.items.iter().filter(|item| !is_authored(item)) {
            held.entry(item).or_default().insert(hand.manager.to_owned());
        }
    }
    held.into_iter().map(|(item, managers)| Stranger { item: item.clone(), managers }).collect()
}

/// Leaves so much of managedFields that [`strangers`] says the same again; most often that is nothing at all, while
/// the whole can be as big as the object.
pub fn keep_strangers(metadata: &mut ObjectMeta) {
    let strangers = strangers(metadata);
    if strangers.is_empty() {
        metadata.managed_fields = None;
        return;
    }
    for entry in metadata.managed_fields.iter_mut().flatten() {
        let Some(fields) = &mut entry.fields_v1 else { continue };
        let mut kept = json!({});
        if let Some(spec) = fields.0.get("f:spec") {
            for field in IDENTITY.iter().filter(|field| spec.get(field).is_some()) {
                kept[*field] = json!({});
            }
            for (list, key, item) in items(spec) {
                if strangers.iter().any(|stranger| stranger.item == item) {
                    kept[list][key] = json!({});
                }
            }
        }
        fields.0 = json!({ "f:spec": kept });
    }
}

fn hands(metadata: &ObjectMeta) -> Vec<Hand<'_>> {
    let entries = metadata.managed_fields.iter().flatten().filter_map(|entry| {
        let spec = entry.fields_v1.as_ref()?.0.get("f:spec")?;
        Some(Hand {
            manager: entry.manager.as_deref().unwrap_or("unknown"),
            applies: entry.operation.as_deref() == Some("Apply"),
            whole: IDENTITY.iter().any(|field| spec.get(field).is_some()),
            items: items(spec).into_iter().map(|(_, _, item)| item).collect(),
        })
    });
    entries.collect()
}

/// `k:{"name":"a"}` below `f:scopes` → list, key and `scopes[a]`.
fn items(spec: &Value) -> Vec<(String, &String, String)> {
    let mut found = Vec::new();
    for list in LISTS {
        let field = format!("f:{list}");
        for key in spec.get(&field).and_then(Value::as_object).into_iter().flat_map(|list| list.keys()) {
            let Some(Ok(Value::Object(members))) = key.strip_prefix("k:").map(serde_json::from_str) else { continue };
            let names: Vec<&str> = members.values().filter_map(Value::as_str).collect();
            found.push((field.clone(), key, format!("{list}[{}]", names.join(","))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Entries as manager, operation, `whole` with the identity or `part`, and scopes.
    fn metadata(entries: &[&str]) -> ObjectMeta {
        let fields = json!({"f:status": {"f:state": {}}});
        let status = json!({"manager": "x", "operation": "Apply", "subresource": "status", "fieldsV1": fields});
        let mut all = vec![status];
        for entry in entries {
            let words: Vec<&str> = entry.split(' ').collect();
            let mut spec = json!({"f:lifecycle": {}, "f:scopes": {".": {}}});
            if words[2] == "whole" {
                spec["f:resourceURI"] = json!({});
            }
            for scope in &words[3..] {
                spec["f:scopes"][format!("k:{{\"name\":\"{scope}\"}}")] = json!({".": {}, "f:name": {}, "f:risk": {}});
            }
            all.push(json!({"manager": words[0], "operation": words[1], "fieldsV1": {"f:spec": spec}}));
        }
        serde_json::from_value(json!({ "managedFields": all })).unwrap()
    }

    #[rstest]
    #[case(&[], &[])]
    #[case(&["gitops Apply whole a b"], &[])]
    #[case(&["kubectl-create Update whole a"], &[])]
    #[case(&["kubectl-create Update whole a", "kubectl-edit Update part b"], &[])]
    #[case(&["gitops Apply whole a", "kubectl-edit Update part a b"], &["scopes[b] (kubectl-edit)"])]
    #[case(&["kubectl-create Update whole a", "gitops Apply whole a b"], &[])]
    #[case(&["kubectl-create Update whole a b", "gitops Apply whole a"], &["scopes[b] (kubectl-create)"])]
    #[case(&["gitops Apply whole a", "gitops Update part b"], &["scopes[b] (gitops)"])]
    #[case(&["kubectl-create Update whole a", "team Apply part a b"], &["scopes[b] (team)"])]
    #[case(&["gitops Apply whole a", "intruder Apply whole a b"], &["scopes[b] (intruder)"])]
    #[case(&["z Update part c b", "gitops Apply whole", "y Apply part b"], &["scopes[b] (y, z)", "scopes[c] (z)"])]
    fn an_item_that_is_not_the_authors_is_named_with_its_manager(#[case] entries: &[&str], #[case] expected: &[&str]) {
        let mut metadata = metadata(entries);
        let named = strangers(&metadata);
        assert_eq!(named.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        keep_strangers(&mut metadata);
        assert_eq!(strangers(&metadata), named, "what is kept says the same");
        assert_eq!(metadata.managed_fields.is_some(), !expected.is_empty(), "nothing is kept for nothing");
        let kept = serde_json::to_string(&metadata).unwrap();
        assert!(!kept.contains("f:risk") && !kept.contains("f:lifecycle") && !kept.contains("f:state"), "{kept}");
    }

    #[test]
    fn every_list_with_names_is_looked_at() {
        let spec = json!({
            "f:claimMappings": {"k:{\"claim\":\"groups\"}": {}}, "f:fronting": {"k:{\"name\":\"f\"}": {}},
            "f:roleBindings": {"k:{\"name\":\"b\"}": {}}, "f:roles": {"k:{\"name\":\"r\"}": {}},
            "f:scopes": {"k:{\"name\":\"s\"}": {}}, "f:tools": {"k:{\"name\":\"t\"}": {}},
        });
        let entries = json!({"managedFields": [
            {"manager": "gitops", "operation": "Apply", "fieldsV1": {"f:spec": {"f:type": {}}}},
            {"manager": "x", "operation": "Update", "fieldsV1": {"f:spec": spec}},
        ]});
        let named = strangers(&serde_json::from_value(entries).unwrap());
        let items: Vec<&str> = named.iter().map(|stranger| stranger.item.as_str()).collect();
        let expected = ["claimMappings[groups]", "fronting[f]", "roleBindings[b]", "roles[r]", "scopes[s]", "tools[t]"];
        assert_eq!(items, expected);
    }
}
