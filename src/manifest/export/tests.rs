use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::domain::{Credential, CredentialState, Owner, SecretText};
use crate::manifest::yaml::{self, Document};

/// Random numbers that are the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn some<'a>(&mut self, of: &[&'a str]) -> Vec<&'a str> {
        of.iter().copied().filter(|_| self.below(2) == 0).collect()
    }

    fn maybe(&mut self, value: Value) -> Value {
        if self.below(2) == 0 { Value::Null } else { value }
    }

    fn allowed(&mut self) -> Value {
        self.one(&[
            json!({"from": "Same"}),
            json!({"from": "All"}),
            json!({"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}),
        ])
    }

    fn server(&mut self, number: usize) -> Entity {
        let scopes = ["a", "b.c", "x:y/z"];
        let words = ["", "true", "no", "1.0", "a: b # c", "ümlaut ☺", "'", "line\nline"];
        let spec = json!({
            "resourceURI": format!("https://h{number}.example.com/mcp"), "displayName": self.one(&["Billing", "yes", "~"]),
            "lifecycle": self.one(&["Live", "Draft"]),
            "tokenSource": self.one(&[json!({"type": "Mint"}), json!({"type": "Broker", "providerID": "prv_1"})]),
            "scopes": scopes.map(|name| json!({"name": name, "description": self.one(&words), "risk": self.one(&["Low", "Medium", "High"]), "upstream": self.one(&["", "repo"])})),
            "tools": [
                {"name": "t", "access": "Scoped", "scopes": [self.one(&scopes)], "match": self.one(&["Any", "All"])},
                {"name": "p/q", "access": "Public", "scopes": [], "match": "Any"}],
            "roles": [{"name": "r", "scopes": [self.one(&scopes)]}], "defaultRole": self.maybe(json!("r")),
            "roleBindings": [{"name": "b", "role": "r", "subjects": [{"kind": self.one(&["User", "Group", "Client"]), "name": "a/b:c"}]}],
            "accessToken": {"format": self.one(&["JWT", "Opaque"]), "signingAlgorithm": self.one(&["ES256", "EdDSA", "RS256"]),
                "lifetimeSeconds": 60 + self.below(3000), "senderConstraint": self.one(&["None", "DPoPOptional", "DPoPRequired"])},
            "allowedNamespaces": self.allowed(), "dynamicClients": self.one(&["Denied", "CIMD", "All"]),
            "consent": self.one(&["Required", "ImplicitAllowed"]),
            "exchange": self.one(&[json!({"mode": "Listed", "clients": []}), json!({"mode": "Any", "clients": []}), json!({"mode": "Listed", "clients": ["c0", "elsewhere"]})]),
            "runtimeClients": self.some(&["c0", "c1", "elsewhere"]), "runtimeServiceAccounts": self.one(&[json!([]), json!(["web/gw"])]),
            "connect": {"allowedReturnURLs": self.some(&["https://a.example.com/x", "http://localhost:8080/"])},
            "fronting": self.one(&[json!([]), json!([{"name": "f", "targetID": "rs_0", "scopeMap": [{"source": "a", "target": ["b.c"]}]}])]),
        });
        entity(&format!("rs_{number}"), Spec::ResourceServer(serde_json::from_value(spec).unwrap()))
    }

    fn client(&mut self, number: usize) -> Entity {
        let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "1"}]});
        let (method, jwks, jwks_uri, identity) = self.one(&[
            ("None", json!(null), json!(null), json!(null)),
            ("ClientSecretBasic", json!(null), json!(null), json!(null)),
            ("ClientSecretPost", json!(null), json!(null), json!(null)),
            ("PrivateKeyJWT", jwks, json!(null), json!(null)),
            ("PrivateKeyJWT", json!(null), json!("https://a.example.com/jwks"), json!(null)),
            ("WorkloadIdentity", json!(null), json!(null), json!({"serviceAccount": "web/portal"})),
            ("WorkloadIdentity", json!(null), json!(null), json!({"trustedIssuer": "web/x", "subject": "s"})),
        ]);
        let grants: BTreeSet<&str> = self
            .some(&["refresh_token", "device_code", "jwt_bearer"])
            .into_iter()
            .chain(["authorization_code"])
            .collect();
        let order = ["authorization_code", "refresh_token", "device_code", "jwt_bearer"];
        let grants: Vec<&str> = order.into_iter().filter(|grant| grants.contains(grant)).collect();
        let idle = 60 + self.below(1000);
        let spec = json!({
            "displayName": self.one(&["Portal", "on", "null"]), "state": self.one(&["Active", "Suspended"]), "grantTypes": grants,
            "redirectURIs": ["https://a.example.com/cb"], "authenticationMethod": method, "jwks": jwks, "jwksURI": jwks_uri,
            "workloadIdentity": identity, "agent": self.one(&[json!(null), json!({"maxDelegationDepth": 1}), json!({"description": "bot", "maxDelegationDepth": 3})]),
            "resources": [
                {"name": "one", "resourceServerID": "rs_0", "scopes": self.some(&["a", "b.c"])},
                {"name": "two", "resourceServerID": "rs_1", "scopes": []}],
            "consent": self.one(&["Required", "Implicit"]),
            "tokens": {"refreshLifetimeSeconds": idle + self.below(5000), "refreshIdleSeconds": idle, "senderConstraint": self.one(&["None", "DPoPRequired"])},
        });
        entity(&format!("c{number}"), Spec::Client(serde_json::from_value(spec).unwrap()))
    }

    fn provider(&mut self) -> Entity {
        let oauth2 = json!({"authorizationEndpoint": "https://p.example.com/a", "tokenEndpoint": "https://p.example.com/t",
            "userinfoEndpoint": "https://p.example.com/u", "responseFormat": self.one(&["Standard", "Slack"]), "extraParams": {"a": "b"}});
        let assertion = json!({"tokenURL": "https://p.example.com/t", "email": "a@b.c", "keyRef": {"name": "k", "key": "pem"},
            "algorithm": "RS256", "tokenTTLSeconds": 3600});
        let secret = json!({"name": "s", "key": "k"});
        let (kind, settings, id, secret) = self.one(&[
            ("OIDC", json!({"issuerURL": "https://p.example.com"}), "id", secret.clone()),
            ("OAuth2", oauth2, "id", Value::Null),
            ("APIKey", json!({"header": "X-Key", "prefix": "Bearer "}), "", Value::Null),
            ("SignedAssertion", assertion, "", Value::Null),
        ]);
        let mappings = json!([{"claim": "groups", "expression": "claims.orgs", "examples": [{"claims": {"orgs": ["a"]}, "result": ["a"]}]}]);
        let spec = json!({
            "type": kind, "purposes": ["Broker"], "displayName": "GitHub", "settings": settings, "clientID": id,
            "clientSecretRef": secret, "scopes": self.some(&["read:user", "repo"]), "subjectClaim": self.one(&["sub", "id"]),
            "claimMappings": self.one(&[json!([]), mappings]), "allowedNamespaces": self.allowed(),
        });
        entity("prv_1", Spec::Provider(serde_json::from_value(spec).unwrap()))
    }
}

