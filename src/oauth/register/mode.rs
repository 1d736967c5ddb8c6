//! Who may register: switched while the server runs, kept in the database, followed by every replica.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::AuthorizationServer;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::oauth::error::Error;
use crate::store::{self, Store};

/// Its name in the database.
const SETTING: &str = "dcr.mode";
/// Metadata follows within this.
const POLL: Duration = Duration::from_millis(500);

/// Who may register a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Anybody, with any https redirect URI.
    Open,
    /// Anybody, with redirect URIs on loopback, of a known private-use scheme, or that are approved.
    ApprovedRedirects,
    /// Who was invited by an administrator.
    AdminOnly,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Open, Self::ApprovedRedirects, Self::AdminOnly];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::ApprovedRedirects => "approved_redirects",
            Self::AdminOnly => "admin_only",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// The mode as last read, for the metadata alone: requests ask the database.
pub(in crate::oauth) struct Switch(AtomicU8);

impl Switch {
    pub fn new(mode: Mode) -> Self {
        Self(AtomicU8::new(mode as u8))
    }

    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) != Mode::AdminOnly as u8
    }

    fn set(&self, mode: Mode) {
        self.0.store(mode as u8, Ordering::Relaxed);
    }
}

impl AuthorizationServer {
    /// Who may register at this moment.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn registration_mode(&self) -> Result<Mode, Error> {
        let (store, configured) = (&self.inner.store, self.inner.dynamic.registration.mode);
        let mode = self.inner.patience.hold(|| read(store, configured)).await?;
        self.inner.dynamic.switch.set(mode);
        Ok(mode)
    }

    /// Switches it, from the next request on and whatever configuration says.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn set_registration_mode(&self, mode: Mode, actor: &Actor) -> Result<(), Error> {
        let (store, now) = (&self.inner.store, self.inner.clock.now());
        self.inner.patience.hold(|| set_mode(store, mode, actor, now)).await?;
        self.inner.dynamic.switch.set(mode);
        Ok(())
    }

    /// Follows what other replicas and the command line switch, until `stop`.
    pub async fn follow_settings(&self, stop: CancellationToken) {
        loop {
            if let Ok(mode) = read(&self.inner.store, self.inner.dynamic.registration.mode).await {
                self.inner.dynamic.switch.set(mode);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}

async fn read(store: &Store, configured: Mode) -> Result<Mode, store::Error> {
    let mut tx = store.read().await?;
    let kept = tx.setting(SETTING).await?;
    // a text that somebody else wrote opens nothing
    Ok(kept.map_or(configured, |text| Mode::parse(&text).unwrap_or(Mode::AdminOnly)))
}

/// Keeps the mode, beside a server that may be running.
///
/// # Errors
/// When the database is away.
pub async fn set_mode(store: &Store, mode: Mode, actor: &Actor, now: jiff::Timestamp) -> Result<(), store::Error> {
    let mut tx = store.write(actor).await?;
    tx.put_setting(SETTING, mode.as_str(), actor, now).await?;
    let detail = json!({"setting": SETTING, "value": mode.as_str()});
    tx.audit(AuditKind::SettingChanged, &Record { detail, ..Record::new(now, actor.clone()) }).await?;
    tx.commit().await
}

/// The mode that is kept; `None` where configuration speaks.
///
/// # Errors
/// When the database is away.
pub async fn kept_mode(store: &Store) -> Result<Option<Mode>, store::Error> {
    Ok(store.read().await?.setting(SETTING).await?.map(|text| Mode::parse(&text).unwrap_or(Mode::AdminOnly)))
}
