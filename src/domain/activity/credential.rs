//! The secrets of a client or resource server: made, rotated, changed, ended. No value and no hash is known here.

use serde_json::{Value, json};

use super::derive::{Change, Edit, Row, Rows, shown, text, time};

/// What became of one credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Added,
    Rotated,
    Changed,
    Ended,
}

/// What the changes of one transaction did to the credentials of `id`: which change, what it means, its payload. Two
/// changes that are one rotation are told once.
pub fn fates(id: &str, changes: &[Change], (before, after): (&Rows, &Rows)) -> Vec<(usize, Fate, Value)> {
    let edits = changes.iter().enumerate().filter(|(_, change)| change.table == "credential");
    let edits: Vec<_> = edits.filter_map(|(at, change)| Some((at, change, change.edit(id)?))).collect();
    let sides = Sides { before, after };
    let promoted = edits.iter().find_map(|(_, change, edit)| sides.promoted(change, *edit));
    let told = |(at, change, edit): (usize, &Change, Edit<'_>)| {
        let (fate, payload) = sides.fate(change, edit, promoted.as_deref())?;
        Some((at, fate, payload))
    };
    edits.into_iter().filter_map(told).collect()
}

struct Sides<'a> {
    before: &'a Rows,
    after: &'a Rows,
}

impl Sides<'_> {
    /// The id of the credential that was current and is replaced by what this change makes current.
    fn promoted(&self, change: &Change, edit: Edit<'_>) -> Option<String> {
        let new = match edit {
            Edit::Added(new) if text(new, "state") == "current" => new,
            Edit::Changed(old, new) if text(old, "state") != "current" && text(new, "state") == "current" => {
                if hash_changed(change) {
                    return None;
                }
                new
            }
            _ => return None,
        };
        let mut prior = self.before.of("credential").filter(|row| text(row, "state") == "current");
        prior.find(|row| text(row, "id") != text(new, "id")).map(|row| text(row, "id").to_owned())
    }

    fn fate(&self, change: &Change, edit: Edit<'_>, replaced: Option<&str>) -> Option<(Fate, Value)> {
        if let Some(prior) = self.promoted(change, edit)
            && let Edit::Added(new) | Edit::Changed(_, new) = edit
        {
            return Some((Fate::Rotated, self.rotated(change, &prior, new)));
        }
        match edit {
            Edit::Added(new) => {
                Some((Fate::Added, json!({"credential_id": shown(new, "id"), "state": shown(new, "state")})))
            }
            Edit::Removed(old) => {
                Some((Fate::Ended, json!({"credential_id": shown(old, "id"), "prior_state": shown(old, "state")})))
            }
            Edit::Changed(old, new) => {
                let same = !hash_changed(change);
                let states = (text(old, "state"), text(new, "state"));
                // the other half of what is told already: of its making, or of its replacement
                let half = same
                    && (states == ("pending", "current")
                        || states == ("current", "retiring") && replaced == Some(text(old, "id")));
                (!half).then(|| (Fate::Changed, changed(old, new, !same)))
            }
        }
    }

    fn rotated(&self, change: &Change, prior: &str, new: &Row) -> Value {
        let retiring = self.after.of("credential").find(|row| text(row, "id") == prior);
        json!({
            "rotated_by": change.actor.as_str(),
            "rotated_at": change.at.to_string(),
            "credential_id": shown(new, "id"),
            "prior_credential_id": prior,
            "retire_at": retiring.map_or(Value::Null, |row| time(row, "retire_at")),
        })
    }
}

fn hash_changed(change: &Change) -> bool {
    let told = change.new.as_ref().and_then(|new| new.get("hash_changed"));
    told.is_some_and(|told| told == &Value::Bool(true) || told.as_i64() == Some(1))
}

fn changed(old: &Row, new: &Row, hash_changed: bool) -> Value {
    let side = |row: &Row| {
        json!({
            "state": shown(row, "state"),
            "issued_at": time(row, "issued_at"),
            "retire_at": time(row, "retire_at"),
        })
    };
    json!({
        "credential_id": shown(new, "id"),
        "before": side(old),
        "after": side(new),
        "hash_changed": hash_changed,
    })
}
