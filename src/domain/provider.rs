//! An upstream provider as it is applied, compared and stored. Its secret stays in its Secret.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// OIDC, OAuth2, APIKey or SignedAssertion.
    #[serde(rename = "type")]
    pub provider_type: String,
    pub purposes: Vec<String>,
    pub display_name: String,
    /// The member of the union that `type` selects.
    pub settings: Value,
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// Name and key of the referenced Secret, never its value.
    pub client_secret_ref: Value,
    pub scopes: Vec<String>,
    pub subject_claim: String,
    pub claim_mappings: Value,
    pub allowed_namespaces: Value,
}
