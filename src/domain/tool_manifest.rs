//! What an MCP server says of itself: its tools, and what it would suggest for them. Nothing of it is ever effective.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::resource_server::{ResourceServer, Tool, ToolAccess};

/// The tools of one server, as it published them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolManifest {
    pub tools: Vec<PublishedTool>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedTool {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON schema of its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Map<String, Value>>,
    /// As MCP has them: readOnlyHint and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggested_scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_access: Option<SuggestedAccess>,
}

/// Who might call a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SuggestedAccess {
    Scoped,
    Public,
}

/// What is wrong with a manifest: where, and what is expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ManifestFault {
    pub path: String,
    pub problem: &'static str,
}

/// Limits: those of `spec.tools` where there is one.
const TOOLS: usize = 1024;
const NAME: usize = 128;
const TITLE: usize = 256;
const DESCRIPTION: usize = 4096;
const SCOPES: usize = 8;
/// Of a schema or of annotations, in bytes of JSON.
const OBJECT: usize = 64 * 1024;

fn is_tool_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
    (1..=NAME).contains(&name.len()) && name.bytes().all(plain)
}

fn is_scope(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'~' | b'-');
    (1..=NAME).contains(&name.len()) && name.bytes().all(plain)
}

impl ToolManifest {
    /// The first thing that is wrong, if anything is.
    pub fn fault(&self) -> Option<ManifestFault> {
        if self.tools.len() > TOOLS {
            return Some(ManifestFault { path: "tools".to_owned(), problem: "at most 1024 tools" });
        }
        let mut names = BTreeSet::new();
        self.tools.iter().enumerate().find_map(|(index, tool)| {
            let fault = |member: &str, problem| {
                let path = format!("tools[{index}].{member}");
                Some(ManifestFault { path, problem })
            };
            match tool.fault() {
                Some((member, problem)) => fault(member, problem),
                None if !names.insert(tool.name.as_str()) => fault("name", "another tool has this name"),
                None => None,
            }
        })
    }
}

impl PublishedTool {
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let longer = |text: &Option<String>, most: usize| text.as_ref().is_some_and(|text| text.len() > most);
        let larger = |object: &Option<Map<String, Value>>| {
            object
                .as_ref()
                .is_some_and(|object| serde_json::to_vec(object).map_or(OBJECT + 1, |text| text.len()) > OBJECT)
        };
        if !is_tool_name(&self.name) {
            return Some(("name", "1 to 128 letters, digits and . _ / -"));
        }
        if longer(&self.title, TITLE) {
            return Some(("title", "at most 256 bytes"));
        }
        if longer(&self.description, DESCRIPTION) {
            return Some(("description", "at most 4096 bytes"));
        }
        if larger(&self.input_schema) {
            return Some(("input_schema", "at most 64 KiB"));
        }
        if larger(&self.annotations) {
            return Some(("annotations", "at most 64 KiB"));
        }
        if self.suggested_scopes.len() > SCOPES {
            return Some(("suggested_scopes", "at most 8 scopes"));
        }
        if !self.suggested_scopes.iter().all(|scope| is_scope(scope)) {
            return Some(("suggested_scopes", "1 to 128 letters, digits and . _ : / ~ -"));
        }
        (self.suggested_access == Some(SuggestedAccess::Public) && !self.suggested_scopes.is_empty())
            .then_some(("suggested_scopes", "a public tool needs none"))
    }

    /// What its publisher would have it be; `None` when it suggests nothing.
    pub fn suggestion(&self) -> Option<Tool> {
        let access = match (self.suggested_access, self.suggested_scopes.as_slice()) {
            (Some(SuggestedAccess::Public), _) => ToolAccess::Public,
            (Some(SuggestedAccess::Scoped), _) | (None, [_, ..]) => ToolAccess::Scoped,
            (None, []) => return None,
        };
        let scopes: BTreeSet<String> = self.suggested_scopes.iter().cloned().collect();
        let (name, scopes, matching) = (self.name.clone(), scopes.into_iter().collect(), "Any".to_owned());
        Some(Tool { name, access, scopes, matching })
    }
}

/// What becomes of one tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolState {
    /// Listed with scopes.
    Mapped,
    Public,
    /// Published and not listed: denied.
    Unmapped,
}

/// One tool: what is published of it beside what is effective.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    pub name: String,
    pub state: ToolState,
    pub published: bool,
    /// What policy says; it alone counts.
    pub effective: Option<Tool>,
    /// What the publisher suggests, where that is something else.
    pub suggestion: Option<Tool>,
}

