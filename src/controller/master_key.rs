//! The master key in a Secret of the release's namespace, read through the API.
//!
//! It is created once, without an owner, and never written again; whoever comes second takes the first one's.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::domain::{KeyHome, KeyHomeError, SecretText};

use super::error::{Answer, is_conflict};

/// The key of the Secret's data.
const KEY: &str = "master.key";

/// Secret `<release>-master-key`.
pub struct MasterKeySecret {
    api: Api<Secret>,
    namespace: String,
    name: String,
}

impl MasterKeySecret {
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn error(&self, doing: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> KeyHomeError {
        KeyHomeError { doing, place: self.place(), source: Box::new(source) }
    }

    async fn read_secret(&self) -> Result<Option<SecretText>, KeyHomeError> {
        let secret = self.api.get_opt(&self.name).await.map_err(|e| self.error("read", Answer::of(&e)))?;
        let Some(secret) = secret else { return Ok(None) };
        let value = secret.data.and_then(|mut data| data.remove(KEY)).ok_or_else(|| self.error("read", NoKey))?;
        let text = String::from_utf8(value.0).map_err(|_| self.error("read", NotText))?;
        Ok(Some(SecretText::new(text)))
    }

    async fn create_secret(&self, key: &SecretText) -> Result<(), KeyHomeError> {
        let secret = Secret {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            data: Some(BTreeMap::from([(KEY.to_owned(), ByteString(key.expose().as_bytes().to_vec()))])),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        match self.api.create(&PostParams::default(), &secret).await {
            Err(error) if !is_conflict(&error) => Err(self.error("create", Answer::of(&error))),
            _ => Ok(()),
        }
    }
}

impl KeyHome for MasterKeySecret {
    fn read(&self) -> BoxFuture<'_, Result<Option<SecretText>, KeyHomeError>> {
        Box::pin(self.read_secret())
    }

    fn create<'a>(&'a self, key: &'a SecretText) -> BoxFuture<'a, Result<(), KeyHomeError>> {
        Box::pin(self.create_secret(key))
    }

    fn place(&self) -> String {
        format!("Secret {}/{}", self.namespace, self.name)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the Secret has no key {KEY}")]
struct NoKey;

#[derive(Debug, thiserror::Error)]
#[error("the value of key {KEY} is not text")]
struct NotText;
