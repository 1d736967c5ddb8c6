//! What a pattern cannot say about a URI: its port, and whether its private-use scheme is known here.

use url::Url;

use super::policy::Policy;
use crate::crd::FieldError;

/// A registered redirect URI (RFC 8252 §7, OAuth 2.1 §2.3.1).
pub(super) fn check(path: &str, uri: &str, policy: &Policy) -> Option<FieldError> {
    let scheme = uri.split(':').next().unwrap_or_default();
    if matches!(scheme, "http" | "https") {
        return web(path, uri);
    }
    let known = scheme.contains('.') || policy.private_use_schemes.contains(scheme);
    (!known).then(|| {
        FieldError::new(
            path,
            format!("scheme {scheme} is not allowed: a private-use scheme has a dot in it (RFC 8252), or is listed in the configuration"),
        )
    })
}

/// An http or https URI that has passed the pattern.
pub(super) fn web(path: &str, uri: &str) -> Option<FieldError> {
    let authority = uri.split("//").nth(1).and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Some(FieldError::new(path, "the port must be at most 65535"));
    }
    let host = Url::parse(uri).ok().and_then(|url| url.host_str().map(str::to_owned));
    let written =
        authority.strip_suffix(port.map(|p| format!(":{p}")).unwrap_or_default().as_str()).unwrap_or(authority);
    // a host that parsers rewrite is one that parsers disagree about
    (host.as_deref() != Some(written)).then(|| FieldError::new(path, format!("{written:?} is not a host")))
}
