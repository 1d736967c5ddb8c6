//! Who made a change, as far as it is known.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::reviewer::ServiceAccount;

/// The name behind a change row. What a transaction says of itself is a claim: nothing is skipped because of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(String);

impl Actor {
    pub fn controller() -> Self {
        Self("controller".into())
    }

    pub fn directory() -> Self {
        Self("directory".into())
    }

    /// An API key of the admin port, by its name.
    pub fn api_key(name: &str) -> Self {
        Self(format!("apikey:{name}"))
    }

    /// An OAuth client, by its id.
    pub fn client(id: &str) -> Self {
        Self(format!("client:{id}"))
    }

    /// A Kubernetes ServiceAccount.
    pub fn service_account(account: &ServiceAccount) -> Self {
        Self(format!("serviceaccount:{account}"))
    }

    /// Somebody who has signed in, by their id.
    pub fn user(id: &str) -> Self {
        Self(format!("user:{id}"))
    }

    /// The server itself, on a schedule or because of what it found.
    pub fn server() -> Self {
        Self("server".into())
    }

    /// What the change row says: `controller`, `apikey:…`, `sql:<database user>`.
    pub fn recorded(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A change that nobody put a name to.
    pub fn unknown() -> Self {
        Self("unknown".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
