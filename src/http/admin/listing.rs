//! Long lists about one resource server, page by page: whose, how long a page is, and where the next one begins.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::call::Refused;
use crate::activity::PAGE;

/// Records on a page, unless fewer or more are asked for.
pub const DEFAULT: i64 = 50;

pub fn unknown_resource() -> Refused {
    Refused::unknown("there is no such resource server, and there never was")
}

/// An id as one can be: no database keeps a NUL.
pub fn plain(id: String) -> Result<String, Refused> {
    if id.contains(char::is_control) { Err(unknown_resource()) } else { Ok(id) }
}

pub fn limit(value: &str) -> Result<i64, Refused> {
    let number = value.parse().ok().filter(|number| (1..=PAGE).contains(number));
    number.ok_or_else(|| Refused::bad(&format!("limit must be 1 to {PAGE}")))
}

pub fn moment(name: &str, value: &str) -> Result<Timestamp, Refused> {
    value.parse().map_err(|_| Refused::bad(&format!("{name} must be a time as 2026-11-28T14:00:00Z")))
}

/// Opaque to whoever gets it.
pub fn cursor<I: Display>((at, id): (Timestamp, I)) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{id}", at.as_microsecond()))
}

pub fn position<I: FromStr>(cursor: &str) -> Result<(Timestamp, I), Refused> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (at, id) = text.split_once('.').filter(|(_, id)| !id.contains(char::is_control))?;
        Some((Timestamp::from_microsecond(at.parse().ok()?).ok()?, id.parse().ok()?))
    };
    read().ok_or_else(|| Refused::bad("cursor is none that was given"))
}
