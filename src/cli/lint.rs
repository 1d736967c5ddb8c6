//! `holdfast lint`: what an API server and Holdfast would say to these files, asked of neither.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Failure;
use super::output::Table;
use crate::app;
use crate::config::Settings;
use crate::directory::{Files, ReadError, read};
use crate::manifest;
use crate::manifest::Policy;
use crate::manifest::yaml::{self, Document};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A file, a folder, or - for standard input; may be given more than once. Kinds of other API groups are passed over
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
}

/// One fault a row, and the exit code: 1 if there is any.
pub fn run(settings: &Settings, arguments: &Arguments) -> Result<(Table, u8), Failure> {
    let policy = app::policy(settings, None);
    let mut rows = Vec::new();
    let mut first = BTreeMap::new();
    for path in &arguments.filename {
        for (path, text) in files(path)? {
            rows.extend(lint(&path, &text, &policy, &mut first));
        }
    }
    let code = u8::from(!rows.is_empty());
    Ok((Table::list(vec!["file", "line", "object", "field", "message"], rows), code))
}

/// What a `-f` names, by path.
pub(super) fn files(path: &Path) -> Result<Files, Failure> {
    let failed = |source| Failure::new(2, &ReadError::Io { path: path.to_owned(), source });
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        return Ok(Files::from([(path.to_owned(), text)]));
    }
    if path.is_dir() {
        let files = read(path).map_err(|error| Failure::new(2, &error))?;
        return Ok(files.into_iter().map(|(name, text)| (path.join(name), text)).collect());
    }
    Ok(Files::from([(path.to_owned(), std::fs::read_to_string(path).map_err(failed)?)]))
}

/// `first`: where each object was seen before.
fn lint(path: &Path, text: &str, policy: &Policy, first: &mut BTreeMap<String, String>) -> Vec<Vec<String>> {
    let file = path.display().to_string();
    let mut rows = Vec::new();
    for (line, document) in yaml::lines(text) {
        let (object, errors) = match document {
            Err(error) if error.foreign => continue,
            Err(error) => (error.key.map(|key| key.to_string()), error.errors),
            Ok(Document::Object(object)) => {
                let key = object.key().to_string();
                let mut errors = manifest::faults(&object, policy);
                if let Some(other) = first.insert(key.clone(), format!("{file}:{line}")) {
                    errors.push(manifest::FieldError::new("", format!("is in {other} already")));
                }
                (Some(key), errors)
            }
            Ok(_) => continue,
        };
        rows.extend(errors.into_iter().map(|error| {
            vec![file.clone(), line.to_string(), object.clone().unwrap_or_default(), error.path, error.message]
        }));
    }
    rows
}
