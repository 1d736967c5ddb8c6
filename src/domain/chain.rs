//! An error as one line: its message, and those of its causes.

use std::error::Error;

/// The messages of an error and of all that caused it, from the outside in, as `a: b: c` on one line. What a
/// transparent error repeats is said once.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        next = cause.source();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Sample {
        #[error("failed to write\n  a row")]
        Outer(#[source] Box<Sample>),
        #[error(transparent)]
        Through(Box<Sample>),
        #[error("failed to connect")]
        Inner,
    }

    #[test]
    fn every_cause_is_said_once_and_on_one_line() {
        let error = Sample::Outer(Box::new(Sample::Through(Box::new(Sample::Inner))));
        assert_eq!(chain(&error), "failed to write a row: failed to connect");
        assert_eq!(chain(&Sample::Inner), "failed to connect");
    }
}
