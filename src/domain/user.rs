//! A person who has signed in, as the rooms that ask about them know them.

use jiff::Timestamp;

/// Who sits at the browser, and since when this is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// `usr_` and a UUIDv7: `sub` of every token of theirs.
    pub user_id: String,
    /// The row of the login session; ends what it began when it is ended.
    pub session_id: String,
    /// When the password was last typed (`auth_time`, OIDC Core §2).
    pub authenticated_at: Timestamp,
}
