//! A plan for people: one block for each object that is not as it should be, and one line that sums up.

use std::fmt::Write;

use serde_json::Value;

/// A longer value is cut, in characters.
const VALUE: usize = 200;

/// Ends with a line feed; the same answer always reads the same.
pub fn render(answer: &Value) -> String {
    let mut out = String::new();
    for object in list(&answer["objects"]) {
        let silent = object["action"] == "unchanged" && DETAILS.iter().all(|name| list(&object[*name]).is_empty());
        if !silent {
            block(&mut out, object);
        }
    }
    let counts: Vec<String> = ACTIONS
        .iter()
        .filter_map(|(action, _)| Some((action, answer["summary"][action].as_u64().filter(|count| *count > 0)?)))
        .map(|(action, count)| format!("{count} {action}"))
        .collect();
    let summary = if counts.is_empty() { "no objects".to_owned() } else { counts.join(", ") };
    line(&mut out, 0, &format!("plan: {summary}"));
    out
}

/// Every action with its sign, in the order of the summary.
const ACTIONS: &[(&str, char)] = &[
    ("create", '+'),
    ("update", '~'),
    ("adopt", '>'),
    ("delete", '-'),
    ("release", '<'),
    ("unchanged", '='),
    ("refused", '!'),
    ("invalid", '!'),
];

/// What makes even an unchanged object worth a block.
const DETAILS: &[&str] = &["drift", "unresolved", "unknown"];

fn block(out: &mut String, object: &Value) {
    let action = text(&object["action"]);
    let sign = ACTIONS.iter().find(|(name, _)| *name == action).map_or('?', |(_, sign)| *sign);
    let place = match (object["file"].as_str(), object["line"].as_u64()) {
        (Some(file), Some(number)) => format!("  ({file}:{number})"),
        _ => String::new(),
    };
    line(out, 0, &format!("{sign} {action} {}{place}", owner(&object["owner"])));
    if let Some(reason) = object["reason"].as_str() {
        line(out, 1, reason);
    }
    for fault in list(&object["fields"]) {
        line(out, 1, &told(fault));
    }
    for change in list(&object["changes"]) {
        let (before, after) = (value(&change["before"]), value(&change["after"]));
        line(out, 1, &format!("{}: {before} → {after} [{}]", text(&change["field"]), text(&change["class"])));
    }
    for drift in list(&object["drift"]) {
        let field = Some(text(&drift["field"])).filter(|field| !field.is_empty()).unwrap_or(text(&drift["what"]));
        let (applied, found) = (value(&drift["applied"]), value(&drift["found"]));
        line(out, 1, &format!("drift {field}: applied {applied}, found {found}; {}", text(&drift["becomes"])));
    }
    for secret in list(&object["secrets"]) {
        let id = secret["id"].as_str().map_or("a new one".to_owned(), str::to_owned);
        let at = secret["at"].as_str().map(|at| format!(" at {at}")).unwrap_or_default();
        line(out, 1, &format!("secret {id}: {}{at}", text(&secret["becomes"]).replace('_', " ")));
    }
    touches(out, &object["touches"]);
    for (name, word) in [("unresolved", "unresolved"), ("unknown", "unknown")] {
        for fault in list(&object[name]) {
            line(out, 1, &format!("{word} {}", told(fault)));
        }
    }
}

