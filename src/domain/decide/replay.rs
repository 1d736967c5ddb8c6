//! Whether a call that was allowed once would still be, after a change: at once, by the policy and the scopes that its token
//! carries, and once that token is over, by what a new one could carry.

use std::collections::BTreeSet;

use super::attached;
use super::call::{Call, CallDenial, call};
use crate::domain::access;
use crate::domain::client::{ClientState, GrantType};
use crate::domain::decision::RecordedCalls;
use crate::domain::policy::{ClientEntry, ResourceServerEntry};

/// Who a call came from, as far as this server knows them.
#[derive(Debug, Clone, Copy)]
pub enum Caller<'a> {
    /// Nobody said who, or nobody here knows them: what they may ask for cannot be told.
    Unknown,
    Known(&'a ClientEntry),
    /// It is no more.
    Gone,
}

/// A person, with the roles that they were given at the resource server.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    pub id: &'a str,
    pub assigned: &'a [String],
}

/// All that decides about a call, as it is on one side of a change.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// `None` = it is no more.
    pub server: Option<&'a ResourceServerEntry>,
    pub caller: Caller<'a>,
    /// `None` = the call was for nobody who has roles.
    pub person: Option<Person<'a>>,
}

/// Why a call is denied after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    Policy(CallDenial),
    /// The client is given no token any more.
    NoToken,
    /// The resource server is no more.
    ResourceGone,
}

impl Loss {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy(denial) => denial.as_str(),
            Self::NoToken => "no_token",
            Self::ResourceGone => "resource_gone",
        }
    }
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// With the token that it was made with.
    AtOnce,
    /// Once that is over; at once where tokens are introspected and this one is revoked.
    TokenOver,
}

impl When {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::TokenOver => "token_over",
        }
    }
}

/// What a change takes from a call: nothing when it would be denied without the change, too.
pub fn lost(calls: &RecordedCalls, before: Side<'_>, after: Side<'_>) -> Option<(When, Loss)> {
    now(calls, before).ok()?;
    if let Err(loss) = now(calls, after) {
        return Some((When::AtOnce, loss));
    }
    later(calls, before).ok()?;
    later(calls, after).err().map(|loss| (When::TokenOver, loss))
}

/// With the token that it was made with.
fn now(calls: &RecordedCalls, side: Side<'_>) -> Result<(), Loss> {
    let server = side.server.ok_or(Loss::ResourceGone)?;
    decided(server, calls, &calls.scopes.iter().map(String::as_str).collect())
}

/// With a new token, which carries no more than the one before.
fn later(calls: &RecordedCalls, side: Side<'_>) -> Result<(), Loss> {
    let server = side.server.ok_or(Loss::ResourceGone)?;
    let given = given(calls, server, side);
    if given.is_empty() {
        return Err(Loss::NoToken);
    }
    decided(server, calls, &given.intersection(&calls.scopes.iter().map(String::as_str).collect()).copied().collect())
}

fn decided(server: &ResourceServerEntry, calls: &RecordedCalls, scopes: &BTreeSet<&str>) -> Result<(), Loss> {
    match call(&server.resource_server, &calls.tool, scopes) {
        Call::Allow => Ok(()),
        Call::Deny(denial) => Err(Loss::Policy(denial)),
    }
}

/// All that a new token could carry: the catalogue, less what the client is not attached to and the person has no role
/// for.
fn given<'a>(calls: &RecordedCalls, server: &'a ResourceServerEntry, side: Side<'_>) -> BTreeSet<&'a str> {
    let policy = &server.resource_server;
    let ceiling = match side.caller {
        Caller::Unknown => policy.scope_names(),
        Caller::Known(client) if may_ask(client, calls) => attached(client, server),
        Caller::Known(_) | Caller::Gone => BTreeSet::new(),
    };
    let Some(Person { id, assigned }) = side.person else { return ceiling };
    let first = access::first_role(policy, id, assigned).map(str::to_owned);
    let assigned: Vec<String> = assigned.iter().cloned().chain(first).collect();
    let allowed = access::scopes(policy, id, &assigned);
    ceiling.into_iter().filter(|scope| allowed.contains(*scope)).collect()
}

/// Whether the client is served, and may still use a grant by which it could have come to this token.
fn may_ask(client: &ClientEntry, calls: &RecordedCalls) -> bool {
    let own = calls.subject.as_deref() == Some(client.id.as_str());
    let fits =
        |grant: &GrantType| *grant == GrantType::TokenExchange || own == (*grant == GrantType::ClientCredentials);
    client.client.state == ClientState::Active && client.client.grant_types.iter().any(fits)
}

#[cfg(test)]
mod tests;
