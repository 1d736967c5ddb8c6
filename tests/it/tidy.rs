//! The house rules a compiler cannot check: who may enter which room, which crates a room may name, and how big a
//! file may grow. The table is the one of the house's plan; it is read against the parsed source, not its text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// (room, rooms it may use, guarded crates it may name)
const ROOMS: &[(&str, &[&str], &[&str])] = &[
    ("domain", &[], &[]),
    ("crd", &[], &["kube", "kube_runtime", "k8s_openapi", "schemars", "jsonschema"]),
    ("manifest", &["domain", "crd"], &["kube", "k8s_openapi"]),
    ("metrics", &["domain"], &["prometheus"]),
    ("store", &["domain"], &["sqlx"]),
    ("seal", &["domain"], &["aws_lc_rs"]),
    ("provision", &["domain", "store"], &[]),
    ("limit", &["domain"], &["governor"]),
    ("outbound", &["domain"], &["reqwest"]),
    ("oauth", &["domain", "store", "seal", "outbound", "limit"], &["jsonwebtoken", "aws_lc_rs"]),
    ("identity", &["domain", "store"], &["argon2"]),
    ("activity", &["domain", "store", "outbound"], &[]),
    (
        "http",
        &["domain", "manifest", "oauth", "identity", "activity", "provision", "metrics", "limit"],
        &["axum", "tower_http", "tower", "askama", "cookie"],
    ),
    (
        "controller",
        &["domain", "crd", "manifest", "provision", "metrics", "seal"],
        &["kube", "kube_runtime", "k8s_openapi"],
    ),
    ("directory", &["domain", "crd", "manifest", "provision", "metrics"], &["kube", "k8s_openapi"]),
    ("jobs", &["domain", "store", "oauth", "activity", "provision", "metrics"], &[]),
    ("config", &["domain"], &["figment"]),
];

/// Rooms that may enter every other and that no other may enter.
const HALL: &[&str] = &["cli", "app", "main", "lib"];

/// Crates that only the rooms above may name.
const GUARDED: &[&str] = &[
    "kube",
    "kube_runtime",
    "k8s_openapi",
    "schemars",
    "axum",
    "tower_http",
    "tower",
    "sqlx",
    "reqwest",
    "prometheus",
    "jsonwebtoken",
    "aws_lc_rs",
    "argon2",
    "figment",
    "governor",
    "askama",
    "cookie",
];

const MAX_LINES: usize = 400;

/// First segments of every path in a file, with what follows `crate`.
#[derive(Default)]
struct Doors {
    rooms: BTreeSet<String>,
    crates: BTreeSet<String>,
    asynchronous: bool,
}

impl Doors {
    fn path(&mut self, segments: &[String]) {
        match segments {
            [first, room, ..] if first == "crate" => {
                self.rooms.insert(room.clone());
            }
            [first, ..] => {
                self.crates.insert(first.clone());
            }
            [] => {}
        }
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let mut path = before.to_vec();
        match tree {
            syn::UseTree::Path(next) => {
                path.push(next.ident.to_string());
                self.tree(&next.tree, &path);
            }
            syn::UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.path(&path);
            }
            syn::UseTree::Rename(name) => {
                path.push(name.ident.to_string());
                self.path(&path);
            }
            syn::UseTree::Glob(_) => self.path(&path),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item, before)),
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| a.path().is_ident("cfg") && a.parse_args::<syn::Path>().is_ok_and(|p| p.is_ident("test")))
}

impl<'ast> Visit<'ast> for Doors {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if segments.len() > 1 {
            self.path(&segments);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.asynchronous |= signature.asyncness.is_some();
        syn::visit::visit_signature(self, signature);
    }
}

fn faults(src: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in rust_files(src) {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(src).unwrap().display().to_string();
        found.extend(faults_of(src, &path, &text).into_iter().map(|fault| format!("{name}: {fault}")));
    }
    found
}

fn faults_of(src: &Path, path: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let test_file = path.ends_with("tests.rs");
    let lines = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
    if lines > MAX_LINES && !test_file {
        found.push(format!("{lines} shipped lines; the limit is {MAX_LINES}"));
    }
    if !text.starts_with("//!") && !test_file {
        found.push("no `//!` line saying what this file is for".into());
    }
    if !is_declared(path) {
        found.push("no `mod` line declares it, so nothing compiles it".into());
    }
    if test_file {
        return found;
    }
    let mut doors = Doors::default();
    doors.visit_file(&syn::parse_file(text).unwrap());
    let room = path.strip_prefix(src).unwrap().iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
    if HALL.contains(&room) {
        return found;
    }
    let Some((_, uses, names)) = ROOMS.iter().find(|(r, ..)| *r == room) else {
        found.push(format!("`{room}` is not in the table of rooms"));
        return found;
    };
    for other in doors.rooms.iter().filter(|other| *other != room && !uses.contains(&other.as_str())) {
        let known = HALL.contains(&other.as_str()) || ROOMS.iter().any(|(r, ..)| r == other);
        if known {
            found.push(format!("`{room}` may not enter `{other}`"));
        }
    }
    for krate in doors.crates.iter().filter(|k| GUARDED.contains(&k.as_str()) && !names.contains(&k.as_str())) {
        found.push(format!("`{room}` may not name `{krate}`"));
    }
    if room == "domain" && doors.asynchronous {
        found.push("`domain` does not wait".into());
    }
    found
}

/// `dir/name.rs` must be declared by `dir.rs`, or by the crate root when `dir` is the root itself.
fn is_declared(path: &Path) -> bool {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    if ["lib", "main"].contains(&stem) {
        return true;
    }
    let dir = path.parent().unwrap();
    [dir.with_extension("rs"), dir.join("lib.rs"), dir.join("main.rs")]
        .iter()
        .filter_map(|parent| fs::read_to_string(parent).ok())
        .any(|text| text.contains(&format!("mod {stem};")))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn the_house_is_tidy() {
    let faults = faults(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn an_uninvited_guest_is_found() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let path = src.join("domain/owner.rs");
    let found = |text: &str| faults_of(&src, &path, text).join("; ");
    assert!(found("//! x\nuse crate::http;").contains("may not enter `http`"));
    assert!(found("//! x\nuse crate::{store, domain::Kind};").contains("may not enter `store`"));
    assert!(found("//! x\nfn f() { crate::store::open() }").contains("may not enter `store`"));
    assert!(found("//! x\nfn f() -> sqlx::Result<()> { g() }").contains("may not name `sqlx`"));
    assert!(found("//! x\nasync fn f() {}").contains("does not wait"));
    assert!(found("fn f() {}").contains("no `//!` line"));
    assert!(found(&format!("//! x\n{}", "fn f() {}\n".repeat(MAX_LINES))).contains("shipped lines"));
    assert_eq!(found("//! x\nuse std::time::Duration;\nuse super::actor::Actor;"), "");
}
