//! What changes of its own rows mean for a resource server that was launched.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::credential::{Fate, fates};
use super::derive::{Change, Edit, Row, Rows, differing, names, shown, text};
use super::{Activity, ActivityType, Happened};

/// Columns of the resource server's own row, and what it is called when they change.
const FIELDS: &[(&[&str], ActivityType)] = &[
    (&["resource_uri"], ActivityType::ResourceUriChanged),
    (&["display_name"], ActivityType::DisplayNameChanged),
    (&["lifecycle"], ActivityType::LifecycleChanged),
    (&["token_source"], ActivityType::TokenSourceChanged),
    (&["token_format", "signing_algorithm", "lifetime_seconds", "sender_constraint"], ActivityType::AccessTokenChanged),
    (&["allowed_namespaces"], ActivityType::AllowedNamespacesChanged),
    (&["dynamic_clients"], ActivityType::DynamicClientsChanged),
    (&["consent"], ActivityType::ConsentChanged),
    (&["exchange"], ActivityType::ExchangeChanged),
    (&["runtime_clients", "runtime_service_accounts"], ActivityType::RuntimeChanged),
    (&["connect"], ActivityType::ConnectChanged),
    (&["fronting"], ActivityType::FrontingChanged),
    (&["owner_namespace", "owner_name"], ActivityType::OwnershipChanged),
];

/// What the changes of one transaction did; `after` is what the resource server was when they were done.
pub fn derive(id: &str, changes: &[Change], after: &Rows) -> Vec<Happened> {
    let before = after.before(id, changes.iter());
    let edits = changes.iter().enumerate().filter_map(|(at, change)| Some((at, &*change.table, change.edit(id)?)));
    let story = Story { edits: edits.collect(), was: Policy(&before), is: Policy(after) };
    let own = |table: &str| story.edits.iter().find(|(_, of, _)| *of == table);
    match own("resource_server") {
        Some((at, _, Edit::Removed(old))) if story.is.row().is_none() => {
            return vec![Happened { activity: story.was.deleted(old), from: *at }];
        }
        Some((at, _, Edit::Added(new))) if story.was.row().is_none() => {
            let payload =
                json!({"resource_uri": shown(new, "resource_uri"), "display_name": shown(new, "display_name")});
            let activity = Activity::new(ActivityType::ResourceRecreated, payload).affecting(story.is.tools().count());
            return vec![Happened { activity, from: *at }];
        }
        _ => {}
    }
    let mut told: Vec<Happened> =
        story.edits.iter().flat_map(|(at, table, edit)| story.tell(*at, table, *edit)).collect();
    told.extend(story.cascades());
    told.extend(fates(id, changes, (&before, after)).into_iter().map(|(from, fate, payload)| {
        let event = match fate {
            Fate::Added => ActivityType::SecretAdded,
            Fate::Rotated => ActivityType::SecretRotated,
            Fate::Changed => ActivityType::SecretChanged,
            Fate::Ended => ActivityType::SecretEnded,
        };
        Happened { activity: Activity::new(event, payload), from }
    }));
    told.sort_by_key(|happened| happened.from);
    told
}

/// The first record of a log.
pub fn launched(now: &Rows) -> Activity {
    let policy = Policy(now);
    let blank = Row::new();
    let row = policy.row().unwrap_or(&blank);
    let payload = json!({
        "resource_uri": shown(row, "resource_uri"), "display_name": shown(row, "display_name"),
        "scopes": policy.names("scope"), "tools": policy.names("tool"), "roles": policy.names("role"),
        "default_role": shown(row, "default_role"),
    });
    Activity::new(ActivityType::Launched, payload).affecting(policy.tools().count())
}

/// The policy on one side of the changes.
#[derive(Clone, Copy)]
struct Policy<'a>(&'a Rows);

impl<'a> Policy<'a> {
    fn row(self) -> Option<&'a Row> {
        self.0.of("resource_server").next()
    }

    fn tools(self) -> impl Iterator<Item = &'a Row> {
        self.0.of("tool")
    }

    fn names(self, table: &str) -> BTreeSet<&'a str> {
        self.0.of(table).map(|row| text(row, "name")).collect()
    }

    /// The scopes that open a tool: those that it names and that there are.
    fn opening(self, tool: &Row) -> Vec<String> {
        let catalogue = self.names("scope");
        let mut scopes = names(tool, "scopes");
        scopes.retain(|scope| catalogue.contains(scope.as_str()));
        scopes
    }

    fn scope_id(self, name: &str) -> Value {
        self.0.of("scope").find(|row| text(row, "name") == name).map_or(Value::Null, |row| shown(row, "id"))
    }

    /// Tools that name a scope, by name: rows come in no order.
    fn needing(self, scope: &str) -> Vec<&'a str> {
        let needing =
            self.tools().filter(|tool| is_scoped(tool) && names(tool, "scopes").iter().any(|name| name == scope));
        let mut tools: Vec<&str> = needing.map(|tool| text(tool, "name")).collect();
        tools.sort_unstable();
        tools
    }

    /// The default role, if there is such a role.
    fn default_role(self) -> Option<&'a str> {
        let name = text(self.row()?, "default_role");
        self.names("role").contains(name).then_some(name)
    }

    fn deleted(self, row: &Row) -> Activity {
        let payload = json!({
            "resource_uri": shown(row, "resource_uri"), "display_name": shown(row, "display_name"),
            "prior_scopes": self.names("scope"), "prior_tools": self.names("tool"), "prior_roles": self.names("role"),
            "tools_affected": self.tools().count(),
        });
        Activity::new(ActivityType::ResourceDeleted, payload).affecting(self.tools().count())
    }
}

