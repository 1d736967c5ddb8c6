//! Texts of strangers: of which types and how long they may be, and what of a name people get to see.

use serde_json::{Map, Value};

use super::{Fault, MAX_TEXT, member};

/// What is shown to people is cut there, in characters.
const MAX_NAME: usize = 128;

/// Members that are kept as they came: no two systems agree on more.
const KEPT: [&str; 9] = [
    "client_uri",
    "logo_uri",
    "tos_uri",
    "policy_uri",
    "contacts",
    "software_id",
    "software_version",
    "default_max_age",
    "require_auth_time",
];

pub(super) fn others(object: Map<String, Value>) -> Result<Map<String, Value>, Fault> {
    let international =
        |name: &str| name.split_once('#').is_some_and(|(name, _)| name == "client_name" || KEPT.contains(&name));
    let kept: Map<String, Value> =
        object.into_iter().filter(|(name, _)| KEPT.contains(&name.as_str()) || international(name)).collect();
    let small = |value: &Value| match value {
        Value::String(text) => text.len() <= MAX_TEXT && !text.contains('\0'),
        Value::Array(items) => {
            items.len() <= 32
                && items.iter().all(|item| item.as_str().is_some_and(|t| t.len() <= MAX_TEXT && !t.contains('\0')))
        }
        Value::Object(_) => false,
        _ => true,
    };
    match kept.values().all(small) {
        true => Ok(kept),
        false => Err(member("metadata", "a member is too long, or not of its type")),
    }
}

/// A text that is there and no text is refused: absent is something else.
pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, Fault> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_TEXT && !text.contains('\0') => Ok(Some(text)),
        Some(_) => Err(member(name, "expected a text that is not too long")),
    }
}

pub(super) fn strings<'a>(object: &'a Map<String, Value>, name: &'static str) -> Result<Option<Vec<&'a str>>, Fault> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::Array(items)) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            texts.map(Some).ok_or_else(|| member(name, "expected a list of texts"))
        }
        Some(_) => Err(member(name, "expected a list of texts")),
    }
}

/// A name as people may see it: without what moves, hides or breaks the text around it.
pub(super) fn readable(name: &str) -> String {
    let tricky = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    // a line break parts words, and so does what replaces it
    let spaced = name.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let name: String = spaced.filter(|c| !tricky(*c)).collect();
    let name: String = name.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_NAME).collect();
    // cut between two words: what is told is what is read when it comes back
    name.trim_end().to_owned()
}
