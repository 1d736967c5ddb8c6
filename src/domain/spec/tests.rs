use serde_json::json;

use super::*;

pub fn resource_server() -> Spec {
    let value = json!({
        "resourceURI": "https://billing.example.com/mcp", "displayName": "Billing", "lifecycle": "Live",
        "tokenSource": {"type": "Mint"},
        "scopes": [
            {"name": "invoices.read", "description": "Read", "risk": "Low", "upstream": ""},
            {"name": "invoices.write", "description": "Write", "risk": "High", "upstream": ""}],
        "tools": [{"name": "list", "access": "Scoped", "scopes": ["invoices.read"], "match": "Any"}],
        "roles": [{"name": "reader", "scopes": ["invoices.read"]}],
        "defaultRole": null, "roleBindings": [],
        "accessToken": {"format": "JWT", "signingAlgorithm": "ES256", "lifetimeSeconds": 900, "senderConstraint": "None"},
        "allowedNamespaces": {"from": "Same"}, "dynamicClients": "Denied", "consent": "Required",
        "exchange": {"mode": "Listed"}, "runtimeClients": [], "runtimeServiceAccounts": [], "connect": {}, "fronting": []
    });
    Spec::ResourceServer(serde_json::from_value(value).unwrap())
}

pub fn client() -> Spec {
    let value = json!({
        "displayName": "Portal", "state": "Active", "grantTypes": ["client_credentials"], "redirectURIs": [],
        "authenticationMethod": "ClientSecretBasic", "jwks": null, "jwksURI": null, "workloadIdentity": null,
        "agent": null, "consent": "Required",
        "resources": [{"name": "billing", "resourceServerID": "rs_1", "scopes": ["invoices.read"]}],
        "tokens": {"refreshLifetimeSeconds": 10, "refreshIdleSeconds": 5, "senderConstraint": "None"}
    });
    Spec::Client(serde_json::from_value(value).unwrap())
}

pub fn provider() -> Spec {
    let value = json!({
        "type": "OAuth2", "purposes": ["Broker"], "displayName": "GitHub", "settings": {}, "clientID": "Iv1",
        "clientSecretRef": null, "scopes": [], "subjectClaim": "id", "claimMappings": [],
        "allowedNamespaces": {"from": "Same"}
    });
    Spec::Provider(serde_json::from_value(value).unwrap())
}

#[test]
fn every_member_has_a_class_and_every_class_a_member() {
    for spec in [resource_server(), client(), provider()] {
        let kind = spec.kind();
        let mut members: Vec<String> = match serde_json::to_value(&spec).unwrap() {
            Value::Object(tagged) => tagged["spec"].as_object().unwrap().keys().cloned().collect(),
            other => panic!("{other}"),
        };
        let mut declared: Vec<String> =
            FIELDS.iter().filter(|(k, ..)| *k == kind).map(|(_, name, _)| (*name).to_owned()).collect();
        members.sort();
        declared.sort();
        assert_eq!(members, declared, "{kind}");
    }
}

#[test]
fn a_spec_is_its_fields() {
    for spec in [resource_server(), client(), provider()] {
        assert_eq!(Spec::from_fields(spec.kind(), &spec.fields()).unwrap(), spec);
    }
}

#[test]
fn items_of_a_list_map_are_fields_of_their_own() {
    let fields = resource_server().fields();
    assert!(fields.contains_key("scopes[invoices.read]"));
    assert!(!fields.contains_key("scopes"));
    assert_eq!(class(Kind::ResourceServer, "scopes[invoices.read]"), Class::Security);
    assert_eq!(class(Kind::ResourceServer, "displayName"), Class::Cosmetic);
    assert_eq!(class(Kind::ResourceServer, "unheardOf"), Class::Security);
}
