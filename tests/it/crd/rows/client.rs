//! Rows about OAuthClients.

use serde_json::{Value, json};

use super::{Row, accepted, changed_to, refused};

pub fn base() -> Value {
    json!({
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "OAuthClient",
        "metadata": {"name": "portal"},
        "spec": {
            "grantTypes": ["client_credentials"],
            "authentication": {"method": "ClientSecretBasic", "secret": {"name": "portal-oauth"}},
        },
    })
}

/// A public client with the code flow.
fn public() -> Value {
    json!({
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "OAuthClient",
        "metadata": {"name": "native"},
        "spec": {
            "grantTypes": ["authorization_code", "refresh_token"],
            "redirectURIs": ["https://portal.example.com/callback"],
            "authentication": {"method": "None"},
        },
    })
}

pub fn rows() -> Vec<Row> {
    [ids(), grants(), authentication(), secrets(), redirects(), rest()].into_iter().flatten().collect()
}

fn ids() -> Vec<Row> {
    let base = &base();
    let path = "spec.clientID";
    let form = "clientID must be letters, digits and . _ ~ - after a letter or digit, and must not begin with usr_, rs_ or dcr_";
    let gone = "clientID is immutable, also adding or removing it: delete the object and create another one";
    let mut rows = vec![
        accepted(base, vec![("/spec/clientID", json!("Portal.1_~-"))]),
        changed_to(base, vec![("/spec/clientID", json!("a"))], vec![("/spec/clientID", json!("a"))], None),
        changed_to(
            base,
            vec![("/spec/clientID", json!("a"))],
            vec![("/spec/clientID", json!("b"))],
            Some((path, gone)),
        ),
        changed_to(base, vec![("/spec/clientID", json!("a"))], vec![], Some((path, gone))),
        changed_to(base, vec![], vec![("/spec/clientID", json!("a"))], Some((path, gone))),
    ];
    for bad in ["usr_1", "rs_1", "dcr_1", "https://a.example/x", "a b", "-a", "ü"] {
        rows.push(refused(base, vec![("/spec/clientID", json!(bad))], path, form));
    }
    rows
}

fn grants() -> Vec<Row> {
    let (base, public) = (&base(), &public());
    vec![
        accepted(public, vec![]),
        refused(base, vec![("/spec/grantTypes", json!(["implicit"]))], "spec.grantTypes[0]", "\"implicit\""),
        refused(base, vec![("/spec/grantTypes", Value::Null)], "spec.grantTypes", "equired value"),
        refused(
            base,
            vec![("/spec/grantTypes", json!(["client_credentials", "client_credentials"]))],
            "spec.grantTypes",
            "grantTypes must not repeat a value",
        ),
        refused(
            public,
            vec![("/spec/redirectURIs", Value::Null)],
            "spec.redirectURIs",
            "authorization_code requires redirectURIs",
        ),
        refused(
            public,
            vec![("/spec/redirectURIs", json!([]))],
            "spec.redirectURIs",
            "authorization_code requires redirectURIs",
        ),
        refused(
            public,
            vec![("/spec/grantTypes", json!(["authorization_code", "client_credentials"]))],
            "spec.grantTypes",
            "client_credentials requires an authentication.method other than None",
        ),
    ]
}

