//! Whether a token may call a tool: what every enforcement point decides by the policy that it was given.

use std::collections::BTreeSet;

use crate::domain::resource_server::{Lifecycle, ResourceServer, Tool, ToolAccess};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Allow,
    Deny(CallDenial),
}

macro_rules! denials {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),* $(,)?) => {
        /// Why a call is denied. The token itself is good: who shows none, or one that is over, never comes so far.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum CallDenial { $($(#[$doc])* $variant),* }

        impl CallDenial {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// One spelling for the policy's documentation, the log and the metric label `reason`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

denials! {
    /// The resource server is a draft, or something keeps it from going live: no tool can be called, not even a public
    /// one.
    NotReady = "policy_incomplete",
    /// Nobody who administers it has said who may call this tool, whatever its server publishes.
    ToolUnlisted = "tool_unlisted",
    /// The tool needs scopes and names none: nothing can satisfy that.
    ToolWithoutScopes = "tool_without_scopes",
    /// The token lacks what the tool needs (RFC 6750 §3.1).
    InsufficientScope = "insufficient_scope",
}

/// Decides by the policy in force and the scopes that the token carries; those that were deleted since it was issued
/// are still its own.
pub fn call(policy: &ResourceServer, tool: &str, scopes: &BTreeSet<&str>) -> Call {
    if policy.lifecycle != Lifecycle::Live {
        return Call::Deny(CallDenial::NotReady);
    }
    match policy.tools.iter().find(|listed| listed.name == tool) {
        None => Call::Deny(CallDenial::ToolUnlisted),
        Some(listed) => by_tool(listed, scopes),
    }
}

fn by_tool(tool: &Tool, scopes: &BTreeSet<&str>) -> Call {
    let has = |scope: &String| scopes.contains(scope.as_str());
    let satisfied = match (tool.access, tool.scopes.as_slice()) {
        (ToolAccess::Public, _) => true,
        (ToolAccess::Scoped, []) => return Call::Deny(CallDenial::ToolWithoutScopes),
        (ToolAccess::Scoped, needed) if tool.matching == "Any" => needed.iter().any(has),
        // All, and whatever a row says that nobody knows
        (ToolAccess::Scoped, needed) => needed.iter().all(has),
    };
    if satisfied { Call::Allow } else { Call::Deny(CallDenial::InsufficientScope) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::spec::Spec;
    use crate::domain::spec::tests::resource_server;

    fn policy(lifecycle: Lifecycle) -> ResourceServer {
        let Spec::ResourceServer(mut policy) = resource_server() else { unreachable!() };
        let tool = |name: &str, access, scopes: &[&str], matching: &str| Tool {
            name: name.to_owned(),
            access,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            matching: matching.to_owned(),
        };
        policy.lifecycle = lifecycle;
        policy.tools = vec![
            tool("any", ToolAccess::Scoped, &["read", "write"], "Any"),
            tool("all", ToolAccess::Scoped, &["read", "write"], "All"),
            tool("odd", ToolAccess::Scoped, &["read", "write"], "Some"),
            tool("none", ToolAccess::Scoped, &[], "All"),
            tool("ping", ToolAccess::Public, &[], "Any"),
        ];
        policy
    }

    /// D6, D9: default deny, tool by tool.
    #[rstest::rstest]
    #[case::one_of_any("any", &["write"], Call::Allow)]
    #[case::another_than_any("any", &["void"], Call::Deny(CallDenial::InsufficientScope))]
    #[case::one_of_all("all", &["read"], Call::Deny(CallDenial::InsufficientScope))]
    #[case::all_of_all("all", &["read", "void", "write"], Call::Allow)]
    #[case::an_unknown_match_is_all("odd", &["read"], Call::Deny(CallDenial::InsufficientScope))]
    #[case::all_of_nothing("none", &["read", "write"], Call::Deny(CallDenial::ToolWithoutScopes))]
    #[case::public("ping", &[], Call::Allow)]
    #[case::unlisted("drop_tables", &["read", "write", "void"], Call::Deny(CallDenial::ToolUnlisted))]
    #[case::a_name_is_exact("Ping", &["read"], Call::Deny(CallDenial::ToolUnlisted))]
    fn a_tool_is_called_only_with_what_it_needs(#[case] tool: &str, #[case] scopes: &[&str], #[case] expected: Call) {
        let scopes = scopes.iter().copied().collect();
        assert_eq!(call(&policy(Lifecycle::Live), tool, &scopes), expected);
        for lifecycle in [Lifecycle::Draft, Lifecycle::NeedsSetup] {
            assert_eq!(call(&policy(lifecycle), tool, &scopes), Call::Deny(CallDenial::NotReady));
        }
    }
}
