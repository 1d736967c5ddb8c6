//! A batch of decisions as it is sent: JSON, read member by member, so that what is wrong is named with its place.
//!
//! One member is not the reporter's to choose, the name of the tool: whoever calls it must not be able to keep a batch out
//! of the log, so that it is made fit instead of refused.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::{Decision, DecisionOutcome, DecisionReason};

/// Decisions in a batch.
pub const MOST: usize = 1000;
/// A reporter's clock may be ahead by this much.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// A call takes no longer, in milliseconds.
const LONGEST: f64 = 86_400_000.0;
/// Longer names of tools are cut, in characters.
const TOOL: usize = 128;
const SCOPES: usize = 256;

const MEMBERS: [&str; 11] = [
    "id",
    "time",
    "tool",
    "outcome",
    "reason",
    "client_id",
    "subject",
    "scopes",
    "policy_version",
    "duration_ms",
    "jti",
];

/// What is wrong with a batch: where, and what is expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct DecisionFault {
    pub path: String,
    pub problem: &'static str,
}

/// A member, and what is expected of it.
type Wrong = (String, &'static str);

/// Reads `{"decisions": […]}`. A time that lies a little ahead is now.
///
/// # Errors
/// The first thing that is wrong; then nothing of the batch counts.
pub fn batch(body: &[u8], now: Timestamp) -> Result<Vec<Decision>, DecisionFault> {
    let fault = |path: &str, problem| DecisionFault { path: path.to_owned(), problem };
    let body: Value = serde_json::from_slice(body).map_err(|_| fault("body", "not JSON"))?;
    let members = body.as_object().ok_or_else(|| fault("body", "an object with the member decisions"))?;
    if let Some(unknown) = members.keys().find(|name| *name != "decisions") {
        return Err(fault(&plain(unknown), "unknown member"));
    }
    let list = members.get("decisions").and_then(Value::as_array);
    let list = list.filter(|list| (1..=MOST).contains(&list.len()));
    let list = list.ok_or_else(|| fault("decisions", "a list of 1 to 1000 decisions"))?;
    let one = |(index, value): (usize, &Value)| match value.as_object() {
        None => Err(fault(&format!("decisions[{index}]"), "an object")),
        Some(members) => {
            decision(members, now).map_err(|(member, problem)| fault(&format!("decisions[{index}].{member}"), problem))
        }
    };
    list.iter().enumerate().map(one).collect()
}

fn decision(members: &Map<String, Value>, now: Timestamp) -> Result<Decision, Wrong> {
    if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err((plain(unknown), "unknown member"));
    }
    let of = Members(members);
    let at: Timestamp = of.needed("time", |v| v.as_str()?.parse().ok(), "a time as 2026-11-28T14:00:00Z")?;
    if at > now.saturating_add(AHEAD).unwrap_or(now) {
        return Err(("time".to_owned(), "lies in the future"));
    }
    let outcome = of.needed("outcome", |v| DecisionOutcome::parse(v.as_str()?), "allowed or denied")?;
    let reason = of.given("reason", |v| DecisionReason::parse(v.as_str()?), "one of the reasons that there are")?;
    match (outcome, reason) {
        (DecisionOutcome::Allowed, Some(_)) => return Err(("reason".to_owned(), "an allowed call has none")),
        (DecisionOutcome::Denied, None) => return Err(("reason".to_owned(), "a denied call has one")),
        _ => {}
    }
    let ids = "1 to 64 letters, digits and . _ : / -";
    Ok(Decision {
        id: of.needed("id", |v| id(v.as_str()?), ids)?,
        at: at.min(now),
        tool: of.needed("tool", |v| Some(fit(v.as_str()?)), "a text")?,
        outcome,
        reason,
        client_id: of.given("client_id", |v| text(v, 2048), "1 to 2048 bytes without control characters")?,
        subject: of.given("subject", |v| text(v, 512), "1 to 512 bytes without control characters")?,
        scopes: of
            .given("scopes", scopes, "at most 256 scope names (RFC 6749 §3.3) of 1 to 128 bytes")?
            .unwrap_or_default(),
        policy_version: of.given("policy_version", |v| v.as_i64().filter(|n| *n >= 0), "a whole number from 0")?,
        duration_micros: of.given("duration_ms", micros, "a number of milliseconds, 0 to a day")?,
        jti: of.given("jti", |v| text(v, 256), "1 to 256 bytes without control characters")?,
    })
}

struct Members<'a>(&'a Map<String, Value>);

impl Members<'_> {
    fn given<T>(
        &self,
        name: &str,
        read: impl Fn(&Value) -> Option<T>,
        expected: &'static str,
    ) -> Result<Option<T>, Wrong> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| (name.to_owned(), expected)),
        }
    }

    fn needed<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>, expected: &'static str) -> Result<T, Wrong> {
        self.given(name, read, expected)?.ok_or_else(|| (name.to_owned(), expected))
    }
}

fn id(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'-');
    ((1..=64).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}

fn text(value: &Value, most: usize) -> Option<String> {
    let text = value.as_str()?;
    ((1..=most).contains(&text.len()) && !text.contains(unfit)).then(|| text.to_owned())
}

fn scopes(value: &Value) -> Option<BTreeSet<String>> {
    let word = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let scope = |value: &Value| {
        let text = value.as_str()?;
        ((1..=128).contains(&text.len()) && text.bytes().all(word)).then(|| text.to_owned())
    };
    value.as_array().filter(|list| list.len() <= SCOPES)?.iter().map(scope).collect()
}

