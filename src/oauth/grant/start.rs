//! The beginning of a grant: its row, its first access token and, for a client that refreshes, its first refresh token.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::client::{AuthenticationMethod, GrantType};
use crate::domain::decide;
use crate::domain::handle::Handle;
use crate::domain::policy::ClientEntry;
use crate::domain::secret::SecretText;

use crate::oauth::AuthorizationServer;
use crate::oauth::dpop::Sender;
use crate::oauth::error::Error;
use crate::oauth::mint::Minting;
use crate::oauth::request::Grant;
use crate::oauth::token::{Issued, TokenResponse};
use crate::store::{GrantRow, IssueOutcome, Lineage, Tx};

/// What a user consented to, about to become tokens.
pub(in crate::oauth) struct Start<'a> {
    /// Of the grant. The same id a second time, as after a commit whose answer was lost, continues the same grant.
    pub id: Uuid,
    pub by: Grant,
    pub sender: Sender<'a>,
    pub grant: &'a decide::Grant,
    pub subject: &'a str,
    /// The login session that it ends with; `None` of a device, which outlives the browser that let it in.
    pub session_id: Option<&'a str>,
    pub auth_time: Timestamp,
    /// The code that is redeemed: the first refresh token follows from it.
    pub code: &'a SecretText,
}

impl AuthorizationServer {
    /// The one refresh token that comes after this code or refresh token. It is derived, so that whoever shows the
    /// predecessor again can be given the same one, and only hashes are kept.
    pub(in crate::oauth) fn successor(&self, predecessor: &SecretText, grant: Uuid) -> SecretText {
        let bits = self.inner.successors.digest(&[predecessor.expose().as_bytes(), grant.as_bytes()]);
        Handle::RefreshToken.of_bits(&bits)
    }

    /// Writes a grant and what is issued at its beginning; `None` when policy moved, and then nothing may be
    /// committed.
    pub(in crate::oauth) async fn start(&self, tx: &mut Tx, start: &Start<'_>) -> Result<Option<Issued>, Error> {
        let Start { sender, grant, .. } = start;
        let client = sender.client;
        let jkt = sender.jkt().filter(|_| grant.bound);
        let now = self.inner.clock.now();
        let refreshes = client.client.grant_types.contains(&GrantType::RefreshToken);
        let end = refreshes.then(|| last_moment(client, now));
        let lineage = Lineage {
            grant_id: Some(start.id),
            jkt: jkt.map(str::to_owned),
            auth_time: Some(start.auth_time),
            ..Lineage::default()
        };
        let minting = Minting {
            grant,
            subject: start.subject,
            not_after: end,
            credential: sender.credential(),
            lineage: Some(&lineage),
            claims: None,
        };
        let minted = self.mint(&minting).await?;
        let public = client.client.authentication_method == AuthenticationMethod::None;
        let row = GrantRow {
            id: start.id,
            kind: start.by.of_client(),
            client_id: client.id.clone(),
            subject: start.subject.to_owned(),
            resource_server_id: grant.resource_server_id.clone(),
            scope: grant.scope(),
            session_id: start.session_id.map(str::to_owned),
            auth_time: Some(start.auth_time),
            // a confidential client is bound by its authentication (RFC 9449 §5)
            jkt: jkt.filter(|_| public).map(str::to_owned),
            parent: None,
            created_at: now,
            expires_at: end.unwrap_or(minted.expires_at),
            revoked_at: None,
        };
        let began = tx.put_grant(&row).await?;
        let mut refresh_token = None;
        if let Some(end) = end {
            let first = self.successor(start.code, start.id);
            tx.put_refresh_token(&first.hash(), start.id, now, idle_until(client, now, end)).await?;
            refresh_token = Some(first);
        }
        if tx.issue(&minting.issuance(&minted), &lineage).await? == IssueOutcome::Stale {
            return Ok(None);
        }
        tx.count_audited(AuditKind::TokenIssued);
        if began {
            let record = Record {
                client_id: Some(&row.client_id),
                user_id: Some(&row.subject),
                resource: Some(&row.resource_server_id),
                detail: json!({ "grant": row.id, "by": row.kind.as_str(), "scope": row.scope }),
                ..Record::new(now, Actor::client(&row.client_id))
            };
            tx.audit(AuditKind::GrantCreated, &record).await?;
        }
        Ok(Some(Issued {
            grant: start.by,
            client_id: client.id.clone(),
            subject: start.subject.to_owned(),
            resource: grant.audience.clone(),
            jti: minted.jti,
            grant_id: Some(start.id),
            began,
            exchanged: None,
            agent: grant.agent,
            response: TokenResponse {
                token_type: minting.token_type(),
                expires_in: minted.lifetime(),
                access_token: minted.text,
                scope: minted.scope,
                refresh_token,
                issued_token_type: None,
            },
        }))
    }
}

/// The absolute end of a grant that begins at `began`.
pub(in crate::oauth) fn last_moment(client: &ClientEntry, began: Timestamp) -> Timestamp {
    later(began, client.client.tokens.refresh_lifetime_seconds)
}

/// The end of a refresh token that is issued now and never used.
pub(in crate::oauth) fn idle_until(client: &ClientEntry, now: Timestamp, end: Timestamp) -> Timestamp {
    later(now, client.client.tokens.refresh_idle_seconds).min(end)
}

/// A row may say anything until it is corrected: what is no time is no life.
fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(seconds.max(0))).unwrap_or(time)
}
