//! Redirect URIs: which may be registered, and whether the one that a request names is one of them.
//!
//! Every door uses these two functions: resources, dynamic registration, metadata documents, the authorization endpoint
//! and pushed requests. URIs are compared as they are written (OAuth 2.1 §2.3.1); nothing is decoded, resolved or
//! folded, since whatever is normalised on one side only is a way around the comparison. The single exception is the
//! port of http on loopback (RFC 8252 §7.3), where `127.0.0.1`, `[::1]` and `localhost` remain three different hosts.

use url::Url;

/// Longer URIs are nobody's, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// Schemes that mean something to a browser or a system, and so belong to no application.
const TAKEN: &[&str] = &[
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "filesystem",
    "ftp",
    "http",
    "https",
    "intent",
    "jar",
    "javascript",
    "mailto",
    "resource",
    "tel",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// Query names of the authorization response: a redirect URI that has one could pass for an answer (CVE-2026-9689).
const RESPONSE: &[&str] = &["code", "state", "iss", "error", "session_state", "response"];

/// Hosts on which http may be used and the port may differ.
const LOOPBACK: &[&str] = &["localhost", "127.0.0.1", "[::1]"];

/// Where a redirect URI leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// `https` on any host.
    Https,
    /// `http` on `localhost`, `127.0.0.1` or `[::1]`.
    Loopback,
    /// An application that has claimed this scheme (RFC 8252 §7.1). Whether it is one that is allowed is policy.
    PrivateUse(&'a str),
}

/// Why a URI cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error(
        "must be https://host[:port][/path][?query], or http on localhost, 127.0.0.1 or [::1], or a private-use scheme:/path; host in lower case; no user, fragment, wildcard or space"
    )]
    Form,
    #[error("the port must be at most 65535")]
    Port,
    /// Parsers rewrite it, and so disagree about it.
    #[error("{0:?} is not a host")]
    Host(String),
    #[error("must not have . or .. as a path segment")]
    DotSegment,
    #[error("must not have {0} in its query, which the response will")]
    ResponseParameter(&'static str),
}

/// Whether `uri` can be a registered redirect URI, and of which kind it is.
///
/// # Errors
/// What is wrong with it.
pub fn place(uri: &str) -> Result<Place<'_>, Fault> {
    let (scheme, rest) = uri.split_once(':').ok_or(Fault::Form)?;
    let place = match scheme {
        "http" | "https" => {
            web(uri)?;
            if scheme == "https" { Place::Https } else { Place::Loopback }
        }
        _ => {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'.' | b'-');
            let named = scheme.starts_with(|c: char| c.is_ascii_lowercase()) && scheme.bytes().all(inner);
            if !named || TAKEN.contains(&scheme) || !rest.starts_with('/') || uri.len() > MAX_LENGTH || !is_plain(rest)
            {
                return Err(Fault::Form);
            }
            Place::PrivateUse(scheme)
        }
    };
    if has_dot_segment(rest) {
        return Err(Fault::DotSegment);
    }
    response_parameter(uri).map_or(Ok(place), |name| Err(Fault::ResponseParameter(name)))
}

/// An https URL, or http on loopback, written as every parser reads it.
///
/// # Errors
/// What is wrong with it.
pub fn web(url: &str) -> Result<(), Fault> {
    let parts = Web::read(url).ok_or(Fault::Form)?;
    if parts.port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(Fault::Port);
    }
    let read = Url::parse(url).ok();
    if read.as_ref().and_then(Url::host_str) != Some(parts.host) {
        return Err(Fault::Host(parts.host.to_owned()));
    }
    Ok(())
}

/// No registered redirect URI is the one that was asked for. Which part differs is said to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch;

/// Where the response goes: to `asked`, which must be one of `registered`, or to the only registered one when the
/// request names none (OAuth 2.1 §4.1.1).
///
/// # Errors
/// [`Mismatch`], after which nobody is redirected anywhere. Also for what could not be registered
/// today, however it came into the table.
pub fn matches<'a>(registered: &'a [String], asked: Option<&'a str>) -> Result<&'a str, Mismatch> {
    let chosen = match (asked, registered) {
        (Some(asked), _) => registered.iter().any(|uri| is_same(uri, asked)).then_some(asked),
        (None, [only]) => Some(only.as_str()),
        (None, _) => None,
    };
    chosen.filter(|uri| place(uri).is_ok()).ok_or(Mismatch)
}

/// The host that people are shown before they are sent there (M-11); the scheme, where there is no host.
pub fn shown(uri: &str) -> &str {
    Web::read(uri).map_or_else(|| uri.split(':').next().unwrap_or_default(), |parts| parts.host)
}

/// Whether it leads to a program on the user's own machine, which proves nothing of who wrote it.
pub fn is_loopback(uri: &str) -> bool {
    place(uri) == Ok(Place::Loopback)
}

fn is_same(registered: &str, asked: &str) -> bool {
    registered == asked || (is_loopback(registered) && is_loopback(asked) && but_port(registered) == but_port(asked))
}

fn but_port(uri: &str) -> Option<(&str, &str)> {
    Web::read(uri).map(|parts| (parts.host, parts.tail))
}

/// An http or https URL, cut where a reader would cut it.
struct Web<'a> {
    host: &'a str,
    port: Option<&'a str>,
    /// Path and query.
    tail: &'a str,
}

impl<'a> Web<'a> {
    fn read(url: &'a str) -> Option<Self> {
        let (rest, secure) = match url.strip_prefix("https://") {
            Some(rest) => (rest, true),
            None => (url.strip_prefix("http://")?, false),
        };
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.rfind(':').filter(|at| !authority[*at..].ends_with(']')) {
            Some(at) => (&authority[..at], Some(&authority[at + 1..])),
            None => (authority, None),
        };
        let digits = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
        let right = if secure { is_host(host) } else { LOOPBACK.contains(&host) };
        (right && port.is_none_or(digits) && url.len() <= MAX_LENGTH && is_plain(tail)).then_some(Self {
            host,
            port,
            tail,
        })
    }
}

/// Lower case, digits, dots and dashes between a letter or digit and another.
fn is_host(host: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    edge(host.bytes().next()) && edge(host.bytes().last()) && host.bytes().all(inner)
}

/// Path and query characters, without the fragment, and percent signs that encode something.
fn is_plain(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~:/?@!$&()+,;=%-".contains(&b);
    let encoded = |after: &str| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    text.bytes().all(allowed) && text.split('%').skip(1).all(encoded)
}

/// `.` or `..` as a path segment, also when percent-encoded.
fn has_dot_segment(rest: &str) -> bool {
    let path = rest.split('?').next().unwrap_or_default().to_ascii_lowercase();
    let path = path.replace("%2f", "/").replace("%2e", ".");
    path.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn response_parameter(uri: &str) -> Option<&'static str> {
    // some parsers take a semicolon for an ampersand
    let query = uri.split_once('?')?.1.replace(';', "&");
    let names: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned()).collect();
    RESPONSE.iter().find(|taken| names.iter().any(|name| name == **taken)).copied()
}

#[cfg(test)]
mod tests;
