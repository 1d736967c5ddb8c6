//! `OAuthClient`: who may ask for tokens, how it proves who it is, and for which resource servers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Common, DriftStatus, SenderConstraint};
use super::lenient;
use super::reference::{LocalRef, ObjectRef};
use super::rules;
use super::schema;
use super::secret::{ClientSecret, SecretStatus};

/// What an OAuth client is and may do.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "holdfast.dev",
    version = "v1alpha1",
    kind = "OAuthClient",
    plural = "oauthclients",
    singular = "oauthclient",
    shortname = "oac",
    category = "holdfast",
    namespaced,
    status = "OAuthClientStatus",
    derive = "PartialEq",
    doc = "An OAuth client: who may ask for tokens, how it proves who it is, and for which resource servers.",
    selectable = ".spec.clientID",
    selectable = ".status.clientID",
    selectable = ".spec.authentication.method",
    selectable = ".spec.reconciliation",
    printcolumn(name = "Client-ID", type_ = "string", json_path = ".status.clientID"),
    printcolumn(name = "Method", type_ = "string", json_path = ".spec.authentication.method"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Drifted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Drifted\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = rules::short_name(),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::immutable("installation"))]
#[x_kube(validation = rules::immutable("clientID"))]
#[x_kube(validation = Rule::new("!('authorization_code' in self.grantTypes) || (has(self.redirectURIs) && size(self.redirectURIs) > 0)")
    .message("authorization_code requires redirectURIs").field_path(".redirectURIs").reason(Reason::FieldValueRequired))]
#[x_kube(validation = Rule::new("!('client_credentials' in self.grantTypes) || self.authentication.method != 'None'")
    .message("client_credentials requires an authentication.method other than None").field_path(".grantTypes"))]
#[x_kube(validation = Rule::new("self.authentication.method == 'None' || !has(self.redirectURIs) || self.redirectURIs.all(u, u.matches('^https?://'))")
    .message("redirectURIs with a private-use scheme are only for authentication.method None").field_path(".redirectURIs"))]
pub struct OAuthClientSpec {
    /// The client_id that the client sends. Unique in the installation. Unset: one is made and shown in status.
    /// Immutable, also adding and removing it.
    #[serde(rename = "clientID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9._~-]*$') && !self.matches('^(usr|rs|dcr)_')")
        .message("clientID must be letters, digits and . _ ~ - after a letter or digit, and must not begin with usr_, rs_ or dcr_"))]
    pub client_id: Option<String>,
    /// The name that people see, for example when they give consent. Default: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub display_name: Option<String>,
    /// Suspended: nothing is issued and everything issued is revoked; the client and its secret stay. Default: Active.
    #[serde(default)]
    pub state: ClientState,
    /// What the client may use at the token endpoint, in the spelling of the RFCs. At most 6.
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(validation = rules::unique("grantTypes"))]
    pub grant_types: Vec<GrantType>,
    /// Where authorization responses may go, compared as exact strings: https, http on loopback, or, for a public
    /// client, a private-use scheme (RFC 8252). At most 32 of at most 2048 characters.
    #[serde(rename = "redirectURIs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), schema_with = "redirect_uris")]
    #[x_kube(validation = rules::unique("redirectURIs"))]
    pub redirect_uris: Vec<String>,
    /// How the client proves who it is.
    pub authentication: Authentication,
    /// Makes the client an agent: its tokens carry agent_id and agent_chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// The resource servers it may ask tokens for, each with a ceiling of scopes. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(x, self.exists_one(y, x.name == y.name))")
        .message("resources must not repeat a name"))]
    pub resources: Vec<Attachment>,
    /// Implicit: users are not asked; only in trusted namespaces, and only where the resource server says
    /// ImplicitAllowed. Default: Required.
    #[serde(default)]
    pub consent: ClientConsent,
    /// Lifetimes of refresh tokens and binding of tokens.
    #[serde(default)]
    pub tokens: ClientTokens,
    #[serde(flatten)]
    pub common: Common<OAuthClientField>,
}

fn redirect_uris(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::strings(2048, [rules::redirect_uri("redirectURIs"), rules::no_dot_segments("redirectURIs")])
}

/// Whether a client is served.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ClientState {
    #[default]
    Active,
    Suspended,
}

/// Grant types in the spelling of the RFCs.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
    DeviceCode,
    TokenExchange,
    JwtBearer,
}

/// How a client proves who it is. Whether it is public (None) or not is immutable.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.method == 'None') == (oldSelf.method == 'None')")
    .message("authentication.method is immutable between None (public) and the others: delete the object and create another one")
    .field_path(".method").reason(Reason::FieldValueForbidden))]
#[x_kube(validation = Rule::new("has(self.secret) == (self.method in ['ClientSecretBasic', 'ClientSecretPost'])")
    .message("secret is required with a ClientSecret method and forbidden otherwise").field_path(".secret"))]
#[x_kube(validation = Rule::new("self.method == 'PrivateKeyJWT' ? has(self.jwks) != has(self.jwksURI) : !has(self.jwks) && !has(self.jwksURI)")
    .message("exactly one of jwks and jwksURI is required with PrivateKeyJWT, and neither otherwise").field_path(".jwksURI"))]
#[x_kube(validation = Rule::new("has(self.workloadIdentity) == (self.method == 'WorkloadIdentity')")
    .message("workloadIdentity is required with method WorkloadIdentity and forbidden otherwise").field_path(".workloadIdentity"))]