fn is_scoped(tool: &Row) -> bool {
    text(tool, "access") != "Public"
}

struct Story<'a> {
    /// Where it stands, its table, what was done.
    edits: Vec<(usize, &'a str, Edit<'a>)>,
    was: Policy<'a>,
    is: Policy<'a>,
}

impl Story<'_> {
    fn tell(&self, from: usize, table: &str, edit: Edit<'_>) -> Vec<Happened> {
        let told = match table {
            "resource_server" => self.own(edit),
            "scope" => self.scope(edit),
            "tool" => self.tool(edit),
            "role" => role(edit),
            "role_binding" => binding(edit),
            _ => Vec::new(),
        };
        told.into_iter().map(|activity| Happened { activity, from }).collect()
    }

    fn own(&self, edit: Edit<'_>) -> Vec<Activity> {
        let Edit::Changed(old, new) = edit else { return Vec::new() };
        let mut told = Vec::new();
        for (columns, event) in FIELDS {
            if let Some((before, after)) = differing(old, new, columns) {
                let stopped = *event == ActivityType::LifecycleChanged;
                let tools = if stopped { self.is.tools().count() } else { 0 };
                told.push(Activity::new(*event, json!({"before": before, "after": after})).affecting(tools));
            }
        }
        let name = |row: &Row| row.get("default_role").and_then(Value::as_str).map(str::to_owned);
        told.extend(default_role(name(old).as_deref(), name(new).as_deref()));
        told
    }

    fn scope(&self, edit: Edit<'_>) -> Vec<Activity> {
        vec![match edit {
            Edit::Added(new) => Activity::new(
                ActivityType::ScopeAdded,
                json!({
                    "scope_id": shown(new, "id"), "scope_name": shown(new, "name"),
                    "risk": shown(new, "risk"), "upstream": shown(new, "upstream"),
                }),
            ),
            Edit::Removed(old) => {
                let tools = self.was.needing(text(old, "name"));
                let payload = json!({
                    "prior_scope_id": shown(old, "id"), "prior_scope_name": shown(old, "name"),
                    "tools_affected": tools.len(), "tools": tools,
                });
                Activity::new(ActivityType::ScopeDeleted, payload).affecting(tools.len())
            }
            Edit::Changed(old, new) => {
                let Some((before, after)) = differing(old, new, &["name", "description", "risk", "upstream"]) else {
                    return Vec::new();
                };
                let tools = self.was.needing(text(old, "name")).len();
                let payload = json!({
                    "scope_id": shown(new, "id"), "scope_name": shown(new, "name"),
                    "before": before, "after": after, "tools_affected": tools,
                });
                Activity::new(ActivityType::ScopeChanged, payload).affecting(tools)
            }
        }]
    }

    fn tool(&self, edit: Edit<'_>) -> Vec<Activity> {
        match edit {
            Edit::Added(new) => vec![added(new)],
            Edit::Removed(old) => vec![removed(old)],
            Edit::Changed(old, new) if old.get("name") != new.get("name") => vec![removed(old), added(new)],
            Edit::Changed(old, new) => {
                let (had, has) = (self.was.opening(old), self.is.opening(new));
                let event = match (is_scoped(old), is_scoped(new)) {
                    (true, false) => ActivityType::ToolMadePublic,
                    (false, true) if has.is_empty() => ActivityType::ToolUnmapped,
                    (false, true) => ActivityType::ToolMapped,
                    (true, true) if had.is_empty() && !has.is_empty() => ActivityType::ToolMapped,
                    (true, true) if !had.is_empty() && has.is_empty() => ActivityType::ToolUnmapped,
                    _ => ActivityType::ToolRemapped,
                };
                self.mapping(event, old, new).into_iter().collect()
            }
        }
    }

    fn mapping(&self, event: ActivityType, old: &Row, new: &Row) -> Option<Activity> {
        let tool_name = shown(new, "name");
        let payload = match event {
            ActivityType::ToolMadePublic => json!({"tool_name": tool_name, "prior_scopes": shown(old, "scopes")}),
            ActivityType::ToolMapped => json!({"tool_name": tool_name, "scopes": self.is.opening(new)}),
            ActivityType::ToolUnmapped => {
                let prior = if is_scoped(old) { self.was.opening(old) } else { Vec::new() };
                let first = prior.first().map_or(Value::Null, |scope| self.was.scope_id(scope));
                json!({"tool_name": tool_name, "prior_scope_id": first, "prior_scopes": prior})
            }
            _ => {
                let (before, after) = differing(old, new, &["access", "scopes", "matching"])?;
                json!({"tool_name": tool_name, "before": before, "after": after})
            }
        };
        Some(Activity::new(event, payload).affecting(1))
    }

    /// What follows for rows that were not touched themselves: a tool whose last scope is gone, a default role that
    /// there is no more.
    fn cascades(&self) -> Vec<Happened> {
        let mut told = Vec::new();
        let touched = |tool: &Row| {
            let same = |edit: &Edit<'_>| matches!(edit, Edit::Added(row) | Edit::Changed(_, row) if row.get("id") == tool.get("id"));
            self.edits.iter().any(|(_, table, edit)| *table == "tool" && same(edit))
        };
        if let Some(from) = self.last("scope") {
            for tool in self.is.tools().filter(|tool| is_scoped(tool) && !touched(tool)) {
                let event = match (self.was.opening(tool).is_empty(), self.is.opening(tool).is_empty()) {
                    (false, true) => ActivityType::ToolUnmapped,
                    (true, false) => ActivityType::ToolMapped,
                    _ => continue,
                };
                told.extend(self.mapping(event, tool, tool).map(|activity| Happened { activity, from }));
            }
        }
        let said =
            self.was.row().map(|row| row.get("default_role")) == self.is.row().map(|row| row.get("default_role"));
        if let (Some(from), true) = (self.last("role"), said) {
            let activity = default_role(self.was.default_role(), self.is.default_role());
            told.extend(activity.map(|activity| Happened { activity, from }));
        }
        told
    }

    fn last(&self, table: &str) -> Option<usize> {
        self.edits.iter().rev().find(|(_, of, _)| *of == table).map(|(at, ..)| *at)
    }
}

