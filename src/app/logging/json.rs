//! An event as one line of JSON: time, level, the event's own fields, and where in the program it comes from.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What the library's own writes with its events flat and no spans, at a fraction of the cost: every token has a line.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // an event of a library that uses `log` says where it comes from in fields of its own
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        writer.write_str("\",\"level\":\"")?;
        writer.write_str(metadata.level().as_str())?;
        writer.write_char('"')?;
        let mut fields = Fields { writer, result: Ok(()) };
        event.record(&mut fields);
        fields.text("target", metadata.target());
        fields.result?;
        fields.writer.write_str("}\n")
    }
}

/// Writes each field as a member. The first failure stands.
struct Fields<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
}

impl Fields<'_> {
    fn member(&mut self, name: &str, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let writer = &mut self.writer;
        let mut write = || {
            writer.write_str(",\"")?;
            writer.write_str(name)?;
            writer.write_str("\":")
        };
        self.result = self.result.and_then(|()| write()).and_then(|()| value(&mut self.writer));
    }

    fn text(&mut self, name: &str, text: &str) {
        self.member(name, |writer| string(writer, text));
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), |writer| write!(writer, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name(), |writer| write!(writer, "{}", serde_json::Value::from(value)));
    }
}

fn string(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        return writer.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?);
    }
    writer.write_char('"')?;
    writer.write_str(text)?;
    writer.write_char('"')
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;

    /// Collects what is logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn speak() {
        let nothing: Option<&str> = None;
        let error = std::io::Error::other("no \"luck\"");
        tracing::info!(event = "spoken", quoted = "a \"b\" \\ \u{1}\n é\u{7f}", %error, nothing, some = Some("x"));
        tracing::warn!(yes = true, no = -1_i64, many = u64::MAX, half = 0.5, none = f64::NAN, big = 1_u128, list = ?[1, 2]);
        tracing::error!(target: "else\"where", "a message with {}", "an argument");
    }

    fn lines(subscriber: impl FnOnce(Lines) -> tracing::Dispatch) -> Vec<Value> {
        let lines = Lines::default();
        tracing::dispatcher::with_default(&subscriber(lines.clone()), speak);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.ends_with('\n'));
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &mut lines {
            let stamp = line["timestamp"].take();
            stamp.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        }
        lines
    }

    #[test]
    fn a_line_says_what_the_librarys_own_would() {
        let builder = |lines: Lines| tracing_subscriber::fmt().with_writer(move || lines.clone());
        let ours = lines(|to| builder(to).event_format(Json).finish().into());
        let own = lines(|to| {
            builder(to).json().flatten_event(true).with_current_span(false).with_span_list(false).finish().into()
        });
        assert_eq!(ours.len(), 3);
        assert_eq!(ours, own);
    }
}