fn touches(out: &mut String, touches: &Value) {
    for (name, word) in [("denied", "denied"), ("public", "public"), ("allowed", "allowed")] {
        let tools = names(&touches["tools"][name]);
        if !tools.is_empty() {
            line(out, 1, &format!("tools that become {word}: {tools}"));
        }
    }
    for tool in list(&touches["tools"]["rescoped"]) {
        let (name, before, after) = (text(&tool["name"]), text(&tool["before"]), text(&tool["after"]));
        line(out, 1, &format!("tool {name}: {before} → {after}"));
    }
    for client in list(&touches["clients"]) {
        let scopes = names(&client["scopes"]);
        let scopes = if scopes.is_empty() { scopes } else { format!(" {scopes}") };
        line(out, 1, &format!("client {} loses {}{scopes}", text(&client["id"]), text(&client["loses"])));
    }
    let groups = names(&touches["groups"]);
    if !groups.is_empty() {
        line(out, 1, &format!("groups that lose scopes: {groups}"));
    }
    if let Some(role) = touches["defaultRole"].as_object() {
        let (before, after) = (value(&role["before"]), value(&role["after"]));
        line(out, 1, &format!("default role: {before} → {after}; {} have the one before", role["holders"]));
    }
    let counts = [("tokens", "live tokens"), ("families", "refresh families"), ("users", "users")];
    let counts: Vec<String> = counts
        .iter()
        .filter_map(|(name, word)| Some(format!("{} {word}", touches[name].as_u64().filter(|count| *count > 0)?)))
        .collect();
    if !counts.is_empty() {
        line(out, 1, &format!("touches {}", counts.join(", ")));
    }
    if touches["calls"].is_object() {
        calls(out, &touches["calls"]);
    }
}

/// Recorded calls of the last day that would be denied.
fn calls(out: &mut String, calls: &Value) {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let recorded = count(&calls["recorded"]);
    let cut = if calls["cut"] == true { ", the newest of more," } else { "" };
    if recorded == 0 {
        line(out, 1, "calls of the last day: none is recorded, so nobody can say which would be denied");
        return;
    }
    let denied = match count(&calls["denied"]) {
        0 => "none".to_owned(),
        denied => denied.to_string(),
    };
    line(out, 1, &format!("calls of the last day: {denied} of {recorded} recorded{cut} would be denied"));
    for tool in list(&calls["tools"]) {
        let when = if tool["when"] == "at_once" { "at once" } else { "once their tokens are over" };
        let (name, reason) = (text(&tool["tool"]), text(&tool["reason"]));
        let (clients, users) = (count(&tool["clients"]), count(&tool["users"]));
        let met = format!("{} calls, {clients} clients, {users} users", count(&tool["calls"]));
        line(out, 2, &format!("{name}: {met}: {reason} {when}{}", example(list(&tool["examples"]))));
    }
}

