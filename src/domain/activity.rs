//! What happened to a live policy: one typed record for each change, whoever made it.
//!
//! The log begins when a resource server is first launched and is kept when it is gone. A record is derived from the
//! change rows that triggers write (see [`derive`]), never from what a writer says that it does, so that an edit by
//! the admin API, a reconcile, a cascade and a line of SQL all tell the same story.

pub mod client;
pub mod credential;
pub mod derive;
pub mod provider;
pub mod resource_server;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::actor::Actor;
use super::owner::OwnerKey;
use super::reason::Reason;

macro_rules! types {
    ($($variant:ident = $text:literal [$($member:literal)*] $meaning:literal,)*) => {
        /// What happened. A closed set: the column, the value of the metric label `type`, and the table in the docs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ActivityType { $(#[doc = $meaning] $variant),* }

        impl ActivityType {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The members that its payload always has.
            pub const fn members(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($member),*]),* }
            }

            /// What it says, for the docs.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),* }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == text)
            }
        }
    };
}

types! {
    ScopeDeleted = "scope_deleted" ["prior_scope_id" "prior_scope_name" "tools_affected" "tools"]
        "a scope left the catalogue; `tools` are those that named it, `tools_affected` says how many",
    ToolUnmapped = "tool_unmapped" ["tool_name" "prior_scope_id" "prior_scopes"]
        "no scope opens this tool any more, so that nobody may call it",
    DefaultRoleDisabled = "default_role_disabled" ["prior_default_role"]
        "whoever comes new is given nothing",
    DefaultRoleChanged = "default_role_changed" ["prior_default_role" "new_default_role"]
        "whoever comes new is given another role",
    SecretRotated = "secret_rotated" ["rotated_by" "rotated_at" "credential_id" "prior_credential_id" "retire_at"]
        "another introspection secret is current; the one before works until `retire_at`",
    Launched = "launched" ["resource_uri" "display_name" "scopes" "tools" "roles" "default_role"]
        "the resource server went live for the first time; the log begins here",
    ScopeAdded = "scope_added" ["scope_id" "scope_name" "risk" "upstream"] "a scope came into the catalogue",
    ScopeChanged = "scope_changed" ["scope_id" "scope_name" "before" "after" "tools_affected"]
        "name, description, risk or upstream scope",
    ToolAdded = "tool_added" ["tool_name" "access" "scopes" "match"] "a tool was listed",
    ToolRemoved = "tool_removed" ["tool_name" "prior_access" "prior_scopes"]
        "a tool is not listed any more, so that nobody may call it",
    ToolMapped = "tool_mapped" ["tool_name" "scopes"] "a tool that no scope opened, or that was public, has scopes",
    ToolRemapped = "tool_remapped" ["tool_name" "before" "after"] "other scopes open this tool, or all instead of any",
    ToolMadePublic = "tool_made_public" ["tool_name" "prior_scopes"] "a tool asks for no scope any more",
    RoleAdded = "role_added" ["role" "scopes"] "a role was defined",
    RoleChanged = "role_changed" ["role" "before" "after"] "a role grants other scopes, or has another name",
    RoleRemoved = "role_removed" ["prior_role" "prior_scopes"] "a role is gone",
    RoleBindingAdded = "role_binding_added" ["role_binding" "members"] "somebody was bound to a role",
    RoleBindingChanged = "role_binding_changed" ["role_binding" "before" "after"] "a binding has another role or others",
    RoleBindingRemoved = "role_binding_removed" ["prior_role_binding" "prior_members"] "a binding is gone",
    DefaultRoleEnabled = "default_role_enabled" ["new_default_role"] "whoever comes new is given a role",
    ResourceUriChanged = "resource_uri_changed" ["before" "after"] "the audience of its tokens",
    DisplayNameChanged = "display_name_changed" ["before" "after"] "what people see",
    LifecycleChanged = "lifecycle_changed" ["before" "after"] "Live or Draft; it stays launched",
    TokenSourceChanged = "token_source_changed" ["before" "after"] "whose tokens: minted, or brokered from a provider",
    AccessTokenChanged = "access_token_changed" ["before" "after"] "format, algorithm, lifetime or sender constraint",
    AllowedNamespacesChanged = "allowed_namespaces_changed" ["before" "after"] "who may reference it",
    DynamicClientsChanged = "dynamic_clients_changed" ["before" "after"] "whether clients that nobody listed are admitted",
    ConsentChanged = "consent_changed" ["before" "after"] "whether a client may ask for implicit consent",
    ExchangeChanged = "exchange_changed" ["before" "after"] "who may exchange tokens into it",
    RuntimeChanged = "runtime_changed" ["before" "after"] "who may act as this resource",
    ConnectChanged = "connect_changed" ["before" "after"] "where users may return to from a provider",
    FrontingChanged = "fronting_changed" ["before" "after"] "which resources stand behind it",
    OwnershipChanged = "ownership_changed" ["before" "after"] "which Kubernetes object the row belongs to",
    ResourceDeleted = "resource_deleted"
        ["resource_uri" "display_name" "prior_scopes" "prior_tools" "prior_roles" "tools_affected"]
        "the resource server is gone; its log stays",
    ResourceRecreated = "resource_recreated" ["resource_uri" "display_name"] "it is back, with its id and its log",
    PolicyTruncated = "policy_truncated" ["table"] "a whole table was emptied by TRUNCATE (PostgreSQL)",
    SecretAdded = "secret_added" ["credential_id" "state"] "an introspection secret more authenticates",
    SecretChanged = "secret_changed" ["credential_id" "before" "after" "hash_changed"]
        "state, end or value of an introspection secret",
    SecretEnded = "secret_ended" ["credential_id" "prior_state"] "an introspection secret authenticates no more",
    ClientAttached = "client_attached" ["client_id" "client_name" "scopes"] "a client may ask for tokens",
    ClientDetached = "client_detached" ["client_id" "client_name" "prior_scopes"] "a client may not any more",
    ClientScopesChanged = "client_scopes_changed" ["client_id" "client_name" "prior_scopes" "scopes"]
        "the ceiling of what a client may ask for",
    ClientSuspended = "client_suspended" ["client_id" "client_name"] "an attached client gets no tokens",
    ClientReactivated = "client_reactivated" ["client_id" "client_name"] "an attached client gets tokens again",
    RedirectUrisChanged = "redirect_uris_changed" ["client_id" "client_name" "before" "after"]
        "where an attached client has its users sent",
    GrantTypesChanged = "grant_types_changed" ["client_id" "client_name" "before" "after"]
        "how an attached client comes to its tokens",
    AuthMethodChanged = "auth_method_changed" ["client_id" "client_name" "before" "after"]
        "how an attached client proves who it is: method, keys or workload",
    ClientChanged = "client_changed" ["client_id" "client_name" "before" "after"] "anything else of an attached client",
    ClientDeleted = "client_deleted" ["client_id" "client_name" "prior_scopes"] "an attached client is gone",
    ClientRecreated = "client_recreated" ["client_id" "client_name" "scopes"]
        "the row of an attached client is back",
    ClientSecretAdded = "client_secret_added" ["client_id" "client_name" "credential_id" "state"]
        "a secret more authenticates an attached client",
    ClientSecretRotated = "client_secret_rotated"
        ["client_id" "client_name" "rotated_by" "rotated_at" "credential_id" "prior_credential_id" "retire_at"]
        "another secret of an attached client is current",
    ClientSecretChanged = "client_secret_changed"
        ["client_id" "client_name" "credential_id" "before" "after" "hash_changed"]
        "state, end or value of a secret of an attached client",
    ClientSecretEnded = "client_secret_ended" ["client_id" "client_name" "credential_id" "prior_state"]
        "a secret of an attached client authenticates no more",
    ProviderChanged = "provider_changed" ["provider_id" "provider_name" "before" "after"]
        "the provider that its tokens are brokered from",
    ProviderDeleted = "provider_deleted" ["provider_id" "provider_name"] "that provider is gone",
    ProviderRecreated = "provider_recreated" ["provider_id" "provider_name"] "that provider is back",
    ManifestPublished = "manifest_published" [] "the server behind it told which tools it has",
    ToolPublished = "tool_published" ["tool_name"] "it has a tool that it did not tell of before",
    ToolWithdrawn = "tool_withdrawn" ["tool_name"] "it has a tool no more",
}

