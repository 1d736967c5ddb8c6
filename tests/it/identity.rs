//! People: their logins, their sessions, and what administrators do with both.

mod login;