/// The last of them, by name.
fn example(examples: &[Value]) -> String {
    let Some(last) = examples.first() else { return String::new() };
    let named = [("client", "client"), ("subject", "for")];
    let named = named.iter().filter_map(|(member, word)| Some(format!("{word} {}", last[member].as_str()?)));
    let named: Vec<String> = named.chain([format!("at {}", text(&last["last"]))]).collect();
    format!("; last {}", named.join(" "))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn names(value: &Value) -> String {
    list(value).iter().map(text).collect::<Vec<_>>().join(", ")
}

fn owner(owner: &Value) -> String {
    match owner["name"].as_str() {
        Some(name) => format!("{}/{}/{name}", text(&owner["kind"]), text(&owner["namespace"])),
        None => "a document".to_owned(),
    }
}

fn told(fault: &Value) -> String {
    match (text(&fault["field"]), text(&fault["message"])) {
        ("", message) => message.to_owned(),
        (field, message) => format!("{field}: {message}"),
    }
}

fn value(value: &Value) -> String {
    let text = if value.is_null() { "none".to_owned() } else { value.to_string() };
    if text.chars().count() <= VALUE { text } else { text.chars().take(VALUE).chain(['…']).collect() }
}

/// What a document says must not move the reader's cursor.
fn line(out: &mut String, depth: usize, text: &str) {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // a text takes everything
    let _ = writeln!(out, "{}{text}", "    ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_reads_like_this() {
        let pay = json!({"tool": "pay", "reason": "tool_unlisted", "when": "at_once", "calls": 12, "clients": 2, "users": 3,
            "examples": [{"client": "portal", "subject": "usr_1", "last": "2026-11-28T13:00:00Z"}]});
        let list = json!({"tool": "list", "reason": "no_token", "when": "token_over", "calls": 1, "clients": 0, "users": 0,
            "examples": [{"client": null, "subject": null, "last": "2026-11-28T12:00:00Z"}]});
        let calls = |recorded: u64, denied: u64, tools: &[&Value]| json!({"recorded": recorded, "denied": denied, "cut": recorded == 40, "tools": tools});
        let (many, unknown, none) = (calls(40, 13, &[&pay, &list]), calls(0, 0, &[]), calls(7, 0, &[]));
        let answer = json!({
            "summary": {"update": 1, "unchanged": 2, "invalid": 1},
            "objects": [
                {"owner": {"kind": "ResourceServer", "namespace": "billing", "name": "mcp"}, "action": "update",
                 "file": "a.yaml", "line": 3, "id": "rs_1",
                 "changes": [{"field": "spec.scopes[write]", "class": "security", "before": {"name": "write"}, "after": null}],
                 "drift": [{"field": "", "what": "row", "class": "security", "applied": true, "found": null, "becomes": "corrected"}],
                 "secrets": [{"id": "sec_1", "becomes": "retires", "at": "2026-11-29T00:00:00Z"}, {"becomes": "generated"}],
                 "touches": {"tools": {"denied": ["pay", "refund"], "public": [], "allowed": [],
                                       "rescoped": [{"name": "list", "before": "any of a", "after": "all of a, b"}]},
                             "tokens": 3, "families": 1, "users": 0, "groups": ["a/b:c"],
                             "clients": [{"id": "portal", "loses": "scopes", "scopes": ["write"]}],
                             "defaultRole": {"before": "reader", "after": null, "holders": 4},
                             "calls": many}},
                {"owner": {"kind": "OAuthClient", "namespace": "web", "name": "a"}, "action": "unchanged"},
                {"owner": {"kind": "OAuthClient", "namespace": "web", "name": "c"}, "action": "delete",
                 "touches": {"calls": unknown}},
                {"owner": {"kind": "OAuthClient", "namespace": "web", "name": "d"}, "action": "update",
                 "touches": {"calls": none}},
                {"owner": {"kind": "OAuthClient", "namespace": "web", "name": "b"}, "action": "unchanged",
                 "unknown": [{"field": "spec.x", "message": "is not\nknown here"}]},
                {"owner": null, "action": "invalid", "file": "a.yaml", "line": 9, "fields": [{"field": "", "message": "not YAML"}]},
            ]
        });
        let expected = "\
~ update ResourceServer/billing/mcp  (a.yaml:3)
    spec.scopes[write]: {\"name\":\"write\"} → none [security]
    drift row: applied true, found none; corrected
    secret sec_1: retires at 2026-11-29T00:00:00Z
    secret a new one: generated
    tools that become denied: pay, refund
    tool list: any of a → all of a, b
    client portal loses scopes write
    groups that lose scopes: a/b:c
    default role: \"reader\" → none; 4 have the one before
    touches 3 live tokens, 1 refresh families
    calls of the last day: 13 of 40 recorded, the newest of more, would be denied
        pay: 12 calls, 2 clients, 3 users: tool_unlisted at once; last client portal for usr_1 at 2026-11-28T13:00:00Z
        list: 1 calls, 0 clients, 0 users: no_token once their tokens are over; last at 2026-11-28T12:00:00Z
- delete OAuthClient/web/c
    calls of the last day: none is recorded, so nobody can say which would be denied
~ update OAuthClient/web/d
    calls of the last day: none of 7 recorded would be denied
= unchanged OAuthClient/web/b
    unknown spec.x: is not known here
! invalid a document  (a.yaml:9)
    not YAML
plan: 1 update, 2 unchanged, 1 invalid
";
        assert_eq!(render(&answer), expected);
    }
}
