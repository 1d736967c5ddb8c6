//! The table of legal and illegal objects: a legal base, what a row changes, and what must be said about it.

mod client;
mod provider;
mod resource_server;

use serde_json::{Value, json};

/// A change to an object: JSON pointer and value; null removes.
pub type Change = (&'static str, Value);

/// One row. `before` is there when it is a change that is judged.
pub struct Row {
    pub base: Value,
    pub before: Option<Vec<Change>>,
    pub after: Vec<Change>,
    /// Path and message of a refusal; `None` = accepted.
    pub refused: Option<(&'static str, &'static str)>,
}

impl Row {
    pub fn object(&self) -> Value {
        changed(&self.base, &self.after)
    }

    pub fn old(&self) -> Option<Value> {
        self.before.as_ref().map(|before| changed(&self.base, before))
    }
}

/// Rows of all kinds.
pub fn all() -> Vec<Row> {
    [client::rows(), resource_server::rows(), provider::rows(), common()].into_iter().flatten().collect()
}

/// A legal object of each kind.
pub fn bases() -> [Value; 3] {
    [client::base(), resource_server::base(), provider::base()]
}

/// Rules that every kind has.
fn common() -> Vec<Row> {
    let gone = "installation is immutable, also adding or removing it: delete the object and create another one";
    let selector = "selector is required with from: Selector and forbidden otherwise";
    let name = "/metadata/name";
    bases()
        .into_iter()
        .flat_map(|base| {
            let of = |rows: Vec<Row>| rows.into_iter().map(|row| Row { base: base.clone(), ..row }).collect::<Vec<_>>();
            of(vec![
                accepted(&base, vec![]),
                accepted(&base, vec![(name, json!("a".repeat(63)))]),
                refused(
                    &base,
                    vec![(name, json!("a".repeat(64)))],
                    "",
                    "metadata.name must be at most 63 characters long",
                ),
                accepted(&base, vec![("/spec/driftPolicy", json!({"mode": "Warn", "ignoreFields": ["displayName"]}))]),
                refused(
                    &base,
                    vec![("/spec/driftPolicy", json!({"ignoreFields": ["scopes"]}))],
                    "spec.driftPolicy.ignoreFields[0]",
                    "\"scopes\"",
                ),
                accepted(
                    &base,
                    vec![(
                        "/spec/allowedNamespaces",
                        json!({"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}),
                    )],
                ),
                accepted(&base, vec![("/spec/allowedNamespaces", json!({"from": "All"}))]),
                refused(
                    &base,
                    vec![("/spec/allowedNamespaces", json!({"from": "Selector"}))],
                    "spec.allowedNamespaces.selector",
                    selector,
                ),
                refused(
                    &base,
                    vec![("/spec/allowedNamespaces", json!({"from": "Same", "selector": {}}))],
                    "spec.allowedNamespaces.selector",
                    selector,
                ),
                changed_to(&base, vec![], vec![("/spec/installation", json!("a"))], Some(("spec.installation", gone))),
                changed_to(&base, vec![("/spec/installation", json!("a"))], vec![], Some(("spec.installation", gone))),
                changed_to(
                    &base,
                    vec![("/spec/installation", json!("a"))],
                    vec![("/spec/installation", json!("b"))],
                    Some(("spec.installation", gone)),
                ),
                changed_to(&base, vec![], vec![("/spec/deletionPolicy", json!("Retain"))], None),
                refused(&base, vec![("/spec/deletionPolicy", json!("Maybe"))], "spec.deletionPolicy", "\"Maybe\""),
            ])
        })
        .collect()
}

pub fn accepted(base: &Value, after: Vec<Change>) -> Row {
    Row { base: base.clone(), before: None, after, refused: None }
}

pub fn refused(base: &Value, after: Vec<Change>, path: &'static str, message: &'static str) -> Row {
    Row { base: base.clone(), before: None, after, refused: Some((path, message)) }
}

pub fn changed_to(
    base: &Value,
    before: Vec<Change>,
    after: Vec<Change>,
    refused: Option<(&'static str, &'static str)>,
) -> Row {
    Row { base: base.clone(), before: Some(before), after, refused }
}

fn changed(base: &Value, changes: &[Change]) -> Value {
    let mut object = base.clone();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")).as_object_mut().unwrap();
        match value {
            Value::Null => drop(parent.remove(name)),
            value => drop(parent.insert(name.to_owned(), value.clone())),
        }
    }
    object
}
