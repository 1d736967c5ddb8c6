//! What follows from a configuration once every default is known.

use std::path::PathBuf;

use super::source::{Environment, data_dir};
use super::{Config, DatabaseUrl, Error};

/// A valid configuration, complete.
#[derive(Debug, Clone)]
pub struct Settings {
    pub config: Config,
    /// Without a slash at its end.
    pub issuer: String,
    pub database_url: DatabaseUrl,
    pub master_key: MasterKeyPlace,
    /// Folder of the key store `file`, when it can be told.
    pub signing_keys: Option<PathBuf>,
    /// `$XDG_DATA_HOME/holdfast`; a policy directory's generated secrets lie in `secrets` below it.
    /// There is one whenever `policy_dir` is set.
    pub data_dir: Option<PathBuf>,
    /// `POD_NAME` and `POD_NAMESPACE`, as the chart sets them.
    pub pod_name: Option<String>,
    pub pod_namespace: Option<String>,
}

/// Where the master key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKeyPlace {
    File(PathBuf),
    /// A Secret of the operator's namespace.
    Secret(String),
}

const DEFAULT_ISSUER: &str = "http://localhost:9000";

impl Settings {
    /// Fills in what depends on the process: its home, and whether it runs in a pod.
    pub fn complete(config: Config, environment: &Environment) -> Result<Self, Error> {
        let issuer = match &config.issuer {
            Some(issuer) => issuer.clone(),
            None if config.server.is_exposed() => {
                return Err(Error::invalid("issuer", "required, because a listener is not on loopback"));
            }
            None if environment.get("KUBERNETES_SERVICE_HOST").is_some() => {
                return Err(Error::invalid("issuer", "required in a pod"));
            }
            None => DEFAULT_ISSUER.to_owned(),
        };
        check_issuer(&issuer)?;
        let data_dir = data_dir(environment);
        let below = |key: &str, file: &str| {
            let problem = "required, because neither XDG_DATA_HOME nor HOME is an absolute path";
            data_dir.as_ref().map(|dir| dir.join(file)).ok_or_else(|| Error::invalid(key, problem))
        };
        let database_url = match &config.database.url {
            Some(url) => url.clone(),
            None => DatabaseUrl::new(format!("sqlite://{}", below("database.url", "holdfast.db")?.display())),
        };
        let master_key = match (&config.keys.master_key_file, &config.keys.master_key_secret) {
            (Some(file), _) => MasterKeyPlace::File(file.clone()),
            (None, Some(name)) => MasterKeyPlace::Secret(name.clone()),
            (None, None) => MasterKeyPlace::File(below("keys.master_key_file", "master.key")?),
        };
        let signing_keys = match &config.keys.file.folder {
            Some(folder) => Some(folder.clone()),
            None if config.keys.store == super::keys::Store::File => Some(below("keys.file.folder", "signing-keys")?),
            None => data_dir.as_ref().map(|dir| dir.join("signing-keys")),
        };
        if config.policy_dir.is_some() && data_dir.is_none() {
            return Err(Error::invalid("policy_dir", "needs XDG_DATA_HOME or HOME, where its secrets are put"));
        }
        let variable = |name| environment.get(name).map(str::to_owned);
        let (pod_name, pod_namespace) = (variable("POD_NAME"), variable("POD_NAMESPACE"));
        Ok(Self { config, issuer, database_url, master_key, signing_keys, data_dir, pod_name, pod_namespace })
    }
}

/// RFC 8414 §2: an absolute URL without query and fragment; tokens carry it literally, so it has one spelling.
fn check_issuer(issuer: &str) -> Result<(), Error> {
    let refuse = |problem: &str| Err(Error::invalid("issuer", problem));
    let Ok(url) = url::Url::parse(issuer) else { return refuse("expected a URL such as https://auth.example.com") };
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return refuse("expected a URL such as https://auth.example.com");
    }
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() == "http" && !loopback {
        return refuse("expected https; http only on localhost, 127.0.0.1 or [::1]");
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return refuse("expected a URL without user, query and fragment");
    }
    let odd = |segment: &str| segment.starts_with([':', '*']) || segment == ".well-known";
    if url.path_segments().into_iter().flatten().any(odd) {
        return refuse("expected no segment of the path that is .well-known or begins with : or *");
    }
    if issuer.ends_with('/') {
        return refuse("expected no slash at the end");
    }
    if url.as_str().trim_end_matches('/') != issuer {
        return refuse(&format!("write it as {}", url.as_str().trim_end_matches('/')));
    }
    Ok(())
}
