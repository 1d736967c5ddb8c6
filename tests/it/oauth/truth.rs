//! M-19: whatever the served metadata claims, the server does, and whatever it does not claim is refused. Each member
//! has a probe that tries everything there might be, claimed or not; a member that has none fails the test.

mod clients;
mod endpoints;
mod requests;
mod signers;
mod world;

use std::collections::BTreeSet;

use holdfast::oauth::{DynamicParts, Mode, PushedRules};
use rstest::rstest;
use serde_json::{Map, Value, json};

use super::authorize::stage::{FILES, asks_consent};
use super::harness::{Setup, answer};
use world::{BOUND, World};

/// About what only the resource does: no request to this server can show it.
const STATED: [(&str, &str); 1] = [("bearer_methods_supported", "header")];

/// Members that may be missing, and what is claimed then.
const MISSING: [(&str, &str); 14] = [
    ("registration_endpoint", "null"),
    ("grant_types_supported", "[]"),
    ("response_modes_supported", "[]"),
    ("code_challenge_methods_supported", "[]"),
    ("scopes_supported", "[]"),
    ("prompt_values_supported", "[]"),
    ("dpop_signing_alg_values_supported", "[]"),
    ("introspection_endpoint_auth_methods_supported", "[]"),
    ("revocation_endpoint_auth_methods_supported", "[]"),
    ("require_pushed_authorization_requests", "false"),
    ("authorization_response_iss_parameter_supported", "false"),
    ("client_id_metadata_document_supported", "false"),
    ("request_uri_parameter_supported", "true"),
    ("request_parameter_supported", "false"),
];

/// The texts of a list.
fn listed(value: &Value) -> BTreeSet<&str> {
    let texts = value.as_array().unwrap_or_else(|| panic!("not a list: {value}")).iter();
    texts.map(|text| text.as_str().unwrap_or_else(|| panic!("not a text: {text}"))).collect()
}

/// Of everything that is claimed or that there might be, exactly what is claimed is done.
async fn exactly(claimed: &Value, conceivable: &[&str], does: impl AsyncFn(&str) -> bool) {
    let claimed = listed(claimed);
    for value in claimed.iter().chain(conceivable).collect::<BTreeSet<_>>() {
        assert_eq!(does(value).await, claimed.contains(value), "{value:?} where {claimed:?} is claimed");
    }
}

impl World {
    async fn probe(&self, member: &str, value: &Value) {
        if let Some(endpoint) = member.strip_suffix("_auth_methods_supported") {
            return self.authentication(endpoint, value).await;
        }
        if let Some(endpoint) = member.strip_suffix("_auth_signing_alg_values_supported") {
            return self.assertions(endpoint, value).await;
        }
        match member {
            "issuer" => self.issuer(value).await,
            "jwks_uri" => self.key_set(value).await,
            "authorization_endpoint" => self.authorizes(value).await,
            "token_endpoint" | "introspection_endpoint" | "revocation_endpoint" => self.token_life().await,
            "device_authorization_endpoint" => self.device(value).await,
            "pushed_authorization_request_endpoint" => self.pushes(value).await,
            "registration_endpoint" => self.registers(!value.is_null()).await,
            "grant_types_supported" => self.grants(value).await,
            "response_types_supported" => self.response_types(value).await,
            "response_modes_supported" => self.response_modes(value).await,
            "code_challenge_methods_supported" => self.challenges(value).await,
            "scopes_supported" => self.scopes(value).await,
            "prompt_values_supported" => self.prompts(value).await,
            "dpop_signing_alg_values_supported" => self.proofs(value).await,
            "require_pushed_authorization_requests" => assert_eq!(self.refuses_what_is_not_pushed().await, *value),
            "authorization_response_iss_parameter_supported" => assert_eq!(self.names_itself().await, *value),
            "request_parameter_supported" => assert_eq!(self.reads_request_objects().await, *value),
            "request_uri_parameter_supported" => assert_eq!(self.fetches_request_objects().await, *value),
            "claims_parameter_supported" => assert_eq!(self.reads_claims().await, *value),
            "client_id_metadata_document_supported" => assert_eq!(self.reads_documents().await, *value),
            "acr_values_supported" => self.sign_ins(value).await,
            "introspection_signing_alg_values_supported" => self.signed_answers(value).await,
            "subject_types_supported" => self.subjects(value).await,
            "id_token_signing_alg_values_supported" => self.signs(value).await,
            _ => panic!("nothing probes {member}: {value}"),
        }
    }

