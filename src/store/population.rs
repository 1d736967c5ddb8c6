//! How many there are of everything that people ask for in numbers, from indexed counts.

use jiff::{SignedDuration, Timestamp};

use crate::domain::client::ClientState;
use crate::domain::observer::ClientSource;
use crate::domain::population::Population;
use crate::domain::user::AuthSource;

use super::tx::{Tx, on, row};
use super::{Error, Store};

row!(CountRow { first: String, second: String, number: i64 });

/// Where a client comes from is told by its id, and by whether an object owns it.
const CLIENTS: &str = "SELECT lower(state) AS first, origin AS second, COUNT(*) AS number FROM (
        SELECT state, CASE WHEN substr(id, 1, 8) = 'https://' THEN 'cimd' WHEN substr(id, 1, 4) = 'dcr_' THEN 'dcr'
            WHEN owner_name IS NULL THEN 'admin' ELSE 'kubernetes' END AS origin FROM client) AS named
    GROUP BY state, origin";
const USERS: &str = "SELECT source AS first, CASE WHEN disabled_at IS NULL THEN 'active' ELSE 'disabled' END AS second,
        COUNT(*) AS number FROM account GROUP BY 1, 2";
const SESSIONS: &str =
    "SELECT COUNT(*) FROM login_session WHERE ended_at IS NULL AND last_seen_at > $1 AND expires_at > $2";
const GRANTS: &str = "SELECT COUNT(*) FROM token_grant WHERE expires_at > $1 AND revoked_at IS NULL";
/// The last refresh token of a family is the one that is not used.
const FAMILIES: &str = "SELECT COUNT(*) FROM refresh_token r JOIN token_grant g ON g.id = r.grant_id
    WHERE r.used_at IS NULL AND r.idle_expires_at > $1 AND g.revoked_at IS NULL AND g.expires_at > $1";

impl Store {
    /// Counts users, sessions, clients and grants as they are now. A session is over `idle` after its last request.
    pub async fn population(&self, now: Timestamp, idle: SignedDuration) -> Result<Population, Error> {
        let mut tx = self.read().await?;
        let mut counted = Population::default();
        for CountRow { first, second, number } in tx.counts(USERS).await? {
            counted.users += number;
            let source = AuthSource::ALL.iter().copied().find(|source| source.as_str() == first);
            if let (Some(source), "active") = (source, second.as_str()) {
                counted.active_users.push((source, number));
            }
        }
        for CountRow { first, second, number } in tx.counts(CLIENTS).await? {
            let state = ClientState::ALL.into_iter().find(|state| state.as_str() == first);
            let source = ClientSource::ALL.iter().copied().find(|source| source.as_str() == second);
            if let (Some(state), Some(source)) = (state, source) {
                counted.clients.push(((state, source), number));
            }
        }
        let seen = now.saturating_sub(idle).unwrap_or(Timestamp::MIN).as_microsecond();
        let now = now.as_microsecond();
        counted.sessions = tx.count(SESSIONS, &[seen, now]).await?;
        counted.grants = tx.count(GRANTS, &[now]).await?;
        counted.families = tx.count(FAMILIES, &[now]).await?;
        Ok(counted)
    }
}

impl Tx {
    async fn counts(&mut self, sql: &'static str) -> Result<Vec<CountRow>, Error> {
        Ok(on!(self, c => sqlx::query_as::<_, CountRow>(sql).fetch_all(c).await)?)
    }

    async fn count(&mut self, sql: &'static str, moments: &[i64]) -> Result<i64, Error> {
        Ok(on!(self, c => {
            let query = sqlx::query_scalar::<_, i64>(sql);
            moments.iter().fold(query, |query, moment| query.bind(*moment)).fetch_one(c).await
        })?)
    }
}
