//! `Provider`: an upstream that users log in with, or whose tokens are brokered.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::common::{Common, DriftStatus};
use super::lenient;
use super::reference::SecretKeyRef;
use super::rules;
use super::schema;

/// What an upstream provider is and what it is used for.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "holdfast.dev",
    version = "v1alpha1",
    kind = "Provider",
    plural = "oauthproviders",
    singular = "oauthprovider",
    shortname = "oap",
    category = "holdfast",
    namespaced,
    status = "ProviderStatus",
    derive = "PartialEq",
    doc = "An upstream identity or API provider that users log in with, or whose tokens are brokered.",
    selectable = ".spec.type",
    selectable = ".spec.reconciliation",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Reachable", type_ = "string", json_path = ".status.conditions[?(@.type==\"Reachable\")].status"),
    printcolumn(name = "Drifted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Drifted\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = rules::short_name(),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::immutable("installation"))]
#[x_kube(validation = rules::immutable("subjectClaim"))]
#[x_kube(validation = rules::union_member("OIDC", "oidc"))]
#[x_kube(validation = rules::union_member("OAuth2", "oauth2"))]
#[x_kube(validation = rules::union_member("APIKey", "apiKey"))]
#[x_kube(validation = rules::union_member("SignedAssertion", "signedAssertion"))]
#[x_kube(validation = Rule::new("has(self.clientID) == (self.type in ['OIDC', 'OAuth2'])")
    .message("clientID is required with type OIDC and OAuth2 and forbidden otherwise").field_path(".clientID"))]
#[x_kube(validation = Rule::new("!has(self.clientSecretRef) || self.type in ['OIDC', 'OAuth2']")
    .message("clientSecretRef is only for type OIDC and OAuth2").field_path(".clientSecretRef"))]
#[x_kube(validation = Rule::new("!('Login' in self.purposes) || self.type == 'OIDC' || (self.type == 'OAuth2' && has(self.oauth2) && has(self.oauth2.userinfoEndpoint))")
    .message("purpose Login requires type OIDC, or OAuth2 with a userinfoEndpoint").field_path(".purposes"))]
pub struct ProviderSpec {
    /// What the provider speaks: OIDC, OAuth2, APIKey or SignedAssertion; the member of that name is required.
    /// Immutable.
    #[serde(rename = "type")]
    #[x_kube(validation = rules::immutable_value("type"))]
    pub kind: ProviderType,
    /// Login: users log in with it, in trusted namespaces only. Broker: its tokens are vended to resource servers.
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(validation = rules::unique("purposes"))]
    pub purposes: Vec<Purpose>,
    /// The name that people see. Default: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub display_name: Option<String>,
    /// An OpenID Connect provider, found by discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
    /// An OAuth 2 provider, by its endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// An API that users hold keys of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// A provider that exchanges assertions we sign for tokens, such as a service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_assertion: Option<SignedAssertion>,
    /// Our client_id there, with OIDC and OAuth2.
    #[serde(rename = "clientID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub client_id: Option<String>,
    /// Our client secret there. Unset: we are a public client there. A changed Secret is noticed without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// Scopes that are asked for there. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(validation = rules::unique("scopes"))]
    pub scopes: Vec<String>,
    /// The claim that tells users apart; changing it would make every user a new one. Default: sub. Immutable, also
    /// adding and removing it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9._:/-]+$"))]
    pub subject_claim: Option<String>,
    /// Claims computed from the provider's. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["claim".to_owned()]))]
    pub claim_mappings: Vec<ClaimMapping>,
    #[serde(flatten)]
    pub common: Common<ProviderField>,
}

/// What a provider speaks.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ProviderType {
    #[serde(rename = "OIDC")]
    Oidc,
    OAuth2,
    APIKey,
    SignedAssertion,
}

/// What a provider is used for.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Purpose {
    Login,
    Broker,
}

