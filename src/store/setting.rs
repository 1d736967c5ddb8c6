//! What is switched while the server runs, by name; each replica asks for it.

use jiff::Timestamp;

use crate::domain::Actor;

use super::Error;
use super::tx::{Tx, on};

impl Tx {
    /// What was last set; `None` where configuration still speaks.
    pub async fn setting(&mut self, name: &str) -> Result<Option<String>, Error> {
        let sql = "SELECT value FROM setting WHERE name = $1";
        Ok(on!(self, c => sqlx::query_scalar::<_, String>(sql).bind(name).fetch_optional(c).await)?)
    }

    pub async fn put_setting(&mut self, name: &str, value: &str, actor: &Actor, now: Timestamp) -> Result<(), Error> {
        let sql = "INSERT INTO setting (name, value, actor, changed_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value, actor = excluded.actor, changed_at = excluded.changed_at";
        on!(self, c => sqlx::query(sql).bind(name).bind(value).bind(actor.as_str()).bind(now.as_microsecond())
            .execute(c).await.map(drop))?;
        Ok(())
    }
}
