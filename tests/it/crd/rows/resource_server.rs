//! Rows about ResourceServers.

use serde_json::{Value, json};

use super::{Row, accepted, changed_to, refused};

pub fn base() -> Value {
    json!({
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "ResourceServer",
        "metadata": {"name": "billing"},
        "spec": {
            "resourceURI": "https://billing.example.com/mcp",
            "scopes": [{"name": "invoices.read"}, {"name": "invoices.write", "risk": "High"}],
        },
    })
}

pub fn rows() -> Vec<Row> {
    [uris(), policy(), access()].into_iter().flatten().collect()
}

fn uris() -> Vec<Row> {
    let base = &base();
    let at = "/spec/resourceURI";
    let form = "resourceURI must be https://host[:port][/path][?query], or http on localhost, 127.0.0.1 or [::1]; host in lower case; no user, fragment, wildcard or space";
    let mut rows = vec![
        accepted(base, vec![(at, json!("http://localhost:8080/mcp"))]),
        refused(
            base,
            vec![(at, json!("https://a.example/../mcp"))],
            "spec.resourceURI",
            "resourceURI must not have . or .. as a path segment",
        ),
        refused(base, vec![(at, Value::Null)], "spec.resourceURI", "equired value"),
        changed_to(
            base,
            vec![],
            vec![(at, json!("https://other.example.com/mcp"))],
            Some(("spec.resourceURI", "resourceURI is immutable: delete the object and create another one")),
        ),
    ];
    for bad in ["https://a.example/mcp#x", "http://a.example/mcp", "urn:billing", "https://A.example"] {
        rows.push(refused(base, vec![(at, json!(bad))], "spec.resourceURI", form));
    }
    rows
}

/// So many subjects, in bindings of at most 64.
fn crowd(subjects: usize) -> Value {
    let subject = json!({"kind": "Client", "name": "a"});
    let bindings = vec![subject; subjects];
    let named = |(i, part): (usize, &[Value])| json!({"name": format!("b{i}"), "role": "reader", "subjects": part});
    bindings.chunks(64).enumerate().map(named).collect()
}

fn policy() -> Vec<Row> {
    let base = &base();
    let (tools, roles, bindings) = ("/spec/tools", "/spec/roles", "/spec/roleBindings");
    let reader = json!([{"name": "reader", "scopes": ["invoices.read"]}]);
    vec![
        accepted(
            base,
            vec![(
                tools,
                json!([{"name": "list", "access": "Scoped", "scopes": ["invoices.read"], "match": "All"}, {"name": "ping", "access": "Public"}]),
            )],
        ),
        refused(base, vec![(tools, json!([{"name": "list"}]))], "spec.tools[0].access", "equired value"),
        refused(
            base,
            vec![(tools, json!([{"name": "list", "access": "Scoped"}, {"name": "list", "access": "Public"}]))],
            "spec.tools[1]",
            "uplicate value",
        ),
        refused(
            base,
            vec![(
                tools,
                json!([{"name": "ok", "access": "Public"}, {"name": "list", "access": "Scoped", "scopes": ["none"]}]),
            )],
            "spec.tools",
            "tool list names a scope that spec.scopes lacks",
        ),
        refused(
            base,
            vec![
                (tools, json!([{"name": "list", "access": "Scoped", "scopes": ["a"]}])),
                ("/spec/scopes", Value::Null),
            ],
            "spec.tools",
            "tool list names a scope that spec.scopes lacks",
        ),
        refused(
            base,
            vec![(tools, json!([{"name": "list", "access": "Public", "scopes": ["invoices.read"]}]))],
            "spec.tools[0].scopes",
            "scopes are forbidden with access: Public",
        ),
        refused(
            base,
            vec![(tools, json!([{"name": "list", "access": "Scoped", "scopes": ["invoices.read", "invoices.read"]}]))],
            "spec.tools[0].scopes",
            "scopes must not repeat a value",
        ),
        accepted(base, vec![(roles, reader.clone()), ("/spec/accessPolicy", json!({"defaultRole": "reader"}))]),
        refused(
            base,
            vec![(roles, json!([{"name": "reader", "scopes": ["none"]}]))],
            "spec.roles",
            "role reader names a scope that spec.scopes lacks",
        ),
        refused(
            base,
            vec![(roles, json!([{"name": "reader", "scopes": ["invoices.read", "invoices.read"]}]))],
            "spec.roles[0].scopes",
            "scopes must not repeat a value",
        ),
        accepted(
            base,
            vec![
                (roles, reader.clone()),
                (
                    bindings,
                    json!([{"name": "a", "role": "reader", "subjects": [{"kind": "Group", "name": "auth/corp:finance"}]}]),
                ),
            ],
        ),
        refused(
            base,
            vec![(roles, reader), (bindings, json!([{"name": "a", "role": "writer"}]))],
            "spec.roleBindings",
            "roleBinding a names a role that spec.roles lacks",
        ),
        refused(
            base,
            vec![(roles, json!([{"name": "reader"}])), (bindings, crowd(513))],
            "spec.roleBindings",
            "roleBindings must not have more than 512 subjects in all",
        ),
        refused(base, vec![("/spec/scopes", json!([{"name": "a b"}]))], "spec.scopes[0].name", "^[A-Za-z0-9._:/~-]+$"),
        refused(
            base,
            vec![("/spec/scopes", json!([{"name": "a", "risk": "Huge"}]))],
            "spec.scopes[0].risk",
            "\"Huge\"",
        ),
        accepted(base, vec![("/spec/lifecycle", json!("Live"))]),
        refused(
            base,
            vec![("/spec/accessToken", json!({"lifetimeSeconds": 59}))],
            "spec.accessToken.lifetimeSeconds",
            "greater than or equal to 60",
        ),
        // M-10
        accepted(base, vec![("/spec/accessToken", json!({"lifetimeSeconds": 3600}))]),
        refused(
            base,
            vec![("/spec/accessToken", json!({"lifetimeSeconds": 3601}))],
            "spec.accessToken.lifetimeSeconds",
            "less than or equal to 3600",
        ),
    ]
}

