//! From policy rows back to custom resources: what the database holds, as files that the same database accepts.
//!
//! A document says what its row says, nothing more; that is tried here for each, and what a manifest cannot say is
//! noted beside it. No secret and no hash leaves: a client's document asks for a generated secret, and those that are
//! live work on through the overlap. An unowned row refers to clients by their ids, because an object that was not
//! applied yet is not there to be referred to.

mod client;
mod names;
mod provider;
mod resource_server;

use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Object, ObjectKey, Policy, References, Resolved, Trusted, desired, json, needs};
use crate::crd;
use crate::domain::client::Origin;
use crate::domain::policy::Entity;
use crate::domain::{DeletionPolicy, Kind, Managed, OwnerKey, Spec};

use names::Names;

/// A policy row with what is remembered of its owner.
pub type Row = (Entity, Option<Managed>);

/// Which rows are exported, and where to.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The namespace of documents for rows that nobody owns.
    pub namespace: String,
    pub kind: Option<Kind>,
    pub id: Option<String>,
    /// Only rows that nobody owns.
    pub unowned: bool,
}

/// One row as a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    pub owner: OwnerKey,
    pub object: Object,
    /// What its reader should know.
    pub notes: Vec<String>,
    /// The document without the notes.
    pub yaml: String,
}

impl Exported {
    /// The document with its notes as comments.
    pub fn text(&self) -> String {
        let comments: String = self.notes.iter().map(|note| format!("# {}\n", plain(note))).collect();
        format!("---\n{comments}{}", self.yaml)
    }

    /// `OAuthClient-web-portal.yaml`
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.yaml", self.owner.kind, self.owner.namespace, self.owner.name)
    }
}

/// A comment ends with its line.
fn plain(note: &str) -> String {
    note.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The rows that are wanted, as documents in an order in which they can be applied. Clients that registered themselves
/// or are described by a document of their own are nobody's to manage and are left out.
pub fn export(rows: &[Row], wanted: &Wanted, policy: &Policy) -> Vec<Exported> {
    let rows: Vec<&Row> = rows.iter().filter(|(entity, _)| is_manageable(entity)).collect();
    let names = Names::of(&rows, &wanted.namespace);
    let policy = Policy { trusted: Trusted::All, ..policy.clone() };
    let order = [Kind::Provider, Kind::ResourceServer, Kind::OAuthClient];
    let mut exported: Vec<Exported> = rows
        .iter()
        .filter(|(entity, managed)| {
            wanted.kind.is_none_or(|kind| kind == entity.spec.kind())
                && wanted.id.as_ref().is_none_or(|id| *id == entity.id)
                && !(wanted.unowned && managed.is_some())
        })
        .filter_map(|(entity, managed)| one(entity, managed.as_ref(), &names, &policy))
        .collect();
    exported.sort_by(|a, b| {
        let place = |kind| order.iter().position(|other| *other == kind);
        (place(a.owner.kind), &a.owner).cmp(&(place(b.owner.kind), &b.owner))
    });
    exported
}

fn is_manageable(entity: &Entity) -> bool {
    !matches!(entity.spec, Spec::Client(_)) || Origin::of(&entity.id) == Origin::Managed
}

/// What one row is written with.
struct Writer<'a> {
    entity: &'a Entity,
    owned: bool,
    own: &'a ObjectKey,
    names: &'a Names,
    notes: Vec<String>,
}

impl Writer<'_> {
    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// A word of a closed set, as the custom resource spells it.
    fn word<T: DeserializeOwned + Default>(&mut self, field: &str, text: &str) -> T {
        self.value(field, &Value::from(text)).unwrap_or_default()
    }

    /// A part that is kept as the custom resource has it; null is nothing.
    fn value<T: DeserializeOwned>(&mut self, field: &str, value: &Value) -> Option<T> {
        if value.is_null() {
            return None;
        }
        let read = serde_json::from_value(value.clone()).ok();
        if read.is_none() {
            self.note(format!("{field} holds what no manifest can say, and is left out"));
        }
        read
    }

    /// The name that people see, unless it is the object's own.
    fn display_name(&self, name: &str) -> Option<String> {
        (name != self.own.name).then(|| name.to_owned())
    }

    /// How this object names another row; nothing when there is none.
    fn reference(&mut self, kind: Kind, id: &str, field: &str) -> Option<crd::reference::ObjectRef> {
        let Some(key) = self.names.key(kind, id) else {
            self.note(format!("{field}: there is no {kind} {id} any more, so the reference is left out"));
            return None;
        };
        let namespace = (key.namespace != self.own.namespace).then(|| key.namespace.clone());
        Some(crd::reference::ObjectRef { name: key.name.clone(), namespace })
    }
}

