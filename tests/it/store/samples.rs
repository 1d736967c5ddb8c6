//! Policies with a value in every member.

use holdfast::domain::credential::CredentialState;
use holdfast::domain::{Actor, Credential, Kind, OwnerKey, SecretText, Spec};
use holdfast::store::Store;
use jiff::Timestamp;
use serde_json::json;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub fn resource_server(uri: &str) -> Spec {
    let value = json!({
        "resourceURI": uri, "displayName": "Billing", "lifecycle": "Live",
        "tokenSource": {"type": "Broker", "providerID": "prv_1"},
        "scopes": [
            {"name": "invoices.read", "description": "Read", "risk": "Low", "upstream": ""},
            {"name": "invoices.write", "description": "Write 'them'", "risk": "High", "upstream": "w"}],
        "tools": [
            {"name": "list", "access": "Scoped", "scopes": ["invoices.read", "invoices.write"], "match": "Any"},
            {"name": "ping", "access": "Public", "scopes": [], "match": "All"}],
        "roles": [{"name": "reader", "scopes": ["invoices.read"]}],
        "defaultRole": "reader",
        "roleBindings": [{"name": "finance", "role": "reader", "subjects": [{"kind": "Group", "name": "a/b:c"}]}],
        "accessToken": {"format": "JWT", "signingAlgorithm": "EdDSA", "lifetimeSeconds": 900, "senderConstraint": "None"},
        "allowedNamespaces": {"from": "All"}, "dynamicClients": "CIMD", "consent": "ImplicitAllowed",
        "exchange": {"mode": "Any"}, "runtimeClients": ["a", "b"], "runtimeServiceAccounts": [{"name": "gw"}],
        "connect": {"allowedReturnURLs": ["https://x.example"]},
        "fronting": [{"name": "ledger", "resourceServerID": "rs_2"}]
    });
    Spec::ResourceServer(serde_json::from_value(value).unwrap())
}

pub fn client() -> Spec {
    let value = json!({
        "displayName": "Portal ☺", "state": "Active", "grantTypes": ["client_credentials", "refresh_token"],
        "redirectURIs": ["https://portal.example.com/cb"], "authenticationMethod": "ClientSecretBasic",
        "jwks": {"keys": []}, "jwksURI": "https://portal.example.com/jwks",
        "workloadIdentity": {"serviceAccountRef": {"name": "portal"}},
        "agent": {"description": "bot", "maxDelegationDepth": 2}, "consent": "Required",
        "resources": [
            {"name": "billing", "resourceServerID": "rs_1", "scopes": ["invoices.read"]},
            {"name": "ledger", "resourceServerID": "rs_2", "scopes": []}],
        "tokens": {"refreshLifetimeSeconds": 10, "refreshIdleSeconds": 5, "senderConstraint": "None"}
    });
    Spec::Client(serde_json::from_value(value).unwrap())
}

pub fn provider() -> Spec {
    let value = json!({
        "type": "OAuth2", "purposes": ["Broker"], "displayName": "GitHub",
        "settings": {"tokenEndpoint": "https://github.example/token"}, "clientID": "Iv1",
        "clientSecretRef": {"name": "github", "key": "secret"}, "scopes": ["read:user"], "subjectClaim": "id",
        "claimMappings": [{"claim": "groups", "expression": "claims.orgs"}], "allowedNamespaces": {"from": "Same"}
    });
    Spec::Provider(serde_json::from_value(value).unwrap())
}

/// One of each kind: id, policy, owner.
pub fn all() -> Vec<(&'static str, Spec, OwnerKey)> {
    vec![
        (
            "rs_1",
            resource_server("https://billing.example.com/mcp"),
            OwnerKey::new(Kind::ResourceServer, "billing", "mcp"),
        ),
        ("portal", client(), OwnerKey::new(Kind::OAuthClient, "web", "portal")),
        ("prv_1", provider(), OwnerKey::new(Kind::Provider, "auth", "github")),
    ]
}

pub fn credential(id: &str, secret: &str) -> Credential {
    Credential {
        id: id.to_owned(),
        hash: SecretText::new(secret).hash(),
        state: CredentialState::Current,
        issued_at: at(0),
        retire_at: None,
        last_used_at: None,
    }
}

/// Puts all of them, and a credential for the client.
pub async fn put_all(store: &Store) {
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    for (id, spec, owner) in all() {
        tx.put(id, &spec, Some(&owner), at(1)).await.unwrap();
    }
    tx.put_credential("portal", &credential("c1", "first")).await.unwrap();
    tx.commit().await.unwrap();
}