fn access() -> Vec<Row> {
    let base = &base();
    let source = "/spec/tokenSource";
    let provider = "providerRef is required with type Broker and forbidden otherwise";
    let form = "allowedReturnURLs must be https://host[:port][/path][?query], or http on localhost, 127.0.0.1 or [::1]; host in lower case; no user, fragment, wildcard or space";
    let connect = |urls: &[&str]| ("/spec/connect", json!({"allowedReturnURLs": urls}));
    vec![
        accepted(base, vec![(source, json!({"type": "Broker", "providerRef": {"name": "github"}}))]),
        refused(base, vec![(source, json!({"type": "Broker"}))], "spec.tokenSource.providerRef", provider),
        refused(
            base,
            vec![(source, json!({"type": "Mint", "providerRef": {"name": "github"}}))],
            "spec.tokenSource.providerRef",
            provider,
        ),
        changed_to(
            base,
            vec![],
            vec![(source, json!({"type": "Broker", "providerRef": {"name": "github"}}))],
            Some(("spec.tokenSource.type", "tokenSource.type is immutable: delete the object and create another one")),
        ),
        accepted(base, vec![("/spec/exchange", json!({"mode": "Listed", "clientRefs": [{"name": "gateway"}]}))]),
        accepted(base, vec![("/spec/exchange", json!({"mode": "Any"}))]),
        refused(
            base,
            vec![("/spec/exchange", json!({"mode": "Any", "clientIDs": ["a"]}))],
            "spec.exchange.clientRefs",
            "clientRefs and clientIDs are forbidden with mode: Any",
        ),
        accepted(base, vec![connect(&["https://a.example/done"])]),
        refused(base, vec![connect(&["ftp://a.example"])], "spec.connect.allowedReturnURLs[0]", form),
        refused(
            base,
            vec![connect(&["https://a.example/./x"])],
            "spec.connect.allowedReturnURLs[0]",
            "allowedReturnURLs must not have . or .. as a path segment",
        ),
        refused(
            base,
            vec![connect(&["https://a.example", "https://a.example"])],
            "spec.connect.allowedReturnURLs",
            "allowedReturnURLs must not repeat a value",
        ),
        accepted(
            base,
            vec![(
                "/spec/runtime",
                json!({"clientRefs": [{"name": "g", "namespace": "x"}], "serviceAccountRefs": [{"name": "s"}]}),
            )],
        ),
        accepted(
            base,
            vec![(
                "/spec/fronting",
                json!([{"name": "ledger", "targetRef": {"name": "ledger"}, "scopeMap": [{"source": "a", "target": ["b"]}]}]),
            )],
        ),
        refused(
            base,
            vec![("/spec/fronting", json!([{"name": "ledger"}]))],
            "spec.fronting[0].targetRef",
            "equired value",
        ),
        accepted(
            base,
            vec![("/spec/introspection", json!({"secret": {"name": "s", "rotation": {"periodSeconds": 7_776_000}}}))],
        ),
        refused(
            base,
            vec![("/spec/introspection", json!({"secret": {"name": "s", "rotation": {"periodSeconds": 60}}}))],
            "spec.introspection.secret.rotation.overlapSeconds",
            "overlapSeconds (86400, 86400 unless set) must be smaller than periodSeconds (60)",
        ),
    ]
}