/// An OpenID Connect provider.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
pub struct Oidc {
    /// The issuer, whose discovery document names the rest.
    #[serde(rename = "issuerURL")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::web_url("issuerURL"))]
    pub issuer_url: String,
}

/// An OAuth 2 provider.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2 {
    /// Where users are sent.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::web_url("authorizationEndpoint"))]
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens become access tokens.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::web_url("tokenEndpoint"))]
    pub token_endpoint: String,
    /// Where claims about the user are read. Needed for purpose Login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::web_url("userinfoEndpoint"))]
    pub userinfo_endpoint: Option<String>,
    /// Where tokens are revoked (RFC 7009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::web_url("revocationEndpoint"))]
    pub revocation_endpoint: Option<String>,
    /// Standard: RFC 6749. Form: a token endpoint that answers form-encoded. Slack: tokens inside authed_user.
    /// Default: Standard.
    #[serde(default)]
    pub response_format: ResponseFormat,
    /// Further parameters of the authorization request. At most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "extra_params")]
    pub extra_params: BTreeMap<String, String>,
}

fn extra_params(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::string_map(16, 1024)
}

/// How a token endpoint answers.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ResponseFormat {
    #[default]
    Standard,
    Form,
    Slack,
}

/// An API that users hold keys of.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
pub struct ApiKey {
    /// The header that carries the key. Default: Authorization.
    #[serde(default = "authorization")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub header: String,
    /// What precedes the key in the header, for example "Bearer ". Unset: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub prefix: Option<String>,
    /// Where users read how to get a key.
    #[serde(rename = "instructionsURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::web_url("instructionsURL"))]
    pub instructions_url: Option<String>,
}

fn authorization() -> String {
    "Authorization".to_owned()
}

/// A provider that exchanges assertions we sign for tokens (RFC 7523).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedAssertion {
    /// Where assertions become tokens.
    #[serde(rename = "tokenURL")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::web_url("tokenURL"))]
    pub token_url: String,
    /// The account that the assertions speak for.
    #[schemars(length(min = 1, max = 320))]
    pub email: String,
    /// The private key, in PEM.
    pub key_ref: SecretKeyRef,
    /// Signature of the assertions. Default: RS256.
    #[serde(default)]
    pub algorithm: AssertionAlgorithm,
    /// Seconds that an assertion asks for, 60 to 43200. Default: 3600.
    #[serde(rename = "tokenTTLSeconds", default = "hour")]
    #[schemars(range(min = 60, max = 43_200))]
    pub token_ttl_seconds: i64,
}

fn hour() -> i64 {
    3600
}

/// JWS algorithms of assertions.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum AssertionAlgorithm {
    #[default]
    RS256,
    ES256,
    EdDSA,
}

/// A claim computed from the provider's.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct ClaimMapping {
    /// The claim that is set; groups get the Provider's namespace/name as a prefix.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9._:/-]+$"))]
    pub claim: String,
    /// A CEL expression over `claims`.
    #[schemars(length(min = 1, max = 2048))]
    pub expression: String,
    /// Examples that must come out right before the object is Ready. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub examples: Vec<ClaimExample>,
}

/// An input and what must come out.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct ClaimExample {
    /// The provider's claims.
    #[schemars(schema_with = "any_object")]
    pub claims: Map<String, Value>,
    /// The values that come out. At most 16.
    #[schemars(length(max = 16), inner(length(max = 128)))]
    pub result: Vec<String>,
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Fields of a provider whose drift may be ignored.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProviderField {
    DisplayName,
}

/// What is known of a provider.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Its id in the server.
    #[serde(rename = "providerID", default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// The redirect URI to register there.
    #[serde(rename = "redirectURI", default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// Users' accounts that are connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<i64>,
    /// Drift, found or corrected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// Ready, Accepted, ResolvedRefs, Synced, Drifted, Reachable; Reconciling, Stalled and Paused while True.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::conditions")]
    pub conditions: Vec<Condition>,
}
