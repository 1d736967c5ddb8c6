//! SQL, migrations, triggers, the change feed and the in-memory policy snapshot, on SQLite and PostgreSQL.