fn micros(value: &Value) -> Option<i64> {
    let millis = value.as_f64().filter(|millis| (0.0..=LONGEST).contains(millis))?;
    // at most a day: it fits
    Some((millis * 1000.0).round() as i64)
}

/// What moves a reader's cursor, or turns the text around.
fn unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The name that a caller chose, as a log can show it.
fn fit(text: &str) -> String {
    let shown = |c: char| if unfit(c) { char::REPLACEMENT_CHARACTER } else { c };
    let cut = text.chars().nth(TOOL).map(|_| '…');
    text.chars().take(TOOL).map(shown).chain(cut).collect()
}

/// The sender's own words, short and plain.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-28T14:00:00Z".parse().unwrap()
    }

    fn with(change: Value) -> Value {
        let mut one = json!({"id": "d-1", "time": "2026-11-28T13:59:59Z", "tool": "pay", "outcome": "denied",
            "reason": "insufficient_scope"});
        one.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        one
    }

    fn read(one: Value) -> Result<Decision, String> {
        let body = json!({ "decisions": [with(json!({})), one] }).to_string();
        batch(body.as_bytes(), now()).map(|mut all| all.remove(1)).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_whole_decision_is_read_as_it_is_written() {
        let whole =
            with(json!({"client_id": "portal", "subject": "usr_1", "scopes": ["b", "a", "b"], "policy_version": 17,
            "duration_ms": 12.5, "jti": "j", "outcome": "allowed", "reason": null}));
        let read = read(whole).unwrap();
        assert_eq!((read.outcome, read.reason, read.policy_version), (DecisionOutcome::Allowed, None, Some(17)));
        assert_eq!(
            (read.client_id.as_deref(), read.subject.as_deref(), read.jti.as_deref()),
            (Some("portal"), Some("usr_1"), Some("j"))
        );
        assert_eq!(
            (read.scopes.into_iter().collect::<Vec<_>>(), read.duration_micros),
            (vec!["a".to_owned(), "b".to_owned()], Some(12_500))
        );
    }

    #[rstest::rstest]
    #[case::unknown(json!({"frob\n": 1}), "decisions[1].frob: unknown member")]
    #[case::no_id(json!({"id": null}), "decisions[1].id: 1 to 64 letters, digits and . _ : / -")]
    #[case::long_id(json!({"id": "x".repeat(65)}), "decisions[1].id: 1 to 64 letters, digits and . _ : / -")]
    #[case::no_time(json!({"time": "yesterday"}), "decisions[1].time: a time as 2026-11-28T14:00:00Z")]
    #[case::ahead(json!({"time": "2026-11-28T14:05:01Z"}), "decisions[1].time: lies in the future")]
    #[case::tool(json!({"tool": 7}), "decisions[1].tool: a text")]
    #[case::outcome(json!({"outcome": "maybe"}), "decisions[1].outcome: allowed or denied")]
    #[case::reason(json!({"reason": "because"}), "decisions[1].reason: one of the reasons that there are")]
    #[case::allowed_with(json!({"outcome": "allowed"}), "decisions[1].reason: an allowed call has none")]
    #[case::denied_without(json!({"reason": null}), "decisions[1].reason: a denied call has one")]
    #[case::client(json!({"client_id": "a\u{1b}[2J"}), "decisions[1].client_id: 1 to 2048 bytes without control characters")]
    #[case::subject(json!({"subject": ""}), "decisions[1].subject: 1 to 512 bytes without control characters")]
    #[case::turned(json!({"subject": "a\u{202e}b"}), "decisions[1].subject: 1 to 512 bytes without control characters")]
    #[case::jti(json!({"jti": "a\nb"}), "decisions[1].jti: 1 to 256 bytes without control characters")]
    #[case::scope(json!({"scopes": ["a b"]}), "decisions[1].scopes: at most 256 scope names (RFC 6749 §3.3) of 1 to 128 bytes")]
    #[case::scopes(json!({"scopes": "a"}), "decisions[1].scopes: at most 256 scope names (RFC 6749 §3.3) of 1 to 128 bytes")]
    #[case::version(json!({"policy_version": -1}), "decisions[1].policy_version: a whole number from 0")]
    #[case::duration(json!({"duration_ms": 86_400_001}), "decisions[1].duration_ms: a number of milliseconds, 0 to a day")]
    fn what_is_wrong_is_named_with_its_place(#[case] change: Value, #[case] expected: &str) {
        assert_eq!(read(with(change)).unwrap_err(), expected);
    }

    #[rstest::rstest]
    #[case::no_json("{", "body: not JSON")]
    #[case::list("[]", "body: an object with the member decisions")]
    #[case::unknown(r#"{"decisions": [], "version": 1}"#, "version: unknown member")]
    #[case::none(r#"{"decisions": []}"#, "decisions: a list of 1 to 1000 decisions")]
    #[case::no_object(r#"{"decisions": [1]}"#, "decisions[0]: an object")]
    fn a_batch_has_one_form(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(batch(body.as_bytes(), now()).unwrap_err().to_string(), expected);
    }

    /// Whoever calls a tool cannot keep the batch out of the log.
    #[test]
    fn a_tool_is_shown_whatever_its_caller_called_it() {
        let shown = |tool: &str| read(with(json!({"tool": tool}))).unwrap().tool;
        assert_eq!(shown("a\r\nb\u{202e}"), "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(shown(""), "");
        assert_eq!(shown(&"é".repeat(129)), format!("{}…", "é".repeat(128)));
    }

    #[test]
    fn a_clock_that_is_a_little_ahead_is_forgiven() {
        assert_eq!(read(with(json!({"time": "2026-11-28T14:05:00Z"}))).unwrap().at, now());
    }
}