fn authentication() -> Vec<Row> {
    let (base, public) = (&base(), &public());
    let at = "/spec/authentication";
    let secret = "secret is required with a ClientSecret method and forbidden otherwise";
    let keys = "exactly one of jwks and jwksURI is required with PrivateKeyJWT, and neither otherwise";
    let workload = "workloadIdentity is required with method WorkloadIdentity and forbidden otherwise";
    let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]});
    let line = "authentication.method is immutable between None (public) and the others: delete the object and create another one";
    vec![
        accepted(base, vec![(at, json!({"method": "ClientSecretPost", "secret": {"name": "s"}}))]),
        refused(base, vec![(at, json!({"method": "ClientSecretPost"}))], "spec.authentication.secret", secret),
        refused(
            public,
            vec![(at, json!({"method": "None", "secret": {"name": "s"}}))],
            "spec.authentication.secret",
            secret,
        ),
        accepted(base, vec![(at, json!({"method": "PrivateKeyJWT", "jwks": jwks}))]),
        accepted(base, vec![(at, json!({"method": "PrivateKeyJWT", "jwksURI": "https://a.example/jwks"}))]),
        refused(base, vec![(at, json!({"method": "PrivateKeyJWT"}))], "spec.authentication.jwksURI", keys),
        refused(
            base,
            vec![(at, json!({"method": "PrivateKeyJWT", "jwks": jwks, "jwksURI": "https://a.example/jwks"}))],
            "spec.authentication.jwksURI",
            keys,
        ),
        refused(public, vec![(at, json!({"method": "None", "jwks": jwks}))], "spec.authentication.jwksURI", keys),
        refused(
            base,
            vec![(at, json!({"method": "PrivateKeyJWT", "jwksURI": "http://a.example/jwks"}))],
            "spec.authentication.jwksURI",
            "jwksURI must be https://host[:port][/path][?query], or http on localhost, 127.0.0.1 or [::1]; host in lower case; no user, fragment, wildcard or space",
        ),
        accepted(
            base,
            vec![(at, json!({"method": "WorkloadIdentity", "workloadIdentity": {"serviceAccountRef": {"name": "a"}}}))],
        ),
        accepted(
            base,
            vec![(
                at,
                json!({"method": "WorkloadIdentity", "workloadIdentity": {"trustedIssuerRef": {"name": "a"}, "subject": "s"}}),
            )],
        ),
        refused(
            base,
            vec![(at, json!({"method": "WorkloadIdentity"}))],
            "spec.authentication.workloadIdentity",
            workload,
        ),
        refused(
            public,
            vec![(at, json!({"method": "None", "workloadIdentity": {"serviceAccountRef": {"name": "a"}}}))],
            "spec.authentication.workloadIdentity",
            workload,
        ),
        refused(
            base,
            vec![(at, json!({"method": "WorkloadIdentity", "workloadIdentity": {}}))],
            "spec.authentication.workloadIdentity.serviceAccountRef",
            "exactly one of serviceAccountRef and trustedIssuerRef is required",
        ),
        refused(
            base,
            vec![(
                at,
                json!({"method": "WorkloadIdentity", "workloadIdentity": {"serviceAccountRef": {"name": "a"}, "subject": "s"}}),
            )],
            "spec.authentication.workloadIdentity.subject",
            "subject is required with trustedIssuerRef and forbidden otherwise",
        ),
        changed_to(base, vec![], vec![(at, json!({"method": "ClientSecretPost", "secret": {"name": "s"}}))], None),
        changed_to(
            base,
            vec![("/spec/grantTypes", json!(["token_exchange"]))],
            vec![("/spec/grantTypes", json!(["token_exchange"])), (at, json!({"method": "None"}))],
            Some(("spec.authentication.method", line)),
        ),
        changed_to(
            public,
            vec![],
            vec![(at, json!({"method": "ClientSecretPost", "secret": {"name": "s"}}))],
            Some(("spec.authentication.method", line)),
        ),
    ]
}

fn secrets() -> Vec<Row> {
    let base = &base();
    let at = "/spec/authentication/secret";
    let rotation = "/spec/authentication/secret/rotation";
    let reserved = |of: &'static str| match of {
        "labels" => "labels must not set keys under kubernetes.io/, holdfast.dev/ or argocd.argoproj.io/",
        _ => "annotations must not set keys under kubernetes.io/, holdfast.dev/ or argocd.argoproj.io/",
    };
    let mut rows = vec![
        accepted(base, vec![(at, json!({"name": "s", "source": "Referenced", "keys": {"clientSecret": "secret"}}))]),
        refused(
            base,
            vec![(at, json!({"name": "s", "source": "Referenced", "template": {"labels": {"a": "b"}}}))],
            "spec.authentication.secret.template",
            "template is forbidden with source: Referenced",
        ),
        refused(
            base,
            vec![(at, json!({"name": "s", "keys": {"clientID": "issuer"}}))],
            "spec.authentication.secret.keys",
            "keys must be three different names",
        ),
        refused(
            base,
            vec![(at, json!({"name": "s", "keys": {"clientID": "a/b"}}))],
            "spec.authentication.secret.keys.clientID",
            "^[A-Za-z0-9._-]+$",
        ),
        refused(base, vec![(at, json!({"name": "../s"}))], "spec.authentication.secret.name", "a-z0-9"),
        accepted(
            base,
            vec![(
                at,
                json!({"name": "s", "template": {"labels": {"team": "web"}, "annotations": {"example.com/a": "b"}}}),
            )],
        ),
        accepted(base, vec![(rotation, json!({"periodSeconds": 7_776_000}))]),
        accepted(
            base,
            vec![(
                rotation,
                json!({"rotateIssuedBefore": "2026-11-22T10:00:00Z", "revokeIssuedBefore": "2026-11-22T10:00:00.5+01:00"}),
            )],
        ),
        refused(
            base,
            vec![(rotation, json!({"rotateIssuedBefore": "2026-02-30T10:00:00Z"}))],
            "spec.authentication.secret.rotation.rotateIssuedBefore",
            "2026-02-30",
        ),
        refused(
            base,
            vec![(rotation, json!({"rotateIssuedBefore": "tomorrow"}))],
            "spec.authentication.secret.rotation.rotateIssuedBefore",
            "tomorrow",
        ),
        refused(
            base,
            vec![(rotation, json!({"rotateIssuedBefore": "2026-11-22T10:00:00.1234567890Z"}))],
            "spec.authentication.secret.rotation.rotateIssuedBefore",
            "1234567890",
        ),
        refused(
            base,
            vec![(rotation, json!({"periodSeconds": 3600}))],
            "spec.authentication.secret.rotation.overlapSeconds",
            "overlapSeconds (86400, 86400 unless set) must be smaller than periodSeconds (3600)",
        ),
        refused(
            base,
            vec![(rotation, json!({"periodSeconds": 3600, "overlapSeconds": 3600}))],
            "spec.authentication.secret.rotation.overlapSeconds",
            "overlapSeconds (3600, 86400 unless set) must be smaller than periodSeconds (3600)",
        ),
        refused(
            base,
            vec![(rotation, json!({"overlapSeconds": -1}))],
            "spec.authentication.secret.rotation.overlapSeconds",
            "greater than or equal to 0",
        ),
    ];
    for key in ["kubernetes.io/x", "app.kubernetes.io/instance", "holdfast.dev/owner", "argocd.argoproj.io/tracking-id"]
    {
        for of in ["labels", "annotations"] {
            let path = if of == "labels" {
                "spec.authentication.secret.template.labels"
            } else {
                "spec.authentication.secret.template.annotations"
            };
            let template = json!({"name": "s", "template": {of: {key: "a"}}});
            rows.push(refused(base, vec![(at, template)], path, reserved(of)));
        }
    }
    rows
}

