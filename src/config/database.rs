//! Section `database`: where policy and tokens are kept.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;

/// The database. Variables `HOLDFAST_DATABASE__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:///path/holdfast.db` (one replica) or `postgres://user:password@host:5432/name?sslmode=verify-full`.
    /// Default `holdfast.db` in `$XDG_DATA_HOME/holdfast`, or in `~/.local/share/holdfast`.
    pub url: Option<DatabaseUrl>,
    /// How long to wait at start for the database to answer, e.g. `60s`. Default `60s`, at most one hour.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub wait: Duration,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, wait: Duration::from_secs(60) }
    }
}

impl Database {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.wait > Duration::from_secs(3600) {
            return Err(Error::invalid("database.wait", "expected at most 1h"));
        }
        let Some(url) = &self.url else { return Ok(()) };
        let schemes = ["sqlite://", "postgres://", "postgresql://"];
        match schemes.iter().find_map(|scheme| url.expose().strip_prefix(scheme)) {
            None => Err(Error::invalid("database.url", "expected sqlite:///path/file.db or postgres://host/name")),
            Some("") => Err(Error::invalid("database.url", "names no database")),
            Some(_) => Ok(()),
        }
    }
}

/// The URL of a database. It may hold a password: neither `Debug` nor serialisation shows it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `sqlite` or `postgres`.
    pub fn engine(&self) -> &'static str {
        if self.0.starts_with("sqlite:") { "sqlite" } else { "postgres" }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}
