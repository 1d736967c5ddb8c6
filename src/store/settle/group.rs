//! Change rows as they are read, by what changed together.

use jiff::Timestamp;

use crate::domain::Actor;
use crate::domain::activity::derive::{Change, Row};
use crate::domain::activity::{Cause, Happened};
use crate::domain::owner::Kind;
use crate::store::Error;
use crate::store::activity::Place;
use crate::store::time::stamp;
use crate::store::tx::{Readable, row};

row!(pub(super) ChangeRow {
    sequence: i64,
    at: i64,
    table_name: String,
    entity_kind: String,
    entity_id: String,
    old: Option<String>,
    new: Option<String>,
    actor: String,
    batch: i64,
    present: i64,
});

/// What one transaction changed of one entity.
pub(super) struct Group {
    /// Tells transactions apart, where the engine does.
    batch: i64,
    pub kind: Kind,
    /// Empty after a TRUNCATE.
    pub id: String,
    pub actor: Actor,
    pub changes: Vec<Change>,
    pub outside: bool,
}

impl Group {
    pub fn cause(&self, happened: &Happened) -> Cause {
        let from = self.changes.get(happened.from).or(self.changes.first());
        let at = from.map_or(Timestamp::UNIX_EPOCH, |change| change.at);
        let sequence = from.map(|change| change.sequence);
        Cause { sequence, outside: self.outside, ..Cause::own(self.actor.clone(), at) }
    }

    /// Of what changes nothing of the resource server's own.
    pub fn cause_at(&self, happened: &Happened, place: &Place) -> Cause {
        let version = Some(place.revision).filter(|revision| *revision > 0);
        Cause { prior_version: version, version, ..self.cause(happened) }
    }
}

/// Change rows by what changed together, in order. What cannot be read is logged; it stays settled.
pub(super) fn groups(rows: Vec<Readable<ChangeRow>>, outside: bool) -> Vec<Group> {
    let mut rows: Vec<ChangeRow> = rows.into_iter().filter_map(|Readable(row)| row).collect();
    rows.sort_by_key(|row| row.sequence);
    let mut groups: Vec<Group> = Vec::new();
    // rows of the database that this one was copied from count as settled; so does what is no policy
    for row in rows.into_iter().filter(|row| row.present != 0) {
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == row.entity_kind) else { continue };
        let (batch, id, actor) = (row.batch, row.entity_id.clone(), Actor::recorded(row.actor.clone()));
        let change = match change(row) {
            Ok(change) => change,
            Err(error) => {
                tracing::error!(%error, "a change that cannot be read is not told of");
                continue;
            }
        };
        let same =
            |group: &&mut Group| group.batch == batch && group.kind == kind && group.id == id && group.actor == actor;
        match groups.iter_mut().rfind(same) {
            Some(group) => group.changes.push(change),
            None => groups.push(Group { batch, kind, id, actor, changes: vec![change], outside }),
        }
    }
    groups
}

pub(super) fn change(row: ChangeRow) -> Result<Change, Error> {
    let corrupt = || Error::Corrupt { table: "change", key: row.sequence.to_string() };
    let side = |text: Option<String>| match text.map(|text| serde_json::from_str::<Row>(&text)) {
        None => Ok(None),
        Some(Ok(row)) => Ok(Some(row)),
        Some(Err(_)) => Err(corrupt()),
    };
    Ok(Change {
        sequence: row.sequence,
        at: stamp(row.at, corrupt)?,
        old: side(row.old)?,
        new: side(row.new)?,
        table: row.table_name,
        actor: Actor::recorded(row.actor),
    })
}