/// What happened, and to how many tools. An object of names and values, never a secret and never a hash.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    pub event: ActivityType,
    pub payload: Map<String, Value>,
    pub tools_affected: i64,
}

impl Activity {
    /// `payload` is an object; it may have more members than [`ActivityType::members`].
    pub fn new(event: ActivityType, payload: Value) -> Self {
        let payload = match payload {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Self { event, payload, tools_affected: 0 }
    }

    #[must_use]
    pub fn affecting(self, tools: usize) -> Self {
        Self { tools_affected: i64::try_from(tools).unwrap_or(i64::MAX), ..self }
    }
}

/// By whom, when, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub actor: Actor,
    pub at: Timestamp,
    /// The change row that it was derived from.
    pub sequence: Option<i64>,
    /// No transaction of this program made the change.
    pub outside: bool,
    /// Of the resource server, before and after; `None` = not known any more.
    pub prior_version: Option<i64>,
    pub version: Option<i64>,
}

impl Cause {
    /// Of something that one of our own transactions did, other than by a change of policy.
    pub fn own(actor: Actor, at: Timestamp) -> Self {
        Self { actor, at, sequence: None, outside: false, prior_version: None, version: None }
    }
}

/// A record as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivityRecord {
    pub id: i64,
    pub resource_server_id: String,
    /// As they were then: both may be others now, or gone.
    pub resource_uri: String,
    pub owner: Option<String>,
    pub activity: Activity,
    pub cause: Cause,
    pub dismissed: Option<(Timestamp, Actor)>,
}