fn entity(id: &str, spec: Spec) -> Entity {
    let hash = SecretText::new("s".repeat(40)).hash();
    let issued_at = jiff::Timestamp::UNIX_EPOCH;
    let (state, last_used_at) = (CredentialState::Current, None);
    let credential = Credential { id: format!("sec_{id}"), hash, state, issued_at, retire_at: None, last_used_at };
    let credentials = if matches!(spec, Spec::Provider(_)) { vec![] } else { vec![credential] };
    Entity { id: id.to_owned(), spec, revision: 1, credentials, owner: None }
}

fn owned(entity: &Entity) -> Managed {
    let key = OwnerKey::new(entity.spec.kind(), "web", format!("owned-{}", entity.id.replace('_', "-")));
    Managed {
        owner: Owner { key, namespace_uid: String::new(), object_uid: String::new() },
        entity_id: entity.id.clone(),
        deletion: DeletionPolicy::Retain,
        last_applied: None,
        credentials: Vec::new(),
        drift: None,
        correction: None,
        settled: 0,
        revoked_before: None,
        deleted_at: None,
    }
}

fn wanted() -> Wanted {
    Wanted { namespace: "web".to_owned(), ..Wanted::default() }
}

/// K8: no member of any policy is lost, and every document is one that lint takes
#[test]
fn what_is_exported_says_what_the_row_says() {
    let mut chance = Chance(3);
    for round in 0..150 {
        let entities = [chance.provider(), chance.server(0), chance.server(1), chance.client(0), chance.client(1)];
        let rows: Vec<Row> =
            entities.iter().map(|entity| (entity.clone(), (chance.below(2) == 0).then(|| owned(entity)))).collect();
        // itself behind itself is not legal
        let rows: Vec<Row> = rows
            .into_iter()
            .map(|(mut entity, managed)| {
                if let (Spec::ResourceServer(spec), "rs_0") = (&mut entity.spec, entity.id.as_str()) {
                    spec.fronting.clear();
                }
                (entity, managed)
            })
            .collect();
        let exported = export(&rows, &wanted(), &Policy::default());
        assert_eq!(exported.len(), 5);
        for document in &exported {
            let told = document.notes.iter().find(|note| note.contains("not legal") || note.contains("cannot say"));
            assert_eq!(told, None, "round {round}:\n{}", document.text());
            let read = yaml::read(&document.text());
            let [Ok(Document::Object(object))] = &read[..] else { panic!("{read:?}\n{}", document.text()) };
            assert_eq!(object, &document.object_with_defaults(), "round {round}");
            assert!(!document.text().contains("sec_") && !document.text().contains("ssss"), "{}", document.text());
        }
    }
}

