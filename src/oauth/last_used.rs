//! When a secret was last used where nothing is issued for it: noted once an hour, beside the request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::AuthorizationServer;
use super::client_auth::Authenticated;

/// What is remembered; beyond it everything is noted once more.
const MOST: usize = 100_000;
const HOUR: i64 = 3600;

/// The hour in which each credential was last noted.
#[derive(Default)]
pub(super) struct LastUsed(Mutex<HashMap<String, i64>>);

impl LastUsed {
    /// Whether this is the first use in its hour that this process knows of.
    fn is_news(&self, credential: &str, now: Timestamp) -> bool {
        let hour = now.as_second().div_euclid(HOUR);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(credential.to_owned(), hour).is_none_or(|before| before < hour)
    }

    fn forget(&self, credential: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(credential);
    }
}

impl AuthorizationServer {
    /// Notes that this secret was used (D7): whoever still has a secret that is being replaced is seen before it ends.
    pub(super) fn note_credential(&self, authenticated: &Authenticated) {
        let now = self.inner.clock.now();
        let news = |credential: &&String| self.inner.last_used.is_news(credential, now);
        let Some(credential) = authenticated.credential.as_ref().filter(news).cloned() else { return };
        let server = self.clone();
        // nobody waits for it
        tokio::spawn(async move {
            if let Err(error) = server.inner.store.credential_used(&credential, now).await {
                server.inner.last_used.forget(&credential);
                tracing::warn!(event = "last_use_not_noted", credential, error = &error as &dyn std::error::Error);
            }
        });
    }
}
