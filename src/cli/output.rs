//! Answers as a table for people, as JSON or as `key=value` lines for programs.

use std::io::IsTerminal;

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use serde_json::{Map, Value};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Kv,
}

impl Format {
    /// A terminal gets tables.
    pub fn fitting() -> Self {
        if std::io::stdout().is_terminal() { Self::Table } else { Self::Kv }
    }
}

/// Rows of named values; one row that is the whole answer, or a list of any length.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    list: bool,
    note: Option<String>,
}

impl Table {
    /// The answer is this one thing.
    pub fn one(pairs: Vec<(&'static str, String)>) -> Self {
        let (columns, row) = pairs.into_iter().unzip();
        Self { columns, rows: vec![row], list: false, note: None }
    }

    /// The answer is a list of things.
    pub fn list(columns: Vec<&'static str>, rows: Vec<Vec<String>>) -> Self {
        Self { columns, rows, list: true, note: None }
    }

    /// What is to be said beside the answer, and is no part of it.
    pub fn noted(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }

    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Ends with a line feed unless there is nothing to say.
    pub fn render(&self, format: Format) -> String {
        match format {
            _ if self.columns.is_empty() => String::new(),
            Format::Json => format!("{:#}\n", self.json()),
            Format::Kv => {
                let lines =
                    |row: &Vec<String>| self.columns.iter().zip(row).map(|(k, v)| format!("{k}={v}\n")).collect();
                self.rows.iter().map(lines).collect::<Vec<String>>().join("\n")
            }
            Format::Table => format!("{}\n", self.table()),
        }
    }

    fn json(&self) -> Value {
        let object = |row: &Vec<String>| {
            let pairs = self.columns.iter().zip(row).map(|(k, v)| ((*k).to_owned(), Value::from(v.as_str())));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        match (self.list, self.rows.first()) {
            (false, Some(row)) => object(row),
            _ => self.rows.iter().map(object).collect(),
        }
    }

    fn table(&self) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING);
        if self.list {
            table.set_header(self.columns.iter().map(|column| column.to_uppercase()));
            table.add_rows(&self.rows);
        } else {
            table.add_rows(self.rows.iter().flat_map(|row| {
                self.columns.iter().zip(row).map(|(column, value)| [(*column).to_owned(), value.clone()])
            }));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_an_object_and_a_list_is_an_array() {
        let one = Table::one(vec![("name", "a".into()), ("role", "admin".into())]);
        assert_eq!(one.render(Format::Kv), "name=a\nrole=admin\n");
        assert_eq!(one.render(Format::Json), "{\n  \"name\": \"a\",\n  \"role\": \"admin\"\n}\n");
        let list = Table::list(vec!["name"], vec![vec!["a".into()], vec!["b".into()]]);
        assert_eq!(list.render(Format::Kv), "name=a\n\nname=b\n");
        assert_eq!(Table::list(vec!["name"], vec![]).render(Format::Json), "[]\n");
        assert!(list.render(Format::Table).contains("NAME"));
        assert_eq!(Table::default().render(Format::Table), "");
    }
}
