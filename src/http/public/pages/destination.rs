//! Where somebody goes after signing in: one of our own pages, never a place that a link names.

use crate::oauth::path;

/// A path of this server, with its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination(String);

/// What lies behind the login, below the issuer.
const PAGES: &[&str] = &[path::AUTHORIZE, super::ACCOUNT, "/device"];

impl Destination {
    /// `None` unless the text is one of our pages, or below it, written plainly.
    pub(super) fn read(base: &str, text: &str) -> Option<Self> {
        let below = text.strip_prefix(base)?;
        let page = PAGES.iter().find_map(|page| below.strip_prefix(page))?;
        let (path, _) = page.split_once('?').unwrap_or((page, ""));
        let plain = text.bytes().all(|b| matches!(b, b'!'..=b'~') && !matches!(b, b'\\' | b'"' | b'<' | b'>' | b'#'));
        let whole = path.is_empty() || path.starts_with('/');
        let straight =
            path.split('/').skip(1).all(|segment| !matches!(segment, "" | "." | "..") && !segment.contains('%'));
        (plain && whole && straight && text.len() <= 2048).then(|| Self(text.to_owned()))
    }

    /// One that we wrote ourselves.
    pub fn own(path: String) -> Self {
        Self(path)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    ///
    #[rstest::rstest]
    #[case("/t1/account", true)]
    #[case("/t1/account/sessions", true)]
    #[case("/t1/oauth/authorize?client_id=a&state=%2F%2Fb", true)]
    #[case("/t1/oauth/authorize/hftx_abc", true)]
    #[case("/t1/device?user_code=AB-CD", true)]
    #[case("/account", false)]
    #[case("", false)]
    #[case("/t1", false)]
    #[case("/t1/accountant", false)]
    #[case("//evil.example/t1/account", false)]
    #[case("https://evil.example/", false)]
    #[case("/t1//evil.example", false)]
    #[case("/t1/account//evil.example", false)]
    #[case("/t1/account/../../evil", false)]
    #[case("/t1/account/%2e%2e/x", false)]
    #[case("/t1/account\\evil", false)]
    #[case("/t1/account\r\nx: y", false)]
    #[case("/t1/account?x=\u{202e}", false)]
    #[case("javascript:alert(1)", false)]
    fn only_our_own_pages_are_gone_to(#[case] text: &str, #[case] ours: bool) {
        assert_eq!(Destination::read("/t1", text).is_some(), ours);
    }
}
