//! People: their accounts, what an address and a password must look like, and who has signed in.

use std::fmt;

use jiff::Timestamp;

use super::clock::{Clock, Entropy, EntropyUnavailable, uuid_v7};

/// What the id of a user begins with, and no client's does: `sub` of one is never that of the other (RFC 9700 §4.15).
pub const ID_PREFIX: &str = "usr_";

/// `acr` of a sign-in by password, the only one that there is (OIDC Core §2).
pub const ACR: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport";
/// `amr` of the same (RFC 8176 §2).
pub const AMR: &str = "pwd";

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

/// A person who can sign in, without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// See [`SignedIn::user_id`].
    pub id: String,
    pub email: Email,
    /// What pages and lists call this person.
    pub name: String,
    /// What this person may do in the console.
    pub role: AccountRole,
    pub created_at: Timestamp,
    /// Since then nobody signs in as this person.
    pub disabled_at: Option<Timestamp>,
    /// When the password was last set; none was when this is absent.
    pub password_set_at: Option<Timestamp>,
}

/// Where a person's account is: the column `source`, and the value of the metric label `auth_source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthSource {
    /// Here, with a password.
    Local,
}

impl AuthSource {
    pub const ALL: &'static [Self] = &[Self::Local];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
        }
    }
}

/// A new person's id.
///
/// # Errors
/// When the random source fails.
pub fn new_user_id(clock: &dyn Clock, entropy: &dyn Entropy) -> Result<String, EntropyUnavailable> {
    Ok(format!("{ID_PREFIX}{}", uuid_v7(clock.now(), entropy)?))
}

/// What a person may do besides signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccountRole {
    /// Signs in to applications, nothing more.
    User,
    /// Reads in the console.
    Viewer,
    /// Reads and changes policy in the console.
    Operator,
    /// Everything.
    Admin,
}

impl AccountRole {
    pub const ALL: [Self; 4] = [Self::User, Self::Viewer, Self::Operator, Self::Admin];

    /// The spelling in the database, the API and the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// An e-mail address in its one spelling: trimmed and in lower case, so that two spellings are never two people.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// The longest address there is, in bytes (RFC 5321 §4.5.3.1.3).
    const LONGEST: usize = 254;

    /// `None` for what is no address: it has one `@` between two parts, and no space or control character.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        let (local, domain) = text.split_once('@')?;
        let strange = |c: char| c.is_control() || c.is_whitespace() || is_invisible(c);
        let whole = !local.is_empty() && !domain.is_empty() && !domain.contains('@') && text.len() <= Self::LONGEST;
        (whole && !text.contains(strange)).then_some(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Formatting characters that are not seen, or that turn the text around them (Unicode TR #36).
pub const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// A name of a person: 1 to 200 characters, none of them a control character.
pub fn is_name(text: &str) -> bool {
    let length = text.chars().count();
    (1..=200).contains(&length) && !text.trim().is_empty() && !text.contains(|c: char| c.is_control())
}

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    #[error("a password has at least {0} characters")]
    Short(usize),
    #[error("a password has at most {MAX_PASSWORD} bytes")]
    Long,
    #[error("this password is one of the first that anybody would guess")]
    Guessable,
}

/// The longest password that is looked at, in bytes: longer ones only cost time.
pub const MAX_PASSWORD: usize = 1024;

/// What people choose when they are only asked for length (NIST SP 800-63B §3.1.1.2 demands such a list).
const GUESSED_FIRST: &[&str] = &[
    "password",
    "passwort",
    "qwerty",
    "qwertyuiop",
    "asdfghjkl",
    "letmein",
    "welcome",
    "iloveyou",
    "administrator",
    "changeme",
    "holdfast",
    "secret",
    "abcdefgh",
    "trustno1",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "superman",
];

/// Whether a password may be set: long enough, and not built of what is guessed first. No other composition rule
/// (NIST SP 800-63B §3.1.1.2). `own` is what the person is called: the address and the name.
///
/// # Errors
/// What is wrong with it.
pub fn check_password(password: &str, least: usize, own: &[&str]) -> Result<(), WeakPassword> {
    if password.len() > MAX_PASSWORD {
        return Err(WeakPassword::Long);
    }
    if password.chars().count() < least {
        return Err(WeakPassword::Short(least));
    }
    let plain: String = password.to_lowercase().chars().filter(|c| c.is_alphabetic()).collect();
    let varied = password.chars().collect::<std::collections::BTreeSet<char>>().len();
    let parts = own.iter().flat_map(|name| name.split(['@', ' ']).chain([*name]));
    let own = parts.map(str::to_lowercase);
    let guessed = own.chain(GUESSED_FIRST.iter().map(|word| (*word).to_owned()));
    let mut guessed = guessed.filter(|word| word.chars().count() > 3);
    // a guess remains one with digits around it, or written twice
    let is_guess = |word: String| plain == word || plain == word.repeat(2) || password.to_lowercase() == word;
    if varied < 5 || guessed.any(is_guess) { Err(WeakPassword::Guessable) } else { Ok(()) }
}

/// Why a login session is over: the value of the metric label and log field `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionEnd {
    Logout,
    /// Nothing was heard for too long.
    IdleTimeout,
    /// It was old, in use or not.
    AbsoluteTimeout,
    /// Its cookie came from another browser.
    FingerprintMismatch,
    /// The person is disabled or deleted.
    AccountInactive,
    /// From another session, or by an administrator.
    RevokedRemotely,
}

impl SessionEnd {
    pub const ALL: [Self; 6] = [
        Self::Logout,
        Self::IdleTimeout,
        Self::AbsoluteTimeout,
        Self::FingerprintMismatch,
        Self::AccountInactive,
        Self::RevokedRemotely,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::IdleTimeout => "idle_timeout",
            Self::AbsoluteTimeout => "absolute_timeout",
            Self::FingerprintMismatch => "fingerprint_mismatch",
            Self::AccountInactive => "account_inactive",
            Self::RevokedRemotely => "revoked_remotely",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(" Ada@Example.com\t", Some("ada@example.com"))]
    #[case("ÄDA@example.com", Some("äda@example.com"))]
    #[case("ada", None)]
    #[case("@example.com", None)]
    #[case("ada@", None)]
    #[case("a@b@c", None)]
    #[case("a da@example.com", None)]
    #[case("ada@exam\u{202e}ple.com", None)]
    #[case("ada\0@example.com", None)]
    fn an_address_has_one_spelling(#[case] text: &str, #[case] read: Option<&str>) {
        assert_eq!(Email::parse(text).as_ref().map(Email::as_str), read);
    }

    #[rstest::rstest]
    #[case("correct horse battery", Ok(()))]
    #[case("übergröße-für-alle", Ok(()))]
    #[case("short", Err(WeakPassword::Short(12)))]
    #[case("aaaaaaaaaaaaaaaa", Err(WeakPassword::Guessable))]
    #[case("Password123456", Err(WeakPassword::Guessable))]
    #[case("passwordpassword", Err(WeakPassword::Guessable))]
    #[case("lovelace-123456789", Err(WeakPassword::Guessable))]
    #[case("ada.lovelace@example.com", Err(WeakPassword::Guessable))]
    fn a_password_is_long_and_no_first_guess(#[case] password: &str, #[case] expected: Result<(), WeakPassword>) {
        let own = ["ada.lovelace@example.com", "Ada Lovelace"];
        assert_eq!(check_password(password, 12, &own), expected);
    }

    #[test]
    fn a_password_may_be_a_sentence_but_not_a_book() {
        assert_eq!(check_password(&"abcdefghij ".repeat(100), 12, &[]), Err(WeakPassword::Long));
    }
}
