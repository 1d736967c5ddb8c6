//! Which URLs can be the id of a client (draft-02 §3), compared as they are written and never rewritten.

use url::Url;

/// Longer ones are nobody's, in bytes.
const MAX_LENGTH: usize = 1024;

/// The host of such an id; `None` for every text that is not exactly one. CI-01, CI-02
pub(super) fn host(id: &str) -> Option<&str> {
    let rest = id.strip_prefix("https://").filter(|_| id.len() <= MAX_LENGTH)?;
    let (authority, path) = rest.split_at(rest.find('/')?);
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    // percent-encoding and everything that no reader resolves, but no query, no fragment, no user, no address
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@/%".contains(&b);
    let lower = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/");
    let dots = lower.split('/').any(|segment| matches!(segment, "." | ".."));
    let port = port.is_none_or(|port| !port.starts_with('0') && port.parse::<u16>().is_ok());
    let named = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        && host.split('.').all(|label| !label.is_empty())
        && host.rsplit('.').next().is_some_and(|last| last.bytes().any(|b| b.is_ascii_alphabetic()));
    if path == "/" || dots || !port || !named || !path.bytes().all(plain) {
        return None;
    }
    // a host that parsers read as an address is no name
    let parsed = Url::parse(id).ok()?;
    matches!(parsed.host(), Some(url::Host::Domain(name)) if name.eq_ignore_ascii_case(host)).then_some(host)
}
