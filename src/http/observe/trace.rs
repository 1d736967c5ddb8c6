//! Trace and span of the caller (W3C Trace Context), so that our log lines join theirs.

use axum::http::HeaderMap;

/// Trace and span of the caller (W3C Trace Context §3.2), when it sent them well-formed.
#[derive(Default)]
pub struct Trace {
    pub trace_id: Option<String>,
    pub span_id: Option<String>,
}

impl Trace {
    pub fn read(headers: &HeaderMap) -> Self {
        let Some(text) = headers.get("traceparent").and_then(|value| value.to_str().ok()) else {
            return Self::default();
        };
        let mut parts = text.split('-');
        let (Some(version), Some(trace), Some(span), Some(_)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Self::default();
        };
        let hex = |text: &str, length: usize| {
            let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            text.len() == length && digits && text.bytes().any(|b| b != b'0')
        };
        if version == "ff" || !hex(trace, 32) || !hex(span, 16) {
            return Self::default();
        }
        Self { trace_id: Some(trace.to_owned()), span_id: Some(span.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_is_believed() {
        let read = |text: &'static str| {
            let headers =
                HeaderMap::from_iter([(HeaderName::from_static("traceparent"), HeaderValue::from_static(text))]);
            Trace::read(&headers).trace_id
        };
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(read(good).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00-short-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
