//! What changes of a provider mean for the resource servers that take their tokens from it.

use serde_json::{Map, Value, json};

use super::derive::{Change, Edit, Row, differing, other, shown};
use super::{Activity, ActivityType, Happened};

/// What the changes of one transaction did.
pub fn derive(id: &str, changes: &[Change]) -> Vec<Happened> {
    let edits = changes.iter().enumerate().filter_map(|(from, change)| Some((from, change.edit(id)?)));
    let told = edits.filter_map(|(from, edit)| {
        let activity = match edit {
            Edit::Added(new) => about(id, ActivityType::ProviderRecreated, new, json!({})),
            Edit::Removed(old) => about(id, ActivityType::ProviderDeleted, old, json!({})),
            Edit::Changed(old, new) => {
                let (before, after) = differing(old, new, &other(old, new, &[]))?;
                about(id, ActivityType::ProviderChanged, new, json!({"before": before, "after": after}))
            }
        };
        Some(Happened { activity, from })
    });
    told.collect()
}

/// Whether a resource server's `token_source` is this provider.
pub fn is_source(token_source: &str, provider: &str) -> bool {
    let source: Map<String, Value> = serde_json::from_str(token_source).unwrap_or_default();
    source.get("providerID").and_then(Value::as_str) == Some(provider)
}

fn about(id: &str, event: ActivityType, row: &Row, payload: Value) -> Activity {
    let mut activity = Activity::new(event, payload);
    activity.payload.insert("provider_id".to_owned(), id.into());
    activity.payload.insert("provider_name".to_owned(), shown(row, "display_name"));
    activity
}
