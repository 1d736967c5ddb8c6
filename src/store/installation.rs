//! Whose database this is, and which master key seals what is in it.

use super::Error;
use super::tx::{Connection, Tx, on, row};

row!(InstallationRow { name: Option<String>, cluster: Option<String> });

impl Tx {
    /// Stores installation and cluster the first time; another one is refused afterwards.
    pub(super) async fn bind(&mut self, installation: &str, cluster: &str) -> Result<(), Error> {
        let claim = "UPDATE installation SET name = $1, cluster = $2 WHERE id = 1 AND name IS NULL";
        on!(self, c => sqlx::query(claim).bind(installation).bind(cluster).execute(c).await.map(drop))?;
        let sql = "SELECT name, cluster FROM installation WHERE id = 1";
        let row = on!(self, c => sqlx::query_as::<_, InstallationRow>(sql).fetch_one(c).await)?;
        match (row.name, row.cluster) {
            (Some(name), Some(place)) if name == installation && place == cluster => Ok(()),
            (name, place) => Err(Error::OtherInstallation {
                installation: name.unwrap_or_default(),
                cluster: place.unwrap_or_default(),
            }),
        }
    }

    /// Binds the database to another cluster; false when it is that one already, or nobody's yet.
    pub async fn rebind(&mut self, cluster: &str) -> Result<bool, Error> {
        let sql = "UPDATE installation SET cluster = $1 WHERE id = 1 AND cluster IS NOT NULL AND cluster <> $1";
        let touched = on!(self, c => sqlx::query(sql).bind(cluster).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched > 0)
    }

    /// The fingerprint of the master key; `None` = no key was ever made for this database.
    pub async fn key_fingerprint(&mut self) -> Result<Option<String>, Error> {
        let sql = "SELECT key_fingerprint FROM installation WHERE id = 1";
        Ok(on!(self, c => sqlx::query_scalar::<_, Option<String>>(sql).fetch_one(c).await)?)
    }

    pub async fn set_key_fingerprint(&mut self, fingerprint: &str) -> Result<(), Error> {
        let sql = "UPDATE installation SET key_fingerprint = $1 WHERE id = 1";
        on!(self, c => sqlx::query(sql).bind(fingerprint).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Until this transaction ends nobody else migrates or makes keys. SQLite has one writer anyway.
    pub async fn lock_migrations(&mut self) -> Result<(), Error> {
        match &mut self.connection {
            Connection::Sqlite(_) => Ok(()),
            Connection::Postgres(transaction) => super::postgres::lock_migrations(transaction).await,
        }
    }
}
