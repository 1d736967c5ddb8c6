//! Whose a Kubernetes ServiceAccount token is: asked of whoever issued it.

use std::fmt;

use futures::future::BoxFuture;

use super::secret::SecretText;

/// An account of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServiceAccount {
    pub namespace: String,
    pub name: String,
}

impl ServiceAccount {
    /// From `system:serviceaccount:<namespace>:<name>`, as Kubernetes names it; `None` for any other user.
    pub fn parse(username: &str) -> Option<Self> {
        let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        let whole = !namespace.is_empty() && !name.is_empty() && !name.contains(':');
        whole.then(|| Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// `namespace/name`, as policy keeps it.
impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Whoever knows which tokens are good (the TokenReview of a cluster).
pub trait Reviewer: Send + Sync {
    /// The account of a token that was made for this audience; `None` for every other one.
    fn review<'a>(
        &'a self,
        token: &'a SecretText,
        audience: &'a str,
    ) -> BoxFuture<'a, Result<Option<ServiceAccount>, ReviewError>>;
}

/// Nothing was found out.
#[derive(Debug, thiserror::Error)]
#[error("failed to review a service account token")]
pub struct ReviewError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("system:serviceaccount:billing:mcp", Some("billing/mcp"))]
    #[case("system:serviceaccount:billing:", None)]
    #[case("system:serviceaccount::mcp", None)]
    #[case("system:serviceaccount:billing", None)]
    #[case("system:serviceaccount:a:b:c", None)]
    #[case("system:node:billing", None)]
    #[case("admin", None)]
    fn only_a_service_account_is_one(#[case] username: &str, #[case] expected: Option<&str>) {
        assert_eq!(ServiceAccount::parse(username).map(|account| account.to_string()).as_deref(), expected);
    }
}
