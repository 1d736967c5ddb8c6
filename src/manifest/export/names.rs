//! What rows are called in manifests: by their owners, or by a legal name made of what people call them.

use std::collections::{BTreeMap, HashMap};

use super::Row;
use crate::domain::policy::Entity;
use crate::domain::{Kind, Spec};
use crate::manifest::ObjectKey;

/// The longest name of an object.
const LONGEST: usize = 63;

/// Names of rows and back.
pub(super) struct Names {
    keys: HashMap<(Kind, String), ObjectKey>,
    ids: BTreeMap<(Kind, ObjectKey), String>,
    owned: HashMap<(Kind, String), bool>,
}

impl Names {
    /// Rows that nobody owns are given a name in `namespace` that no other row of their kind has.
    pub fn of(rows: &[&Row], namespace: &str) -> Self {
        let mut names = Self { keys: HashMap::new(), ids: BTreeMap::new(), owned: HashMap::new() };
        for (entity, managed) in rows {
            if let Some(managed) = managed {
                names.put(entity, ObjectKey::new(&managed.owner.key.namespace, &managed.owner.key.name), true);
            }
        }
        for (entity, _) in rows.iter().filter(|(_, managed)| managed.is_none()) {
            let kind = entity.spec.kind();
            let base = legal(&called(entity), kind);
            let name = (1..)
                .map(|number| if number == 1 { base.clone() } else { numbered(&base, number) })
                .find(|name| !names.ids.contains_key(&(kind, ObjectKey::new(namespace, name))));
            names.put(entity, ObjectKey::new(namespace, name.unwrap_or(base)), false);
        }
        names
    }

    fn put(&mut self, entity: &Entity, key: ObjectKey, owned: bool) {
        let row = (entity.spec.kind(), entity.id.clone());
        self.ids.insert((row.0, key.clone()), entity.id.clone());
        self.owned.insert(row.clone(), owned);
        self.keys.insert(row, key);
    }

    pub fn key(&self, kind: Kind, id: &str) -> Option<&ObjectKey> {
        self.keys.get(&(kind, id.to_owned()))
    }

    pub fn id(&self, kind: Kind, key: &ObjectKey) -> Option<&str> {
        self.ids.get(&(kind, key.clone())).map(String::as_str)
    }

    pub fn is_owned(&self, kind: Kind, id: &str) -> bool {
        self.owned.get(&(kind, id.to_owned())).copied().unwrap_or(false)
    }
}

/// What people call a row.
fn called(entity: &Entity) -> String {
    match &entity.spec {
        Spec::ResourceServer(spec) => spec.resource_uri.split_once("://").map_or("", |(_, rest)| rest).to_owned(),
        Spec::Client(_) => entity.id.clone(),
        Spec::Provider(spec) => spec.display_name.clone(),
    }
}

/// Lower case, digits and single dashes between a letter or digit and another.
fn legal(text: &str, kind: Kind) -> String {
    let mut name = String::new();
    for c in text.chars().take(256) {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(LONGEST);
    let name = name.trim_end_matches('-');
    if name.is_empty() { kind.short().to_owned() } else { name.to_owned() }
}

fn numbered(base: &str, number: u32) -> String {
    let end = format!("-{number}");
    let kept: String = base.chars().take(LONGEST - end.len()).collect();
    format!("{}{end}", kept.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_legal_whatever_it_is_made_of() {
        let of = |text: &str| legal(text, Kind::ResourceServer);
        assert_eq!(of("Billing.example.com:8080/mcp/"), "billing-example-com-8080-mcp");
        assert_eq!((of("☺").as_str(), of("--").as_str()), ("rsrv", "rsrv"));
        assert_eq!(of(&format!("{}-{}", "a".repeat(62), "b")), "a".repeat(62));
        assert_eq!(numbered(&"a".repeat(63), 12), format!("{}-12", "a".repeat(60)));
    }
}
