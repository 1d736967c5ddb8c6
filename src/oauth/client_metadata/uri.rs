//! Links in client metadata: https, for people or never to be followed by us at all.

use serde_json::{Map, Value};
use url::Url;

use super::{Fault, member};

/// Members that are a URL.
const LINKS: [&str; 8] = [
    "client_uri",
    "logo_uri",
    "tos_uri",
    "policy_uri",
    "jwks_uri",
    "sector_identifier_uri",
    "backchannel_logout_uri",
    "initiate_login_uri",
];

/// Members that are a list of URLs.
const LISTS: [&str; 1] = ["request_uris"];

/// Each of them is https, or http on loopback; also in other languages (`tos_uri#ja`). H-04, R-42
pub(super) fn check(object: &Map<String, Value>) -> Result<(), Fault> {
    for (name, value) in object {
        let plain = name.split('#').next().unwrap_or_default();
        if let Some(link) = LINKS.into_iter().find(|link| *link == plain)
            && !value.as_str().is_some_and(is_link)
        {
            return Err(member(link, "expected an https URL"));
        }
        if let Some(list) = LISTS.into_iter().find(|list| *list == plain) {
            let good = |item: &Value| item.as_str().is_some_and(is_link);
            if !value.as_array().is_some_and(|items| items.iter().all(good)) {
                return Err(member(list, "expected a list of https URLs"));
            }
        }
    }
    Ok(())
}

fn is_link(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let written = text.starts_with("https://") || text.starts_with("http://");
    scheme
        && written
        && url.host_str().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        && text.len() <= super::MAX_TEXT
}
