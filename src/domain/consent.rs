//! What a user agrees to: a client, where it is, and scopes with what is said of them, each as a digest.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::client::{Client, Origin};
use super::resource_server::ResourceServer;

/// What a consent page shows. Whoever agreed to it has agreed to nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Digest of the client's name, the host that it is redirected to and, for clients that describe themselves, how
    /// they authenticate and by which keys.
    pub client: String,
    /// Scope → digest of what is said of it.
    pub scopes: BTreeMap<String, String>,
}

impl Shown {
    /// What is shown before this client, at this host, gets these scopes.
    pub fn of(id: &str, client: &Client, host: &str, resource_server: &ResourceServer, scopes: &[String]) -> Self {
        let mut whole = json!([id, client.display_name, host]);
        if let (Value::Array(parts), false) = (&mut whole, Origin::of(id) == Origin::Managed) {
            // who describes itself can change its description at any time
            parts.push(json!([client.authentication_method, client.jwks, client.jwks_uri]));
        }
        let described = resource_server.scopes.iter().filter(|scope| scopes.contains(&scope.name));
        let scopes = described.map(|s| (s.name.clone(), digest(&json!([s.name, s.description, s.risk])))).collect();
        Self { client: digest(&whole), scopes }
    }

    /// Whether whoever agreed to this need not be asked about `other`.
    pub fn covers(&self, other: &Self) -> bool {
        let known = |(name, digest): (&String, &String)| self.scopes.get(name) == Some(digest);
        self.client == other.client && other.scopes.iter().all(known)
    }

    /// One text for all of it: what a form was shown with, for comparison when it comes back.
    pub fn digest(&self) -> String {
        digest(&json!([self.client, self.scopes]))
    }
}

fn digest(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(value.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::spec::Spec;
    use super::super::spec::tests::{client, resource_server};
    use super::*;

    fn shown(id: &str, change: impl FnOnce(&mut Client, &mut ResourceServer), scopes: &[&str], host: &str) -> Shown {
        let (Spec::Client(mut client), Spec::ResourceServer(mut server)) = (client(), resource_server()) else {
            unreachable!()
        };
        let scope = |name: &str| super::super::resource_server::Scope {
            name: name.to_owned(),
            description: format!("To {name}"),
            risk: "Low".to_owned(),
            upstream: String::new(),
        };
        server.scopes = vec![scope("read"), scope("write")];
        change(&mut client, &mut server);
        let scopes: Vec<String> = scopes.iter().map(|s| (*s).to_owned()).collect();
        Shown::of(id, &client, host, &server, &scopes)
    }

    /// CI-15: what was agreed to covers itself and less, and nothing that looks different.
    #[test]
    fn consent_covers_what_was_shown() {
        let both = shown("dcr_a", |_, _| {}, &["read", "write"], "a.example");
        let read = shown("dcr_a", |_, _| {}, &["read"], "a.example");
        assert!(both.covers(&both) && both.covers(&read) && !read.covers(&both));
        assert_eq!(both.digest(), shown("dcr_a", |_, _| {}, &["write", "read"], "a.example").digest());
        assert_ne!(both.digest(), read.digest());
        for other in [
            shown("dcr_b", |_, _| {}, &["read"], "a.example"),
            shown("dcr_a", |_, _| {}, &["read"], "b.example"),
            shown("dcr_a", |c, _| c.display_name = "Another".to_owned(), &["read"], "a.example"),
            shown("dcr_a", |c, _| c.jwks = json!({"keys": [1]}), &["read"], "a.example"),
            shown("dcr_a", |c, _| c.jwks_uri = Some("https://a.example/k".to_owned()), &["read"], "a.example"),
            shown("dcr_a", |_, r| r.scopes[0].description = "To read it all".to_owned(), &["read"], "a.example"),
            shown("dcr_a", |_, r| r.scopes[0].risk = "High".to_owned(), &["read"], "a.example"),
        ] {
            assert!(!both.covers(&other));
        }
    }

    /// The keys of a client that the operator describes are the operator's business.
    #[test]
    fn a_managed_client_may_change_its_keys() {
        let before = shown("portal", |_, _| {}, &["read"], "a.example");
        let after = shown("portal", |c, _| c.jwks = json!({"keys": [1]}), &["read"], "a.example");
        assert!(before.covers(&after));
    }
}