/// Twenty ways to trick a parser, and the forms that are meant.
fn redirects() -> Vec<Row> {
    let public = &public();
    let at = "/spec/redirectURIs";
    let form = "redirectURIs must be https://host[:port][/path][?query], or http on localhost, 127.0.0.1 or [::1], or a private-use scheme:/path; host in lower case; no user, fragment, wildcard or space";
    let mut rows = vec![
        accepted(
            public,
            vec![(at, json!(["https://a.example", "https://a.example/", "https://a.example:8443/cb?x=1&y=%20"]))],
        ),
        accepted(public, vec![(at, json!(["http://localhost:1234/cb", "http://127.0.0.1/cb", "http://[::1]:80/cb"]))]),
        accepted(public, vec![(at, json!(["com.example.app:/cb", "cursor://anysphere.cursor-retrieval/oauth/cb"]))]),
        refused(
            public,
            vec![(at, json!(["https://a.example", "https://a.example"]))],
            "spec.redirectURIs",
            "redirectURIs must not repeat a value",
        ),
        refused(
            &base(),
            vec![(at, json!(["com.example.app:/cb"]))],
            "spec.redirectURIs",
            "redirectURIs with a private-use scheme are only for authentication.method None",
        ),
    ];
    for bad in [
        "http://a.example/cb",
        "https:///cb",
        "https://",
        "https://user@a.example/cb",
        "https://user:pw@a.example/cb",
        "https://a.example/cb#f",
        "https://*.a.example/cb",
        "https://a.example/*",
        "https://a.example/c b",
        " https://a.example/cb",
        "https://a.example/cb\n",
        "https://A.example/cb",
        "https://ä.example/cb",
        "https://a.example\\@b.example/cb",
        "https://a.example:999999/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "https://a.example/<script>",
        "//a.example/cb",
        "a.example/cb",
        "javascript:/alert(1)",
        "data:/text/html,x",
        "file:/etc/passwd",
        "intent:/x",
        "com.example.app:cb",
    ] {
        rows.push(refused(public, vec![(at, json!([bad]))], "spec.redirectURIs[0]", form));
    }
    for bad in [
        "https://a.example/a/../b",
        "https://a.example/.",
        "https://a.example/%2e%2E/b",
        "https://a.example%2f",
        "com.example.app:/../x",
    ] {
        let message = if bad.contains("%2f") { form } else { "redirectURIs must not have . or .. as a path segment" };
        rows.push(refused(public, vec![(at, json!([bad]))], "spec.redirectURIs[0]", message));
    }
    rows
}

fn rest() -> Vec<Row> {
    let base = &base();
    let item = |name: &str| json!({"name": name, "resourceServerRef": {"name": "billing", "namespace": "b"}, "scopes": ["a.read"]});
    vec![
        accepted(base, vec![("/spec/resources", json!([item("a"), item("b")]))]),
        refused(
            base,
            vec![("/spec/resources", json!([item("a"), item("a")]))],
            "spec.resources",
            "resources must not repeat a name",
        ),
        refused(
            base,
            vec![("/spec/resources", json!([{"name": "a"}]))],
            "spec.resources[0].resourceServerRef",
            "equired value",
        ),
        accepted(base, vec![("/spec/agent", json!({"description": "Invoice bot", "maxDelegationDepth": 2}))]),
        refused(
            base,
            vec![("/spec/agent", json!({"maxDelegationDepth": 17}))],
            "spec.agent.maxDelegationDepth",
            "less than or equal to 16",
        ),
        refused(
            base,
            vec![("/spec/tokens", json!({"refreshLifetimeSeconds": 3600}))],
            "spec.tokens.refreshIdleSeconds",
            "refreshIdleSeconds (604800) must not be greater than refreshLifetimeSeconds (3600)",
        ),
        refused(base, vec![("/spec/state", json!("Asleep"))], "spec.state", "\"Asleep\""),
        refused(base, vec![("/spec/displayName", json!("x".repeat(257)))], "spec.displayName", "256"),
        refused(base, vec![("/spec/tokens", json!("long"))], "spec.tokens", "must be"),
        changed_to(base, vec![], vec![("/spec/state", json!("Suspended"))], None),
    ]
}