/// Which records of a resource server are asked for.
#[derive(Debug, Clone, Default)]
pub struct ActivityFilter {
    /// Empty = all.
    pub types: Vec<ActivityType>,
    /// From then on.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
    pub dismissed: Option<bool>,
    /// Older than this one: when, and its id.
    pub before: Option<(Timestamp, i64)>,
}

/// Whether a resource server was ever launched, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    pub at: Timestamp,
    pub by: Actor,
}

/// The Event that goes with it, where there is one, and what it says.
pub fn told(activity: &Activity, cause: &Cause) -> Option<(Reason, &'static str, String)> {
    let text = |member: &str| activity.payload.get(member).and_then(Value::as_str).unwrap_or("?").to_owned();
    let names = |member: &str| {
        let names = activity.payload.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let by = &cause.actor;
    Some(match activity.event {
        ActivityType::ScopeDeleted => {
            let tools = match activity.tools_affected {
                0 => "no tool needed it".to_owned(),
                _ => format!("tools that needed it: {}", names("tools")),
            };
            let scope = text("prior_scope_name");
            let note =
                format!("scope {scope} was deleted by {by}; {tools}; tokens that have it keep it until they end");
            (Reason::ScopeDeleted, "spec.scopes", note)
        }
        ActivityType::ToolUnmapped => {
            let (tool, scopes) = (text("tool_name"), names("prior_scopes"));
            let was = if scopes.is_empty() { String::new() } else { format!(" (before: {scopes})") };
            let note = format!("no scope opens tool {tool} any more, by {by}{was}; every call of it is refused");
            (Reason::ToolUnmapped, "spec.tools", note)
        }
        ActivityType::DefaultRoleDisabled => {
            let role = text("prior_default_role");
            let note = format!("default role {role} was switched off by {by}; whoever comes new is given nothing");
            (Reason::DefaultRoleDisabled, "spec.accessPolicy.defaultRole", note)
        }
        ActivityType::DefaultRoleChanged => {
            let (before, after) = (text("prior_default_role"), text("new_default_role"));
            let note = format!("the default role was changed by {by}: {before} → {after}");
            (Reason::DefaultRoleChanged, "spec.accessPolicy.defaultRole", note)
        }
        _ => return None,
    })
}

/// What was derived, for one resource server.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    pub activity: Activity,
    /// The change row that it follows from, as an index into what was derived from.
    pub from: usize,
}

/// Namespace and name of an object.
pub fn owner_name(owner: &OwnerKey) -> String {
    format!("{}/{}", owner.namespace, owner.name)
}

#[cfg(test)]
mod tests;