fn one(entity: &Entity, managed: Option<&Managed>, names: &Names, policy: &Policy) -> Option<Exported> {
    let kind = entity.spec.kind();
    let own = names.key(kind, &entity.id)?;
    let mut writer = Writer { entity, owned: managed.is_some(), own, names, notes: Vec::new() };
    if managed.is_none() {
        writer.note(format!("nobody owns {kind} {}; whoever may adopt it manages it from here on", entity.id));
    }
    let deletion = match managed.map(|managed| managed.deletion) {
        Some(DeletionPolicy::Retain) => crd::common::DeletionPolicy::Retain,
        Some(DeletionPolicy::Delete) | None => crd::common::DeletionPolicy::Delete,
    };
    let mut object: Object = match &entity.spec {
        Spec::ResourceServer(spec) => resource_server::object(&mut writer, spec, deletion).into(),
        Spec::Client(spec) => client::object(&mut writer, spec, deletion).into(),
        Spec::Provider(spec) => provider::object(&mut writer, spec, deletion)?.into(),
    };
    let metadata =
        ObjectMeta { name: Some(own.name.clone()), namespace: Some(own.namespace.clone()), ..ObjectMeta::default() };
    match &mut object {
        Object::ResourceServer(object) => object.metadata = metadata,
        Object::OAuthClient(object) => object.metadata = metadata,
        Object::Provider(object) => object.metadata = metadata,
    }
    let mut notes = writer.notes;
    notes.extend(differences(&object, entity, names, policy));
    let value = lean(document(&object));
    if let Err(errors) = crd::validate(&value, None) {
        notes.extend(errors.into_iter().map(|error| format!("not legal: {error}")));
    }
    let yaml = serde_saphyr::to_string(&value).ok()?;
    Some(Exported { owner: OwnerKey::new(kind, &own.namespace, &own.name), object, notes, yaml })
}

/// What applying the document would not make of the row again.
fn differences(object: &Object, entity: &Entity, names: &Names, policy: &Policy) -> Vec<String> {
    let needs = needs(object);
    let all = |kind, keys: Vec<&ObjectKey>| {
        let of = |key: &ObjectKey| names.id(kind, key).map_or(Resolved::Missing, |id| Resolved::Found(id.to_owned()));
        keys.into_iter().map(|key| (key.clone(), of(key))).collect()
    };
    let references = References {
        resource_servers: all(Kind::ResourceServer, needs.resource_servers.keys().collect()),
        clients: all(Kind::OAuthClient, needs.clients.keys().collect()),
        providers: all(Kind::Provider, needs.providers.keys().collect()),
        ..References::default()
    };
    match desired(object, &references, policy) {
        Err(invalid) => invalid.errors.into_iter().map(|error| format!("not legal: {error}")).collect(),
        Ok(desired) => {
            let (wanted, there) = (desired.spec.fields(), entity.spec.fields());
            let differs = |path: &&String| wanted.get(*path) != there.get(*path);
            let mut paths: Vec<&String> = wanted.keys().chain(there.keys()).filter(differs).collect();
            paths.sort();
            paths.dedup();
            paths.into_iter().map(|path| format!("{path}: the row has what a manifest cannot say")).collect()
        }
    }
}

fn document(object: &Object) -> Value {
    match object {
        Object::ResourceServer(object) => json(&**object),
        Object::OAuthClient(object) => json(&**object),
        Object::Provider(object) => json(&**object),
    }
}

/// The document without what an API server would fill in again.
fn lean(document: Value) -> Value {
    let Some(full) = filled(&document) else { return document };
    let mut lean = full.clone();
    for path in paths(&full["spec"], "/spec") {
        let mut without = lean.clone();
        if remove(&mut without, &path) && filled(&without).as_ref() == Some(&full) {
            lean = without;
        }
    }
    lean
}

/// As an API server would complete it, without the status, which is not the author's.
fn filled(document: &Value) -> Option<Value> {
    let mut full = document.clone();
    crd::default(&mut full).ok()?;
    full.as_object_mut()?.remove("status");
    Some(full)
}

/// JSON pointers of all members of objects, the innermost first.
fn paths(value: &Value, at: &str) -> Vec<String> {
    let members = value.as_object().into_iter().flatten();
    members
        .flat_map(|(name, member)| {
            let path = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            let mut inner = paths(member, &path);
            inner.push(path);
            inner
        })
        .collect()
}

fn remove(value: &mut Value, path: &str) -> bool {
    let Some((parent, name)) = path.rsplit_once('/') else { return false };
    let name = name.replace("~1", "/").replace("~0", "~");
    let parent: Option<&mut Map<String, Value>> = value.pointer_mut(parent).and_then(Value::as_object_mut);
    parent.is_some_and(|members| members.remove(&name).is_some())
}

#[cfg(test)]
mod tests;