    async fn probe_resource(&self, uri: &str, member: &str, value: &Value, document: &Map<String, Value>) {
        match member {
            "resource" => {
                assert_eq!(*value, uri);
                let seen = self.introspected(&self.issued(&[("resource", uri)]).await).await;
                assert_eq!(seen["aud"], *value);
            }
            "authorization_servers" => {
                let servers = listed(value);
                assert_eq!(servers, [text(&self.document, "issuer")].into());
            }
            "scopes_supported" => {
                let does = async |scope: &str| self.ask_token(&[("resource", uri), ("scope", scope)]).await.is_ok();
                exactly(value, &["openid", "profile", "files.unknown", "*"], does).await;
            }
            "resource_name" => {
                let change = [("resource", uri), ("scope", ""), ("prompt", "consent")];
                let page = self.ask(&self.ada, "every", &change).await.unwrap();
                assert!(asks_consent(&page) && page.text().contains(value.as_str().unwrap()), "{}", page.text());
            }
            "dpop_bound_access_tokens_required" => {} // below, present or not
            _ => {
                let stated = STATED.iter().any(|(name, text)| *name == member && *value == json!([text]));
                assert!(stated, "nothing probes {member}: {value}");
            }
        }
        let required = document.get("dpop_bound_access_tokens_required").is_some_and(|required| *required == true);
        let unbound = self.unbound(&[("resource", uri)]).await;
        assert_eq!(unbound.is_err(), required, "{uri}: {unbound:?}");
    }
}

fn text<'a>(document: &'a Map<String, Value>, member: &str) -> &'a str {
    document[member].as_str().unwrap_or_else(|| panic!("{member} is no text"))
}

/// Every form and mode that changes what is claimed.
fn setups(case: &str) -> Setup {
    let mut dynamic = DynamicParts::default();
    let mut setup = Setup::default();
    match case {
        "as it comes" => {}
        "anybody registers" => dynamic.registration.mode = Mode::Open,
        "nobody registers" => dynamic.registration.mode = Mode::AdminOnly,
        "no documents" => dynamic.documents.enabled = false,
        "everybody pushes" => setup.pushed = PushedRules { required: true, ..PushedRules::default() },
        "proofs with a nonce" => setup.nonce_required = true,
        _ => panic!("{case}"),
    }
    Setup { dynamic, ..setup }
}

/// M-02, M-04, M-06, M-08, M-19, G-02, G-04, N-08, H-02, P-01: in both directions, for every member there is.
#[rstest]
#[case("as it comes")]
#[case("anybody registers")]
#[case("nobody registers")]
#[case("no documents")]
#[case("everybody pushes")]
#[case("proofs with a nonce")]
#[tokio::test]
async fn what_is_claimed_is_done_and_nothing_else(#[case] case: &str) {
    let world = World::set(setups(case)).await;
    let openid = world.stage.server.get("/.well-known/openid-configuration").await.json();
    assert_eq!(openid, Value::Object(world.document.clone()), "the two documents contradict each other");
    for (member, value) in &world.document {
        println!("{case}: {member}");
        world.probe(member, value).await;
    }
    for (member, meaning) in MISSING.iter().filter(|(member, _)| !world.document.contains_key(*member)) {
        world.probe(member, &serde_json::from_str(meaning).unwrap()).await;
    }
    for path in
        ["/userinfo", "/oauth/userinfo", "/oauth/logout", "/oauth/end_session", "/oauth/bc-authorize", "/oauth/ciba"]
    {
        assert_eq!(world.stage.server.get(path).await.status, 404, "{path}");
    }
    for uri in [FILES, BOUND] {
        let host = uri.trim_start_matches("https://").split('/').next().unwrap();
        let url = format!("{}/.well-known/oauth-protected-resource/mcp", world.stage.server.public);
        let got = answer(world.stage.server.http.get(url).header("host", host)).await.json();
        let document = got.as_object().unwrap_or_else(|| panic!("{got}"));
        for (member, value) in document {
            println!("{case}: {uri} {member}");
            world.probe_resource(uri, member, value, document).await;
        }
    }
    assert_eq!(world.document.contains_key("registration_endpoint"), case != "nobody registers");
    assert_eq!(world.document["client_id_metadata_document_supported"], json!(case != "no documents"));
    assert_eq!(world.document["require_pushed_authorization_requests"], json!(case == "everybody pushes"));
}

/// M-19: a claim that nobody probes is found.
#[tokio::test]
#[should_panic(expected = "nothing probes userinfo_endpoint")]
async fn a_claim_without_a_probe_is_found() {
    World::set(Setup::default()).await.probe("userinfo_endpoint", &json!("https://auth.example.com/userinfo")).await;
}

/// M-19: a claim that is not kept is found.
#[tokio::test]
#[should_panic(expected = "\"password\" where")]
async fn a_claim_that_is_not_kept_is_found() {
    let world = World::set(Setup::default()).await;
    let mut grants = world.document["grant_types_supported"].clone();
    grants.as_array_mut().unwrap().push(json!("password"));
    world.probe("grant_types_supported", &grants).await;
}
