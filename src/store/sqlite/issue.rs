//! A batch of tokens as VALUES: one statement, one commit.

use std::sync::OnceLock;

use sqlx::error::ErrorKind;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Row, SqlSafeStr, SqlStr, Sqlite};

use crate::store::Error;
use crate::store::issue::{Inserted, Waiting};

use super::Pools;

/// The connection that writes, kept while batch follows upon batch: the pool takes it back with a round trip.
#[derive(Default)]
pub(in crate::store) struct Turn(Option<PoolConnection<Sqlite>>);

impl Turn {
    /// Lets others write.
    pub fn end(&mut self) {
        self.0 = None;
    }
}

/// Inserts the tokens whose client and resource server have not moved. Mostly all of them: that is tried first, since
/// nothing has to be read back then, and it fails as a whole.
pub(in crate::store) async fn issue(pools: &Pools, turn: &mut Turn, batch: &[&Waiting]) -> Result<Inserted, Error> {
    let mut connection = match turn.0.take() {
        Some(connection) if !pools.is_wanted() => connection,
        given_back => {
            drop(given_back);
            pools.write.acquire().await?
        }
    };
    let inserted = match bind(Form::AllOrNone, batch).execute(&mut *connection).await {
        Ok(_) => Inserted::All,
        Err(sqlx::Error::Database(refused))
            if matches!(refused.kind(), ErrorKind::NotNullViolation | ErrorKind::UniqueViolation) =>
        {
            let rows = bind(Form::Some, batch).fetch_all(&mut *connection).await?;
            Inserted::These(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
        }
        Err(error) => return Err(error.into()),
    };
    turn.0 = Some(connection);
    Ok(inserted)
}

fn bind<'a>(form: Form, batch: &[&'a Waiting]) -> Query<'a, Sqlite, SqliteArguments> {
    let mut query = sqlx::query(form.statement(batch.len()));
    for waiting in batch {
        let i = &waiting.issuance;
        query = query
            .bind(i.jti.as_bytes().as_slice())
            .bind(i.handle.as_ref().map(|handle| handle.as_bytes().to_vec()))
            .bind(&i.client_id)
            .bind(&i.resource_server_id)
            .bind(&i.subject)
            .bind(&i.scope)
            .bind(i.issued_at.as_microsecond())
            .bind(i.expires_at.as_microsecond())
            .bind(i.client_revision)
            .bind(i.resource_server_revision);
    }
    query
}

/// What becomes of the batch when a token in it cannot be recorded.
#[derive(Clone, Copy)]
enum Form {
    /// The statement fails.
    AllOrNone,
    /// It is left out, and the others are returned.
    Some,
}

impl Form {
    fn statement(self, rows: usize) -> SqlStr {
        static KNOWN: [[OnceLock<SqlStr>; 9]; 2] = [const { [const { OnceLock::new() }; 9] }; 2];
        // sizes repeat, so that their statements are prepared once; what is missing is NULL
        let rows = rows.next_power_of_two();
        let known = KNOWN[self as usize].get(rows.trailing_zeros() as usize);
        known.map_or_else(|| self.written(rows), |known| known.get_or_init(|| self.written(rows)).clone())
    }

    fn written(self, rows: usize) -> SqlStr {
        // nameless places: to look up the name of each would take longer than the rest
        let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
        let unmoved = "EXISTS (SELECT 1 FROM client WHERE id = column3 AND revision = column9)
            AND EXISTS (SELECT 1 FROM resource_server WHERE id = column4 AND revision = column10)";
        let (jti, condition, end) = match self {
            // no jti is no row
            Self::AllOrNone => (format!("CASE WHEN {unmoved} THEN column1 END"), "column1 IS NOT NULL", ""),
            Self::Some => ("column1".to_owned(), unmoved, "ON CONFLICT (jti) DO NOTHING RETURNING jti"),
        };
        AssertSqlSafe(format!(
            "INSERT INTO access_token
                (jti, handle, client_id, resource_server_id, subject, scope, issued_at, expires_at)
            SELECT {jti}, column2, column3, column4, column5, column6, column7, column8 FROM (VALUES {values})
            WHERE {condition} {end}"
        ))
        .into_sql_str()
    }
}
