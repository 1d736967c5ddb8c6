//! What the documents promise is there: tests that the ledger names, files that are linked, metrics that are listed.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "sh") || path.extension().is_none() {
                let text = fs::read(&path).unwrap();
                found.push((path, String::from_utf8_lossy(&text).into_owned()));
            }
        }
    }
    found
}

/// `room::file::test_name` → its last two segments stand in one file of the tests.
#[test]
fn every_test_that_the_ledger_names_exists() {
    let files: Vec<(PathBuf, String)> = ["tests", "src"].into_iter().flat_map(sources).collect();
    let ledger = fs::read_to_string(root().join("docs/ledger.md")).unwrap();
    let mut named = 0;
    for line in ledger.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let proofs = cells.last().copied().unwrap_or_default();
        for proof in proofs.split(',').map(|p| p.trim().trim_matches('`')).filter(|p| !p.is_empty()) {
            named += 1;
            let test = proof.rsplit("::").next().unwrap_or(proof);
            let (function, script) = (format!("fn {test}("), format!("{test}() {{"));
            let there = files.iter().any(|(_, text)| text.contains(&function) || text.contains(&script));
            assert!(there, "{}: no test is called {proof}", cells[0]);
        }
    }
    assert!(named > 10, "the ledger names only {named} tests");
}

#[test]
fn every_local_link_of_the_documents_leads_somewhere() {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    for document in ["README.md", "CHANGELOG.md"].map(|name| root().join(name)).into_iter().chain(docs) {
        let text = fs::read_to_string(&document).unwrap();
        let (folder, document) = (document.parent().unwrap(), document.display());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") {
                assert!(folder.join(path).exists(), "{document}: {link} leads nowhere");
            }
        }
    }
}

/// O2: the table in the README is the catalogue, row by row.
#[test]
fn the_readme_lists_every_metric_as_it_is_declared() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let listed: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `holdfast_")).collect();
    let declared: Vec<String> = holdfast::metrics::CATALOG
        .iter()
        .map(|(name, kind, labels, help)| format!("| `{name}` | {kind} | {} | {} |", labels.join(", "), help.trim()))
        .collect();
    assert_eq!(listed, declared, "copy the rows on the right into the README");
}

/// The document names every kind of audit record and every target of a purge, as the code has them.
#[test]
fn kinds_of_the_audit_and_targets_of_a_purge_are_listed() {
    use holdfast::domain::AuditKind;
    use holdfast::domain::purge::PurgeTarget;
    let text = fs::read_to_string(root().join("docs/authorization-server.md")).unwrap();
    let (_, kinds) = text.split_once("Kinds:").unwrap();
    let kinds: Vec<&str> = kinds.split("\n\n").next().unwrap().split('`').skip(1).step_by(2).collect();
    assert_eq!(kinds, AuditKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
    let (_, targets) = text.split_once("| target | goes |").unwrap();
    let rows = targets.split("\n\n").next().unwrap().lines().filter_map(|line| line.split('|').nth(1));
    let targets: Vec<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let missing: Vec<&str> =
        PurgeTarget::ALL.iter().map(|target| target.as_str()).filter(|target| !targets.contains(target)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// D2: the document lists every type of record as the code has it.
#[test]
fn types_of_the_log_are_listed_as_they_are_declared() {
    use holdfast::domain::ActivityType;
    let text = fs::read_to_string(root().join("docs/drift.md")).unwrap();
    let (_, table) = text.split_once("| type | members | what it says |\n|---|---|---|\n").unwrap();
    let row = |event: &ActivityType| {
        format!("| `{}` | {} | {} |", event.as_str(), event.members().join(" "), event.meaning())
    };
    assert_eq!(table.lines().collect::<Vec<_>>(), ActivityType::ALL.iter().map(row).collect::<Vec<_>>());
}
