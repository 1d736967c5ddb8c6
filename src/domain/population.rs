//! How many users, sessions, clients and grants there are: counted in the database, never added up.

use super::client::ClientState;
use super::observer::ClientSource;
use super::user::AuthSource;

/// What was counted. What is not named in a list is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Population {
    pub users: i64,
    /// Who may sign in.
    pub active_users: Vec<(AuthSource, i64)>,
    pub sessions: i64,
    pub clients: Vec<((ClientState, ClientSource), i64)>,
    pub grants: i64,
    /// Grants that can be refreshed.
    pub families: i64,
}
