//! What the files say, file by file: the last good form of every object, and what is wrong now. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::domain::OwnerKey;
use crate::manifest::yaml::{self, Document, NamespaceDocument, SecretDocument};
use crate::manifest::{Object, ObjectKey};

use super::read::Files;

/// The documents that count, by what they are about.
#[derive(Debug, Default)]
pub struct World {
    files: BTreeMap<PathBuf, File>,
    pub objects: BTreeMap<OwnerKey, Object>,
    pub secrets: BTreeMap<ObjectKey, SecretDocument>,
    pub namespaces: BTreeMap<String, NamespaceDocument>,
    /// Objects whose document is wrong now, and why; their last good form, if there was one, is in `objects`.
    pub invalid: BTreeMap<OwnerKey, String>,
    /// A document somewhere could not even be told apart: whatever seems to be missing may be in it.
    pub unclear: bool,
}

/// One file as it is and as it last was.
#[derive(Debug, Default)]
struct File {
    text: String,
    documents: Vec<Document>,
    /// Whose documents are wrong, and what is wrong with them.
    invalid: BTreeMap<OwnerKey, String>,
    /// Faults of documents that nobody can be named for.
    unclear: bool,
}

/// What a look changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Lines for the log, one for each document that cannot be used.
    pub faults: Vec<String>,
    /// Whether any file is not what it was.
    pub any: bool,
}

impl World {
    /// Takes in a complete look at the folder.
    pub fn take(&mut self, looked: &Files) -> Change {
        let mut change = Change::default();
        let gone: Vec<PathBuf> = self.files.keys().filter(|path| !looked.contains_key(*path)).cloned().collect();
        for path in gone {
            self.files.remove(&path);
            change.any = true;
        }
        for (path, text) in looked {
            let file = self.files.entry(path.clone()).or_default();
            if file.text == *text && (file.unclear || !file.documents.is_empty() || !file.invalid.is_empty()) {
                continue;
            }
            change.any |= file.text != *text;
            file.text.clone_from(text);
            change.faults.extend(file.parse(path));
        }
        if change.any {
            change.faults.extend(self.assemble());
        }
        change
    }

    /// No document at all: a folder that was emptied, or is not the right one.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.invalid.is_empty()
    }

    /// Objects in use that refer to `key`.
    pub fn referrers(&self, key: &OwnerKey) -> impl Iterator<Item = &OwnerKey> {
        let target = ObjectKey::new(&key.namespace, &key.name);
        let kind = key.kind;
        self.objects.iter().filter_map(move |(owner, object)| {
            let needs = crate::manifest::needs(object);
            let named = match kind {
                crate::domain::Kind::ResourceServer => needs.resource_servers.contains_key(&target),
                crate::domain::Kind::OAuthClient => needs.clients.contains_key(&target),
                crate::domain::Kind::Provider => needs.providers.contains_key(&target),
            };
            named.then_some(owner)
        })
    }

    /// One document for each thing; of two that say different things the first file counts.
    fn assemble(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        self.objects.clear();
        self.secrets.clear();
        self.namespaces.clear();
        self.invalid.clear();
        self.unclear = self.files.values().any(|file| file.unclear);
        for (path, file) in &self.files {
            self.invalid.extend(file.invalid.clone());
            for document in &file.documents {
                let name = name(document);
                if !seen.insert(name.clone()) {
                    faults.push(format!("{}: {name} is defined in another place too, which counts", path.display()));
                    continue;
                }
                match document.clone() {
                    Document::Object(object) => drop(self.objects.insert(object.key(), object)),
                    Document::Secret(secret) => {
                        drop(self.secrets.insert(ObjectKey::new(&secret.namespace, &secret.name), secret));
                    }
                    Document::Namespace(namespace) => drop(self.namespaces.insert(namespace.name.clone(), namespace)),
                }
            }
        }
        faults
    }
}

impl File {
    /// Reads the text; what cannot be read keeps its last good documents.
    fn parse(&mut self, path: &Path) -> Vec<String> {
        let before = std::mem::take(&mut self.documents);
        (self.invalid, self.unclear) = (BTreeMap::new(), false);
        let mut faults = Vec::new();
        for document in yaml::read(&self.text) {
            match document {
                Ok(document) => self.documents.push(document),
                Err(error) => {
                    faults.push(format!("{}: {error}", path.display()));
                    match error.key {
                        Some(key) => {
                            let errors: Vec<String> = error.errors.iter().map(ToString::to_string).collect();
                            self.invalid.insert(key, errors.join("; "));
                        }
                        None => self.unclear = true,
                    }
                }
            }
        }
        let known: BTreeSet<String> = self.documents.iter().map(name).collect();
        let invalid: BTreeSet<String> = self.invalid.keys().map(ToString::to_string).collect();
        let kept = |document: &Document| {
            let name = name(document);
            !known.contains(&name) && (self.unclear || invalid.contains(&name))
        };
        let kept: Vec<Document> = before.into_iter().filter(kept).collect();
        self.documents.extend(kept);
        faults
    }
}

/// Kind, namespace and name as people write them.
fn name(document: &Document) -> String {
    match document {
        Document::Object(object) => object.key().to_string(),
        Document::Secret(secret) => format!("Secret/{}/{}", secret.namespace, secret.name),
        Document::Namespace(namespace) => format!("Namespace/{}", namespace.name),
    }
}

#[cfg(test)]
mod tests;