fn default_role(before: Option<&str>, after: Option<&str>) -> Option<Activity> {
    Some(match (before, after) {
        (Some(prior), None) => Activity::new(ActivityType::DefaultRoleDisabled, json!({"prior_default_role": prior})),
        (None, Some(new)) => Activity::new(ActivityType::DefaultRoleEnabled, json!({"new_default_role": new})),
        (Some(prior), Some(new)) if prior != new => Activity::new(
            ActivityType::DefaultRoleChanged,
            json!({"prior_default_role": prior, "new_default_role": new}),
        ),
        _ => return None,
    })
}

fn added(new: &Row) -> Activity {
    let payload = json!({
        "tool_name": shown(new, "name"), "access": shown(new, "access"),
        "scopes": shown(new, "scopes"), "match": shown(new, "matching"),
    });
    Activity::new(ActivityType::ToolAdded, payload).affecting(1)
}

fn removed(old: &Row) -> Activity {
    let payload = json!({
        "tool_name": shown(old, "name"), "prior_access": shown(old, "access"), "prior_scopes": shown(old, "scopes"),
    });
    Activity::new(ActivityType::ToolRemoved, payload).affecting(1)
}

fn role(edit: Edit<'_>) -> Vec<Activity> {
    let activity = match edit {
        Edit::Added(new) => Some(Activity::new(
            ActivityType::RoleAdded,
            json!({"role": shown(new, "name"), "scopes": shown(new, "scopes")}),
        )),
        Edit::Removed(old) => Some(Activity::new(
            ActivityType::RoleRemoved,
            json!({"prior_role": shown(old, "name"), "prior_scopes": shown(old, "scopes")}),
        )),
        Edit::Changed(old, new) => differing(old, new, &["name", "scopes"]).map(|(before, after)| {
            let payload = json!({"role": shown(new, "name"), "before": before, "after": after});
            Activity::new(ActivityType::RoleChanged, payload)
        }),
    };
    activity.into_iter().collect()
}

fn binding(edit: Edit<'_>) -> Vec<Activity> {
    let activity = match edit {
        Edit::Added(new) => Some(Activity::new(
            ActivityType::RoleBindingAdded,
            json!({"role_binding": shown(new, "name"), "members": shown(new, "members")}),
        )),
        Edit::Removed(old) => Some(Activity::new(
            ActivityType::RoleBindingRemoved,
            json!({"prior_role_binding": shown(old, "name"), "prior_members": shown(old, "members")}),
        )),
        Edit::Changed(old, new) => differing(old, new, &["name", "members"]).map(|(before, after)| {
            let payload = json!({"role_binding": shown(new, "name"), "before": before, "after": after});
            Activity::new(ActivityType::RoleBindingChanged, payload)
        }),
    };
    activity.into_iter().collect()
}
