//! What `config/` holds: samples that work out of the box, and one that is refused.

use std::path::PathBuf;

use holdfast::manifest::yaml::{Document, read};
use holdfast::manifest::{Object, Policy, References, Trusted, desired};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_samples_are_accepted_and_resolve_among_themselves() {
    let documents: Vec<Document> = files("samples")
        .iter()
        .flat_map(|path| read(&std::fs::read_to_string(path).unwrap()))
        .collect::<Result<_, _>>()
        .unwrap();
    let policy = Policy { trusted: Trusted::Only(["somewhere".to_owned()].into()), ..Policy::default() };
    let mut kinds = Vec::new();
    for document in &documents {
        let Document::Object(object) = document else { continue };
        assert_eq!(object.namespace(), "default");
        desired(object, &References::default(), &policy).unwrap();
        kinds.push(object.kind().as_str());
        let needs = holdfast::manifest::needs(object);
        for key in needs.resource_servers.keys() {
            let there = |d: &Document| matches!(d, Document::Object(Object::ResourceServer(r)) if r.metadata.name.as_deref() == Some(&key.name));
            assert!(documents.iter().any(there), "{key}");
        }
        for key in needs.secrets.keys() {
            let there = |d: &Document| matches!(d, Document::Secret(s) if s.name == key.name && s.resolve(key).found().is_some());
            assert!(documents.iter().any(there), "{key:?}");
        }
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["OAuthClient", "Provider", "ResourceServer"]);
}

#[test]
fn the_illegal_sample_is_refused_with_the_message_in_its_comment() {
    for path in files("illegal") {
        let text = std::fs::read_to_string(path).unwrap();
        let expected = text.lines().nth(1).unwrap().trim_start_matches("#").trim();
        let error = read(&text).remove(0).unwrap_err();
        assert_eq!(error.errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        assert_eq!(error.key.unwrap().to_string(), "OAuthClient/default/no-way-back");
    }
}
