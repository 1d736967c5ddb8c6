//! Why what was issued is ended before its time.

macro_rules! causes {
    ($($(#[doc = $doc:literal])* $variant:ident = $text:literal,)*) => {
        /// Why; kept beside the token, and the value of the metric label `cause`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum RevokeCause { $($(#[doc = $doc])* $variant),* }

        impl RevokeCause {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

causes! {
    /// The client asked for it (RFC 7009).
    Request = "request",
    /// The client was suspended.
    Suspended = "suspended",
    /// The client or the resource server was deleted.
    Deleted = "deleted",
    /// Its secret was revoked (`revokeIssuedBefore`).
    SecretRevoked = "secret_revoked",
    /// An administrator asked for it.
    Administrator = "administrator",
    /// A refresh token was used again.
    RefreshReuse = "refresh_reuse",
    /// A code was redeemed again.
    CodeReuse = "code_reuse",
    /// The user was disabled or deleted.
    UserDisabled = "user_disabled",
    PasswordChanged = "password_changed",
    ConsentWithdrawn = "consent_withdrawn",
    SessionEnded = "session_ended",
}
