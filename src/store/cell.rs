//! Reads and writes the columns that the mapping names, on either engine.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Row as _};

use super::Error;
use super::mapping::{Cell, Cells, Form, Table};
use super::tx::{Tx, on};

/// One row of a mapped table as the database has it.
pub(super) struct MappedRow {
    pub id: String,
    /// The id of the entity that the row belongs to; its own for the entity's row.
    pub entity: String,
    pub cells: Cells,
    pub revision: i64,
    pub owner: (Option<String>, Option<String>),
}

macro_rules! read {
    ($row:expr, $table:expr) => {{
        let (row, table): (_, &Table) = ($row, $table);
        let own = table.list.is_empty();
        let text = |name: &str| row.try_get::<Option<String>, _>(name);
        let cell = |name: &str, form: Form| match form {
            Form::Integer => match row.try_get::<Option<i64>, _>(name) {
                Ok(number) => number.map_or(Cell::Null, Cell::Integer),
                Err(_) => Cell::Unreadable,
            },
            Form::Text => match text(name) {
                Ok(text) => text.map_or(Cell::Null, Cell::Text),
                Err(_) => Cell::Unreadable,
            },
            Form::Json | Form::Rest => match text(name) {
                Ok(None) => Cell::Null,
                Ok(Some(text)) => serde_json::from_str::<Value>(&text).map_or(Cell::Unreadable, Cell::Json),
                Err(_) => Cell::Unreadable,
            },
        };
        Ok::<_, sqlx::Error>(MappedRow {
            id: row.try_get("id")?,
            entity: row.try_get(table.entity)?,
            cells: table.columns.iter().map(|column| cell(column.name, column.form)).collect(),
            // what is no number matches no issuance, and the next change of the entity puts it right
            revision: if own { row.try_get("revision").unwrap_or_default() } else { 0 },
            owner: match own {
                true => (text("owner_namespace").unwrap_or_default(), text("owner_name").unwrap_or_default()),
                false => (None, None),
            },
        })
    }};
}

/// A row whose key is none can be neither named nor put right.
fn legible(row: Result<MappedRow, sqlx::Error>, table: &Table) -> Option<MappedRow> {
    row.inspect_err(|error| tracing::error!(table = table.name, %error, "a row without a readable key is not served"))
        .ok()
}

impl Tx {
    /// The rows of a mapped table, of one entity or of all.
    pub(super) async fn mapped_rows(&mut self, table: &Table, entity: Option<&str>) -> Result<Vec<MappedRow>, Error> {
        let filter = if entity.is_some() { format!(" WHERE {} = $1", table.entity) } else { String::new() };
        // by name: a later migration that adds a column must not change the shape of a prepared statement
        let columns: String = table.columns.iter().map(|column| format!(", {}", column.name)).collect();
        let own = if table.list.is_empty() { ", revision, owner_namespace, owner_name" } else { "" };
        let entity_column = if table.list.is_empty() { String::new() } else { format!(", {}", table.entity) };
        let sql = format!("SELECT id{entity_column}{own}{columns} FROM {}{filter}", table.name);
        let rows: Result<Vec<_>, sqlx::Error> = on!(self, connection => {
            let query = sqlx::query(AssertSqlSafe(sql));
            let query = match entity { Some(id) => query.bind(id), None => query };
            let rows = query.fetch_all(connection).await?;
            Ok(rows.iter().map(|row| read!(row, table)).filter_map(|row| legible(row, table)).collect())
        });
        let mut rows = rows?;
        rows.sort_by(|a, b| (&a.entity, &a.id).cmp(&(&b.entity, &b.id)));
        Ok(rows)
    }

    /// Writes policy: runs a statement with these cells as its parameters; returns how many rows it touched.
    pub(super) async fn execute(&mut self, sql: String, cells: &[&Cell]) -> Result<u64, Error> {
        self.touch().await?;
        let touched: Result<u64, sqlx::Error> = on!(self, connection => {
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for cell in cells {
                query = match cell {
                    Cell::Null | Cell::Unreadable => query.bind(None::<String>),
                    Cell::Text(text) => query.bind(text),
                    Cell::Integer(number) => query.bind(*number),
                    Cell::Json(value) => query.bind(value.to_string()),
                };
            }
            query.execute(connection).await.map(|done| done.rows_affected())
        });
        Ok(touched?)
    }
}