/// Every tool that is listed or published, by name.
pub fn compare(policy: &ResourceServer, manifest: Option<&ToolManifest>) -> Vec<Compared> {
    let published = manifest.map_or(&[][..], |manifest| &manifest.tools);
    let names: BTreeSet<&str> =
        policy.tools.iter().map(|t| t.name.as_str()).chain(published.iter().map(|t| t.name.as_str())).collect();
    let compared = |name: &str| {
        let effective = policy.tools.iter().find(|tool| tool.name == name);
        let published = published.iter().find(|tool| tool.name == name);
        // how several scopes are matched is for the policy alone to say
        let same = |suggested: &Tool| {
            effective.is_some_and(|tool| tool.access == suggested.access && tool.scopes == suggested.scopes)
        };
        Compared {
            name: name.to_owned(),
            state: match effective.map(|tool| tool.access) {
                Some(ToolAccess::Scoped) => ToolState::Mapped,
                Some(ToolAccess::Public) => ToolState::Public,
                None => ToolState::Unmapped,
            },
            published: published.is_some(),
            effective: effective.cloned(),
            suggestion: published.and_then(PublishedTool::suggestion).filter(|suggested| !same(suggested)),
        }
    };
    names.into_iter().map(compared).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::spec::Spec;
    use crate::domain::spec::tests::resource_server;

    fn manifest(tools: Value) -> ToolManifest {
        serde_json::from_value(json!({ "tools": tools })).unwrap()
    }

    #[rstest::rstest]
    #[case::empty(json!([]), None)]
    #[case::whole(json!([{"name": "a/b.c_d-1", "suggested_scopes": ["x:y"], "suggested_access": "scoped"}]), None)]
    #[case::name(json!([{"name": "a"}, {"name": "a b"}]), Some("tools[1].name: 1 to 128 letters, digits and . _ / -"))]
    #[case::twice(json!([{"name": "a"}, {"name": "a"}]), Some("tools[1].name: another tool has this name"))]
    #[case::title(json!([{"name": "a", "title": "x".repeat(257)}]), Some("tools[0].title: at most 256 bytes"))]
    #[case::description(
        json!([{"name": "a", "description": "x".repeat(4097)}]), Some("tools[0].description: at most 4096 bytes")
    )]
    #[case::schema(
        json!([{"name": "a", "input_schema": {"x": "y".repeat(65536)}}]), Some("tools[0].input_schema: at most 64 KiB")
    )]
    #[case::scope(
        json!([{"name": "a", "suggested_scopes": ["a b"]}]),
        Some("tools[0].suggested_scopes: 1 to 128 letters, digits and . _ : / ~ -")
    )]
    #[case::scopes(
        json!([{"name": "a", "suggested_scopes": ["a", "b", "c", "d", "e", "f", "g", "h", "i"]}]),
        Some("tools[0].suggested_scopes: at most 8 scopes")
    )]
    #[case::public(
        json!([{"name": "a", "suggested_scopes": ["a"], "suggested_access": "public"}]),
        Some("tools[0].suggested_scopes: a public tool needs none")
    )]
    #[case::many(
        (0..1025).map(|i| json!({"name": format!("t{i}")})).collect::<Value>(), Some("tools: at most 1024 tools")
    )]
    fn a_fault_names_its_place(#[case] tools: Value, #[case] expected: Option<&str>) {
        assert_eq!(manifest(tools).fault().map(|fault| fault.to_string()).as_deref(), expected);
    }

    /// D9: what is published beside what is effective; the suggestion is only shown.
    #[test]
    fn suggestions_stand_beside_what_is_effective() {
        let Spec::ResourceServer(mut policy) = resource_server() else { unreachable!() };
        let tool = |name: &str, scopes: &[&str]| Tool {
            name: name.to_owned(),
            access: if scopes.is_empty() { ToolAccess::Public } else { ToolAccess::Scoped },
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            matching: "All".to_owned(),
        };
        policy.tools = vec![tool("list", &["read", "write"]), tool("ping", &[]), tool("gone", &["read"])];
        let manifest = manifest(json!([
            {"name": "list", "suggested_scopes": ["write", "read"]},
            {"name": "ping", "suggested_scopes": ["read"]},
            {"name": "new", "suggested_access": "public"},
            {"name": "bare"},
        ]));
        let found: Vec<_> = compare(&policy, Some(&manifest))
            .into_iter()
            .map(|c| (c.name, c.state, c.published, c.effective.is_some(), c.suggestion.is_some()))
            .collect();
        let expected = [
            ("bare", ToolState::Unmapped, true, false, false),
            ("gone", ToolState::Mapped, false, true, false),
            ("list", ToolState::Mapped, true, true, false),
            ("new", ToolState::Unmapped, true, false, true),
            ("ping", ToolState::Public, true, true, true),
        ];
        let expected = expected.map(|(name, state, p, e, s)| (name.to_owned(), state, p, e, s));
        assert_eq!(found, expected);
    }
}