impl Exported {
    /// The object as whoever reads the document has it.
    fn object_with_defaults(&self) -> Object {
        let mut value = document(&self.object);
        value.as_object_mut().unwrap().remove("status");
        crd::default(&mut value).unwrap();
        Object::from_value(value).unwrap()
    }
}

#[test]
fn a_document_is_short_and_says_what_becomes_of_the_secret() {
    let mut chance = Chance(3);
    let (server, mut client) = (chance.server(0), chance.client(0));
    let spec = json!({
        "displayName": "Portal", "state": "Active", "grantTypes": ["client_credentials"], "redirectURIs": [],
        "authenticationMethod": "ClientSecretBasic", "jwks": null, "jwksURI": null, "workloadIdentity": null, "agent": null,
        "resources": [{"name": "billing", "resourceServerID": "rs_0", "scopes": ["a"]}, {"name": "gone", "resourceServerID": "rs_9", "scopes": []}],
        "consent": "Required",
        "tokens": {"refreshLifetimeSeconds": 2_592_000, "refreshIdleSeconds": 604_800, "senderConstraint": "None"},
    });
    client.spec = Spec::Client(serde_json::from_value(spec).unwrap());
    client.id = "Portal_1".to_owned();
    let rows = vec![(server.clone(), Some(owned(&server))), (client, None)];
    let exported = export(&rows, &Wanted { unowned: true, ..wanted() }, &Policy::default());
    let expected = "\
---
# nobody owns OAuthClient Portal_1; whoever may adopt it manages it from here on
# spec.resources[gone]: there is no ResourceServer rs_9 any more, so the reference is left out
# a new secret is made and put into this Secret; the one in use works on for the overlap of a day
# resources[gone]: the row has what a manifest cannot say
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata:
  name: portal-1
  namespace: web
spec:
  authentication:
    method: ClientSecretBasic
    secret:
      name: portal-1-oauth
  clientID: Portal_1
  displayName: Portal
  grantTypes:
  - client_credentials
  resources:
  - name: billing
    resourceServerRef:
      name: owned-rs-0
    scopes:
    - a
";
    assert_eq!(exported[0].text(), expected);
    assert_eq!(exported[0].file_name(), "OAuthClient-web-portal-1.yaml");
}

#[test]
fn clients_that_nobody_may_manage_are_left_out() {
    let mut chance = Chance(3);
    let of = |id: &str, mut entity: Entity| {
        entity.id = id.to_owned();
        (entity, None)
    };
    let rows = vec![
        of("dcr_1", chance.client(0)),
        of("https://app.example.com/client.json", chance.client(0)),
        of("portal", chance.client(0)),
        of("Portal", chance.client(0)),
    ];
    let names: Vec<String> =
        export(&rows, &wanted(), &Policy::default()).into_iter().map(|document| document.owner.name).collect();
    assert_eq!(names, ["portal", "portal-2"]);
}