pub struct Authentication {
    /// None: a public client. ClientSecretBasic, ClientSecretPost: a secret. PrivateKeyJWT: a signed assertion
    /// (RFC 7523). WorkloadIdentity: the token of a Kubernetes service account or of a trusted issuer.
    pub method: AuthenticationMethod,
    /// The client secret, with a ClientSecret method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<ClientSecret>,
    /// The client's public keys, with PrivateKeyJWT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<JsonWebKeySet>,
    /// Where the client's public keys are found, with PrivateKeyJWT.
    #[serde(rename = "jwksURI", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::web_url("jwksURI"))]
    pub jwks_uri: Option<String>,
    /// Whose token authenticates, with WorkloadIdentity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
}

/// How a client proves who it is (OIDC Core §9).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum AuthenticationMethod {
    None,
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJWT,
    WorkloadIdentity,
}

/// Public keys (RFC 7517 §5).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct JsonWebKeySet {
    /// The keys. 1 to 16.
    #[schemars(length(min = 1, max = 16))]
    pub keys: Vec<JsonWebKey>,
}

/// One public key (RFC 7517 §4). Private members have no place here and are refused or dropped.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct JsonWebKey {
    /// Key type: EC, RSA or OKP.
    pub kty: KeyType,
    /// Id of the key, as assertions name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub kid: Option<String>,
    /// Algorithm, for example ES256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub alg: Option<String>,
    /// Use; sig when it is given.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    pub use_: Option<String>,
    /// Curve, with EC and OKP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub crv: Option<String>,
    /// x coordinate in base64url, with EC and OKP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub x: Option<String>,
    /// y coordinate in base64url, with EC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub y: Option<String>,
    /// Modulus in base64url, with RSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub n: Option<String>,
    /// Exponent in base64url, with RSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub e: Option<String>,
}

/// Key types of the algorithms that are accepted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(clippy::upper_case_acronyms)] // RFC 7518 §6.1
pub enum KeyType {
    EC,
    RSA,
    OKP,
}

/// Whose token authenticates: a service account of this namespace, or a subject of a trusted issuer.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.serviceAccountRef) != has(self.trustedIssuerRef)")
    .message("exactly one of serviceAccountRef and trustedIssuerRef is required").field_path(".serviceAccountRef"))]
#[x_kube(validation = Rule::new("has(self.subject) == has(self.trustedIssuerRef)")
    .message("subject is required with trustedIssuerRef and forbidden otherwise").field_path(".subject"))]
pub struct WorkloadIdentity {
    /// A service account in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<LocalRef>,
    /// A TrustedIssuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_issuer_ref: Option<ObjectRef>,
    /// The subject of the issuer's tokens, compared as an exact string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub subject: Option<String>,
}

/// What makes a client an agent.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// What the agent does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// How many agents may stand between the user and a token, 0 to 16. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 16))]
    pub max_delegation_depth: i32,
}

fn one() -> i32 {
    1
}

/// A resource server that the client may ask tokens for.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Name of this item.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
    /// The resource server. In another namespace it must allow this one.
    pub resource_server_ref: ObjectRef,
    /// The most the client may ask for there. Empty: nothing. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9._:/~-]+$")))]
    pub scopes: Vec<String>,
}

/// Whether users are asked before this client gets a token for them.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ClientConsent {
    #[default]
    Required,
    Implicit,
}

/// Lifetimes of refresh tokens and binding of tokens.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.refreshIdleSeconds <= self.refreshLifetimeSeconds")
    .message(Message::Expression("'refreshIdleSeconds (%d) must not be greater than refreshLifetimeSeconds (%d)'.format([self.refreshIdleSeconds, self.refreshLifetimeSeconds])".to_owned()))
    .field_path(".refreshIdleSeconds"))]
pub struct ClientTokens {
    /// Seconds after which a refresh token ends however often it is used, 60 to 31536000. Default: 2592000 (30 days).
    #[serde(default = "refresh_lifetime")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub refresh_lifetime_seconds: i64,
    /// Seconds without use after which a refresh token ends, 60 to 31536000. Default: 604800 (7 days).
    #[serde(default = "refresh_idle")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub refresh_idle_seconds: i64,
    /// Whether tokens are bound to a key of the client (RFC 9449). Default: None.
    #[serde(default)]
    pub sender_constraint: SenderConstraint,
}

fn refresh_lifetime() -> i64 {
    2_592_000
}

fn refresh_idle() -> i64 {
    604_800
}

impl Default for ClientTokens {
    fn default() -> Self {
        Self {
            refresh_lifetime_seconds: refresh_lifetime(),
            refresh_idle_seconds: refresh_idle(),
            sender_constraint: SenderConstraint::default(),
        }
    }
}

/// Fields of a client whose drift may be ignored.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OAuthClientField {
    DisplayName,
    Agent,
    Consent,
    Tokens,
}

/// What is known of a client.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuthClientStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The client_id in force.
    #[serde(rename = "clientID", default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The client secret, without its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretStatus>,
    /// The state of each of spec.resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<AttachmentStatus>,
    /// Drift, found or corrected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// Ready, Accepted, ResolvedRefs, Synced, Drifted, SecretCurrent; Reconciling, Stalled and Paused while True.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::conditions")]
    pub conditions: Vec<Condition>,
}

/// The state of one of spec.resources.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
pub struct AttachmentStatus {
    /// Name of the item.
    #[serde(default)]
    pub name: String,
    /// Attached, RefNotFound or RefNotPermitted.
    #[serde(default)]
    pub state: String,
}
