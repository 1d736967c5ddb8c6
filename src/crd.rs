//! The custom resources of `holdfast.dev/v1alpha1`: what they hold, which values are legal, and what `kubectl explain` says.
//!
//! The types are written with kube's derive; [`schema`] then makes the generated schema what an API server needs
//! (bounds, list types, no nulls). `crds/`, the lint and the in-process validation all use that one result.

pub mod common;
pub mod condition;
mod lenient;
pub mod oauth_client;
pub mod provider;
pub mod reference;
pub mod resource_server;
pub mod rules;
pub mod schema;
pub mod secret;
pub mod validate;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use oauth_client::{OAuthClient, OAuthClientSpec, OAuthClientStatus};
pub use provider::{Provider, ProviderSpec, ProviderStatus};
pub use resource_server::{ResourceServer, ResourceServerSpec, ResourceServerStatus};
pub use validate::{FieldError, default, validate};

/// The API group of all kinds.
pub const GROUP: &str = "holdfast.dev";
/// The served and stored version.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of all kinds.
pub const API_VERSION: &str = "holdfast.dev/v1alpha1";

/// A definition could not be generated, which is a fault of the program and not of any input.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to turn a custom resource definition into JSON and back")]
    Convert(#[from] serde_json::Error),
    #[error("failed to write a custom resource definition as YAML")]
    Yaml(#[from] serde_saphyr::SerializeError),
}

/// The definitions of all kinds, ready to be applied.
pub fn all() -> Result<Vec<CustomResourceDefinition>, Error> {
    [ResourceServer::crd(), OAuthClient::crd(), Provider::crd()].into_iter().map(schema::transform).collect()
}

/// The definition as YAML that readers of YAML 1.1 (kubectl, helm) and 1.2 understand alike.
pub fn yaml(crd: &CustomResourceDefinition) -> Result<String, Error> {
    Ok(serde_saphyr::to_string(crd)?)
}

/// The file of a definition below `crds/`: `holdfast.dev_oauthclients.yaml`.
pub fn file_name(crd: &CustomResourceDefinition) -> String {
    format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural)
}
