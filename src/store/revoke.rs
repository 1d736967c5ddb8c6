//! All revocation, with its cause, inside the caller's transaction (RFC 7009 and every cascade).
//!
//! Codes come first, then grants, then tokens: whoever turns one into the other holds it meanwhile, so each statement
//! waits for them and the next one sees what they made. Children are ended level by level, whoever's they are.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use uuid::{Builder, Uuid};

use crate::domain::observer::DatabaseOperation;
pub use crate::domain::revocation::RevokeCause;

use super::Error;
use super::tx::{Tx, on};

/// No token lives longer, so what was issued earlier needs no revocation.
pub(super) const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// So many ids in one statement.
const CHUNK: usize = 256;

/// What is revoked, with everything that was made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoke<'a> {
    Token(Uuid),
    /// A grant with its refresh tokens and access tokens.
    Grant(Uuid),
    /// What the client was issued before that moment, and every grant that is older.
    ClientBefore {
        client_id: &'a str,
        before: Timestamp,
    },
    Client(&'a str),
    ResourceServer(&'a str),
    /// Everything that was issued for a user.
    Subject(&'a str),
    /// What a user granted to a client at a resource server: their consent is withdrawn.
    Consent {
        subject: &'a str,
        client_id: &'a str,
        resource_server_id: &'a str,
    },
    /// What began in a login session.
    Session(&'a str),
}

/// How much was ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Access tokens that lived.
    pub tokens: u64,
    /// Grants, each with its refresh tokens.
    pub grants: u64,
    pub codes: u64,
}

impl Ended {
    /// Whether anything was.
    pub const fn is_nothing(self) -> bool {
        self.tokens == 0 && self.grants == 0 && self.codes == 0
    }
}

/// Grants that one revocation ended.
pub(super) struct GrantsEnded {
    /// Where one was named; those that were made from it count with it.
    grant_id: Option<Uuid>,
    pub cause: RevokeCause,
    pub grants: u64,
    tokens: u64,
}

impl GrantsEnded {
    /// To the log, once it is committed.
    pub fn tell(&self) {
        let Self { grant_id, cause, grants, tokens } = self;
        let grant_id = grant_id.map(|id| id.to_string());
        tracing::info!(event = "grant_revoked", grant_id, revoked_by = cause.as_str(), grants, cascade_count = tokens);
    }
}

/// Conditions on codes, grants and tokens. `$1` now, `$2` cause, `$3` an id, `$4` to `$6` texts, `$7` a moment, `$8`
/// the key of the oldest token that can still live: keys are time-ordered, so it bounds the scan.
struct Condition<'a> {
    codes: Option<&'static str>,
    grants: Option<&'static str>,
    tokens: Option<&'static str>,
    id: Uuid,
    texts: [&'a str; 3],
    before: Timestamp,
}

impl<'a> Condition<'a> {
    fn of(what: Revoke<'a>) -> Self {
        let none =
            Self { codes: None, grants: None, tokens: None, id: Uuid::nil(), texts: [""; 3], before: Timestamp::MAX };
        let by = |column: &'static str| Self { codes: Some(column), grants: Some(column), ..none };
        match what {
            Revoke::Token(jti) => Self { tokens: Some("jti = $3"), id: jti, ..none },
            Revoke::Grant(id) => Self { grants: Some("id = $3"), id, ..none },
            Revoke::ClientBefore { client_id, before } => Self {
                codes: Some("client_id = $4 AND issued_at < $7"),
                grants: Some("client_id = $4 AND created_at < $7"),
                tokens: Some("jti >= $8 AND client_id = $4 AND issued_at < $7"),
                texts: [client_id, "", ""],
                before,
                ..none
            },
            Revoke::Client(id) => {
                Self { tokens: Some("jti >= $8 AND client_id = $4"), texts: [id, "", ""], ..by("client_id = $4") }
            }
            Revoke::ResourceServer(id) => Self {
                tokens: Some("jti >= $8 AND resource_server_id = $4"),
                texts: [id, "", ""],
                ..by("resource_server_id = $4")
            },
            // a user's token is of a grant, or was made from one that is
            Revoke::Subject(subject) => Self { texts: [subject, "", ""], ..by("subject = $4") },
            Revoke::Consent { subject, client_id, resource_server_id } => Self {
                texts: [subject, client_id, resource_server_id],
                ..by("subject = $4 AND client_id = $5 AND resource_server_id = $6")
            },
            Revoke::Session(id) => Self { texts: [id, "", ""], ..by("session_id = $4") },
        }
    }
}

const GRANT: &str = "UPDATE token_grant SET revoked_at = $1, revocation_cause = $2 WHERE revoked_at IS NULL AND ";
const TOKEN: &str = "UPDATE access_token SET revoked_at = $1, revocation_cause = $2
    WHERE revoked_at IS NULL AND expires_at > $1 AND ";

/// Rows that were made from others, and the column that says from which.
struct Below {
    update: &'static str,
    column: &'static str,
    key: &'static str,
}

const OF_GRANT: Below = Below { update: TOKEN, column: "grant_id", key: "jti" };
const MADE_FROM_GRANT: Below = Below { update: GRANT, column: "parent", key: "id" };
const MADE_FROM_TOKEN: Below = Below { update: TOKEN, column: "parent_jti", key: "jti" };

impl Tx {
    /// Ends tokens, grants and codes at once; a second time ends nothing and is no error.
    pub async fn revoke(&mut self, what: Revoke<'_>, cause: RevokeCause, now: Timestamp) -> Result<Ended, Error> {
        let started = Instant::now();
        let ended = self.end(&Condition::of(what), cause, now).await;
        self.observe(DatabaseOperation::Revoke, started, &ended);
        if let Ok(Ended { grants: grants @ 1.., tokens, .. }) = ended {
            let grant_id = if let Revoke::Grant(id) = what { Some(id) } else { None };
            self.grants_ended.push(GrantsEnded { grant_id, cause, grants, tokens });
        }
        ended
    }

    async fn end(&mut self, condition: &Condition<'_>, cause: RevokeCause, now: Timestamp) -> Result<Ended, Error> {
        const CODE: &str = "UPDATE authorization_code SET used_at = $1 WHERE used_at IS NULL AND ";
        const DEVICE: &str = "UPDATE device_authorization SET state = 'denied'
            WHERE state IN ('pending', 'approved') AND expires_at > $1 AND ";
        let at = (cause, now);
        let mut ended = Ended::default();
        if let Some(codes) = condition.codes {
            let sql = format!("{CODE}{codes} RETURNING hash AS id");
            ended.codes = self.end_where(sql, condition, at).await?.len() as u64;
        }
        if let Some(codes) = condition.codes {
            // what a user has allowed and no device has fetched yet
            let sql = format!("{DEVICE}{codes} RETURNING hash AS id");
            ended.codes += self.end_where(sql, condition, at).await?.len() as u64;
        }
        let mut tokens = Vec::new();
        if let Some(grants) = condition.grants {
            // also of a grant that is over: a clock that goes back must not revive it (C-06)
            let roots = self.end_where(format!("{GRANT}{grants} RETURNING id"), condition, at).await?;
            let grants = self.end_below(&MADE_FROM_GRANT, roots, at).await?;
            ended.grants = grants.len() as u64;
            tokens = self.end_of(&OF_GRANT, &grants, at).await?;
        }
        if let Some(filter) = condition.tokens {
            tokens.extend(self.end_where(format!("{TOKEN}{filter} RETURNING jti AS id"), condition, at).await?);
        }
        ended.tokens = self.end_below(&MADE_FROM_TOKEN, tokens, at).await?.len() as u64;
        Ok(ended)
    }

    /// Runs a statement with the parameters of a condition; returns the keys of what it ended.
    async fn end_where(
        &mut self,
        sql: String,
        condition: &Condition<'_>,
        (cause, now): (RevokeCause, Timestamp),
    ) -> Result<Vec<Vec<u8>>, Error> {
        let sql = sqlx::AssertSqlSafe(sql);
        let [first, second, third] = condition.texts;
        Ok(on!(self, c => sqlx::query_scalar::<_, Vec<u8>>(sql)
            .bind(now.as_microsecond())
            .bind(cause.as_str())
            .bind(condition.id.as_bytes().as_slice())
            .bind(first)
            .bind(second)
            .bind(third)
            .bind(condition.before.as_microsecond())
            .bind(first_key_after(now - LONGEST_LIFE))
            .fetch_all(c).await)?)
    }

    /// Ends whatever names one of these in that column; returns the keys of what it ended.
    async fn end_of(
        &mut self,
        below: &Below,
        ids: &[Vec<u8>],
        (cause, now): (RevokeCause, Timestamp),
    ) -> Result<Vec<Vec<u8>>, Error> {
        let Below { update, column, key } = below;
        let mut ended = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let places: Vec<String> = (3..chunk.len() + 3).map(|place| format!("${place}")).collect();
            let sql = format!("{update}{column} IN ({}) RETURNING {key}", places.join(", "));
            let sql = sqlx::AssertSqlSafe(sql);
            let found: Result<Vec<Vec<u8>>, sqlx::Error> = on!(self, c => {
                let query = sqlx::query_scalar::<_, Vec<u8>>(sql).bind(now.as_microsecond()).bind(cause.as_str());
                chunk.iter().fold(query, |query, id| query.bind(id.clone())).fetch_all(c).await
            });
            ended.extend(found?);
        }
        Ok(ended)
    }

    /// These and everything below them.
    async fn end_below(
        &mut self,
        below: &Below,
        roots: Vec<Vec<u8>>,
        at: (RevokeCause, Timestamp),
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut all = roots.clone();
        let mut level = roots;
        while !level.is_empty() {
            level = self.end_of(below, &level, at).await?;
            all.extend(level.iter().cloned());
        }
        Ok(all)
    }
}

/// The smallest UUIDv7 of that millisecond.
pub(super) fn first_key_after(time: Timestamp) -> Vec<u8> {
    let millis = u64::try_from(time.as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid().as_bytes().to_vec()
}
