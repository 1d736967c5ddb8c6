//! Where the configuration comes from: the file with its `${VAR}`, then the variables over it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind;
use figment::providers::Serialized;
use serde_json::Value;

use super::{Config, Error, Settings};

/// The variables of a process, as an argument.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process that are UTF-8.
    pub fn of_process() -> Self {
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
    }

    /// The value of a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same with one variable set.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Keys with the variable that sets each: `HOLDFAST_SERVER__SHUTDOWN_WAIT` → `server.shutdown_wait`.
    ///
    /// Without `__` a name counts only when it is a key of the top level: a Service called holdfast puts
    /// `HOLDFAST_PORT` and the like into every pod of its namespace.
    fn overrides(&self) -> impl Iterator<Item = (String, &str, &str)> {
        self.0.iter().filter_map(|(name, value)| {
            let rest = name.strip_prefix("HOLDFAST_")?;
            let top = ["INSTALLATION", "ISSUER", "POLICY_DIR"].contains(&rest);
            (top || rest.contains("__"))
                .then(|| (rest.to_lowercase().replace("__", "."), name.as_str(), value.as_str()))
        })
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Reads, expands, overrides, validates and completes the configuration; without a file the defaults stand.
pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Settings, Error> {
    let config = read(file, environment)?;
    config.validate()?;
    Settings::complete(config, environment)
}

fn read(file: Option<&Path>, environment: &Environment) -> Result<Config, Error> {
    let document = file.map_or(Ok(Value::Object(serde_json::Map::new())), |path| parse(path, environment))?;
    let mut figment = Figment::from(Serialized::defaults(document));
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for (key, variable, text) in environment.overrides() {
        let Ok(value) = text.parse::<figment::value::Value>();
        figment = figment.merge(Serialized::default(&key, value));
        variables.insert(key, variable.to_owned());
    }
    figment.extract_lossy().map_err(|error| explain(error, file, &variables))
}

fn parse(path: &Path, environment: &Environment) -> Result<Value, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let document: Value =
        serde_yaml::from_str(&text).map_err(|source| Error::Parse { path: path.to_owned(), source })?;
    let mut document = match document {
        Value::Null => Value::Object(serde_json::Map::new()),
        other => other,
    };
    if !document.is_object() {
        let problem = "expected sections such as `server:`".to_owned();
        return Err(Error::Value { key: "the top level".to_owned(), place: place(path), problem });
    }
    expand(&mut document, &mut Vec::new(), environment)?;
    Ok(document)
}

/// Puts variables where the file says `${NAME}`; `$${` stands for `${`.
fn expand(value: &mut Value, path: &mut Vec<String>, environment: &Environment) -> Result<(), Error> {
    match value {
        Value::String(text) if text.contains("${") => *text = substitute(text, &path.join("."), environment)?,
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                path.push(index.to_string());
                expand(item, path, environment)?;
                path.pop();
            }
        }
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                path.push(name.clone());
                expand(member, path, environment)?;
                path.pop();
            }
        }
        _ => {}
    }
    Ok(())
}

fn substitute(text: &str, key: &str, environment: &Environment) -> Result<String, Error> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, found) = rest.split_at(start);
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = found.get(2..).unwrap_or_default();
            continue;
        }
        let malformed = || Error::Malformed { key: key.to_owned() };
        let (name, after) = found.get(2..).and_then(|s| s.split_once('}')).ok_or_else(malformed)?;
        let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let name = named.then_some(name).ok_or_else(malformed)?;
        let value = environment.0.get(name);
        let value = value.ok_or_else(|| Error::Unresolved { key: key.to_owned(), variable: name.to_owned() })?;
        out.push_str(before);
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn place(path: &Path) -> String {
    format!("the file {}", path.display())
}

/// One line that names the key and where it stands.
fn explain(error: figment::Error, file: Option<&Path>, variables: &BTreeMap<String, String>) -> Error {
    let mut key = error.path.join(".");
    if let Kind::UnknownField(field, _) = &error.kind {
        let inside = key.rsplit('.').next().is_some_and(|last| last == field);
        if !inside {
            key = if key.is_empty() { field.clone() } else { format!("{key}.{field}") };
        }
    }
    let variable = variables.iter().find(|(k, _)| **k == key || k.starts_with(&format!("{key}.")));
    let place = match (variable, file) {
        (Some((_, variable)), _) => format!("the variable {variable}"),
        (None, Some(path)) => place(path),
        (None, None) => "the configuration".to_owned(),
    };
    match error.kind {
        Kind::UnknownField(_, known) => Error::Unknown { key, place, known: known.join(", ") },
        Kind::UnknownVariant(found, known) => {
            Error::Value { key, place, problem: format!("{found} is not one of {}", known.join(", ")) }
        }
        // the value itself stays out of the message: it may be a secret
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            Error::Value { key, place, problem: format!("expected {expected}") }
        }
        Kind::Message(problem) => Error::Value { key, place, problem },
        other => Error::Value { key, place, problem: other.to_string() },
    }
}

/// `$XDG_DATA_HOME/holdfast` or `~/.local/share/holdfast` (XDG Base Directory: a relative path is ignored).
pub(super) fn data_dir(environment: &Environment) -> Option<PathBuf> {
    let absolute = |name| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|d| d.join("holdfast"))
}
