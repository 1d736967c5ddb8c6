//! `POST /admin/plan`: what these documents would do, were they applied now; nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use super::Parts;
use super::authenticate::Admin;
use super::call::{Call, Refused, query};
use crate::domain::{Kind, Managed, OwnerKey};
use crate::http::extract::{media_type, read_at_most};
use crate::http::respond;
use crate::manifest::{self, FieldError, Known, Object, Policy, Together, yaml};
use crate::metrics::{Entity, Operation};
use crate::oauth::Role;
use crate::provision::{Draft, DryRun, Planned};

/// The largest stream of documents, in bytes.
const MAX_BODY: usize = 4 << 20;
/// How often objects are tried, until no id that others refer to changes any more.
const MAX_PASSES: usize = 8;
/// The form of documents.
const YAML: [&str; 3] = ["application/yaml", "application/x-yaml", "text/yaml"];

#[derive(Serialize)]
struct Answer {
    /// How many objects by action.
    summary: BTreeMap<String, usize>,
    /// In the order of the documents; what would be pruned comes last.
    objects: Vec<Item>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item {
    Planned(Box<Told>),
    Invalid(Invalid),
}

#[derive(Serialize)]
struct Told {
    /// None of an object that would be pruned.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(flatten)]
    planned: Planned,
    /// References that do not resolve.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unresolved: Vec<Field>,
    /// What cannot be known here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<Field>,
}

/// A document that is not to be used; what was applied before it stays in force.
#[derive(Serialize)]
struct Invalid {
    line: usize,
    /// As far as it can be read.
    owner: Option<OwnerKey>,
    action: &'static str,
    fields: Vec<Field>,
}

#[derive(Clone, Serialize)]
struct Field {
    field: String,
    message: String,
}

impl From<FieldError> for Field {
    fn from(error: FieldError) -> Self {
        Self { field: error.path, message: error.message }
    }
}

/// What is asked for beside the documents.
struct Asked {
    namespace: String,
    prune: BTreeSet<String>,
}

pub async fn post(State(parts): State<Parts>, admin: Admin, request: Request) -> Response {
    let call = Call::new(&parts, Entity::Resource, Operation::Plan, "plan");
    call.read(admin, Role::Viewer, async {
        let asked = asked(request.uri().query())?;
        let text = documents(request).await?;
        let namespace = asked.namespace.clone();
        // schema and CEL take their time
        let together = tokio::task::spawn_blocking(move || Together::read(&text, &namespace)).await;
        let together = together.map_err(|_| Refused::from(respond::fault()))?;
        let run = parts.provisioner.dry_run().await?;
        Plan { run, together, policy: parts.policy, pruned: BTreeSet::new() }.answer(&asked.prune).await
    })
    .await
}

fn asked(text: Option<&str>) -> Result<Asked, Refused> {
    let mut asked = Asked { namespace: yaml::DEFAULT_NAMESPACE.to_owned(), prune: BTreeSet::new() };
    for (name, value) in query(text, &["namespace", "prune"])? {
        let names: BTreeSet<String> = value.split(',').map(str::to_owned).collect();
        if names.iter().any(|name| !yaml::is_namespace(name)) {
            return Err(Refused::bad(&format!("{name}: must be a namespace")));
        }
        match name.as_str() {
            "prune" => asked.prune = names,
            _ if names.len() == 1 => asked.namespace = value,
            _ => return Err(Refused::bad("namespace: must be one namespace")),
        }
    }
    Ok(asked)
}

async fn documents(request: Request) -> Result<String, Refused> {
    if media_type(request.headers()).is_none_or(|media| !YAML.iter().any(|yaml| media.eq_ignore_ascii_case(yaml))) {
        let text = "the body must be application/yaml";
        return Err(respond::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", text).into());
    }
    let body = read_at_most(request.into_body(), MAX_BODY).await?;
    String::from_utf8(body.to_vec()).map_err(|_| Refused::bad("the body is not UTF-8"))
}

/// One plan under way.
struct Plan {
    run: DryRun,
    together: Together,
    policy: Arc<Policy>,
    pruned: BTreeSet<OwnerKey>,
}

/// A document that can be used, and what of it leads nowhere.
struct Drafted {
    draft: Draft,
    unresolved: Vec<Field>,
    unknown: Vec<Field>,
}

/// What became of one document in one pass.
enum Tried {
    Drafted(Box<Drafted>),
    Invalid(Vec<Field>),
    /// Another installation's.
    Ignored,
}

impl Plan {
    async fn answer(mut self, prune: &BTreeSet<String>) -> Result<Answer, Refused> {
        let removed = self.removed(prune).await?;
        self.pruned = removed.iter().map(|draft| draft.owner().clone()).collect();
        let tried = self.settled().await?;
        let mut items = Vec::new();
        for error in std::mem::take(&mut self.together.faults) {
            items.push((error.line, Item::invalid(error.line, error.key, fields(error.errors))));
        }
        let lines: BTreeMap<OwnerKey, usize> =
            self.together.objects.iter().map(|(line, object)| (object.key(), *line)).collect();
        for (owner, tried) in tried {
            let line = lines.get(&owner).copied().unwrap_or_default();
            match tried {
                Tried::Ignored => {}
                Tried::Invalid(fields) => items.push((line, Item::invalid(line, Some(owner), fields))),
                Tried::Drafted(drafted) => {
                    let Drafted { draft, unresolved, unknown } = *drafted;
                    let planned = self.run.finish(draft).await?;
                    let told = Told { line: Some(line), planned, unresolved, unknown };
                    items.push((line, Item::Planned(Box::new(told))));
                }
            }
        }
        items.sort_by_key(|(line, _)| *line);
        let mut objects: Vec<Item> = items.into_iter().map(|(_, item)| item).collect();
        for draft in removed {
            let planned = self.run.finish(draft).await?;
            objects.push(Item::Planned(Box::new(Told { line: None, planned, unresolved: vec![], unknown: vec![] })));
        }
        let mut summary: BTreeMap<String, usize> = BTreeMap::new();
        for item in &objects {
            *summary.entry(item.action()).or_default() += 1;
        }
        Ok(Answer { summary, objects })
    }

    /// Objects in the pruned namespaces that no document is about. One whose document is wrong is not absent.
    async fn removed(&mut self, namespaces: &BTreeSet<String>) -> Result<Vec<Draft>, Refused> {
        if namespaces.is_empty() {
            return Ok(Vec::new());
        }
        if self.together.faults.iter().any(|fault| fault.key.is_none()) {
            return Err(Refused::bad("prune: a document cannot be told apart, so nobody can say what is missing"));
        }
        let wrong = self.together.faults.iter().filter_map(|fault| fault.key.clone());
        let named: BTreeSet<OwnerKey> = self.together.objects.iter().map(|(_, o)| o.key()).chain(wrong).collect();
        let mut drafts = Vec::new();
        for (owner, policy) in self.run.owners().await? {
            if namespaces.contains(&owner.namespace) && !named.contains(&owner) {
                drafts.push(self.run.removal(&owner, policy).await?);
            }
        }
        Ok(drafts)
    }

    /// Tries all objects until the ids by which they refer to each other are the same as the time before.
    async fn settled(&mut self) -> Result<Vec<(OwnerKey, Tried)>, Refused> {
        let mut objects: Vec<Object> = self.together.objects.iter().map(|(_, object)| object.clone()).collect();
        let order = [Kind::Provider, Kind::ResourceServer, Kind::OAuthClient];
        objects.sort_by_key(|object| order.iter().position(|kind| *kind == object.kind()));
        let mut ids: BTreeMap<OwnerKey, Option<String>> = BTreeMap::new();
        let mut tried = Vec::new();
        for _ in 0..MAX_PASSES {
            self.run.again();
            tried = Vec::new();
            let before = ids.clone();
            for object in &objects {
                let owner = object.key();
                let one = self.attempt(object, &ids).await?;
                let id = match &one {
                    Tried::Drafted(drafted) => drafted.draft.id(),
                    Tried::Invalid(_) | Tried::Ignored => self.run.in_force(&owner).map(|(id, _)| id),
                };
                ids.insert(owner.clone(), id);
                tried.push((owner, one));
            }
            if ids == before {
                break;
            }
        }
        Ok(tried)
    }

    async fn attempt(&mut self, object: &Object, ids: &BTreeMap<OwnerKey, Option<String>>) -> Result<Tried, Refused> {
        if !manifest::is_ours(object, &self.policy) {
            return Ok(Tried::Ignored);
        }
        let owner = self.run.known_owner(&object.key()).await?;
        let remembered = self.run.remembered(&owner.key).await?.filter(|managed| managed.deleted_at.is_none());
        let known = |target: &OwnerKey| {
            let there = self.run.in_force(target).filter(|_| !self.pruned.contains(target));
            let (id, allowed) = there.map(|(id, allowed)| (Some(id), allowed)).unwrap_or_default();
            let id = ids.get(target).cloned().unwrap_or(id)?;
            Some(Known { id, allowed })
        };
        let looked = self.together.look(object, known, &live(remembered.as_ref()), &owner.namespace_uid);
        let mut desired = match manifest::desired(object, &looked.references, &self.policy) {
            Ok(desired) => desired,
            Err(invalid) => return Ok(Tried::Invalid(fields(invalid.errors))),
        };
        desired.owner = owner;
        if let Some(Managed { entity_id, last_applied: Some(last), .. }) = &remembered {
            if let Err(invalid) = manifest::immutable::check(&desired, entity_id, last) {
                return Ok(Tried::Invalid(fields(invalid.errors)));
            }
            desired.known_id = desired.known_id.or_else(|| Some(entity_id.clone()));
        }
        let draft = self.run.attempt(&desired).await?;
        let unknown = fields(looked.unknown);
        let unresolved = manifest::unresolved(object, &looked.references).into_iter().map(|u| Field::from(u.error));
        let unresolved = unresolved.filter(|one| !unknown.iter().any(|other| other.field == one.field)).collect();
        Ok(Tried::Drafted(Box::new(Drafted { draft, unresolved, unknown })))
    }
}

impl Item {
    fn invalid(line: usize, owner: Option<OwnerKey>, fields: Vec<Field>) -> Self {
        Self::Invalid(Invalid { line, owner, action: "invalid", fields })
    }

    fn action(&self) -> String {
        match self {
            Self::Planned(told) => told.planned.action.as_str().to_owned(),
            Self::Invalid(invalid) => invalid.action.to_owned(),
        }
    }
}

fn fields(errors: Vec<FieldError>) -> Vec<Field> {
    errors.into_iter().map(Field::from).collect()
}

/// Every text in what was applied last: the ids that are in force are among them.
fn live(managed: Option<&Managed>) -> BTreeSet<String> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::String(text) => drop(found.insert(text.clone())),
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(members) => members.values().for_each(|member| collect(member, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    let last = managed.and_then(|managed| managed.last_applied.as_ref());
    last.iter().flat_map(|spec| spec.fields().into_values()).for_each(|value| collect(&value, &mut found));
    found
}
