//! Times as the database has them: microseconds of UTC.

use jiff::Timestamp;

use super::Error;

/// A stored time. A number that is no time is refused by `corrupt`.
pub(super) fn stamp(micros: i64, corrupt: impl FnOnce() -> Error) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(micros).map_err(|_| corrupt())
}

pub(super) fn optional(micros: Option<i64>, corrupt: impl FnOnce() -> Error) -> Result<Option<Timestamp>, Error> {
    micros.map(|micros| stamp(micros, corrupt)).transpose()
}

pub(super) fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.as_microsecond())
}
