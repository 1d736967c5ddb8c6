//! The API server's rules for names, labels and keys, for where it is not there to check them.

use crate::crd::FieldError;

fn all(text: &str, extra: &[u8]) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || extra.contains(&b))
}

fn ends_in_alphanumeric(text: &str) -> bool {
    let ok = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    ok(text.bytes().next()) && ok(text.bytes().last())
}

/// RFC 1123 label: a namespace.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63 && ends_in_alphanumeric(text) && all(text, b"-")
}

/// RFC 1123 subdomain: most objects.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|part| !part.is_empty() && ends_in_alphanumeric(part) && all(part, b"-"))
}

/// A key of a Secret's data.
pub(super) fn is_secret_key(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text != "."
        && !text.starts_with("..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

fn is_qualified_part(text: &str) -> bool {
    text.len() <= 63
        && ends_in_alphanumeric(text)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// An optional prefix and a name: `example.com/tier`.
pub(super) fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_qualified_part(name),
        None => is_qualified_part(text),
    }
}

pub(super) fn label_key(path: &str, key: &str) -> Option<FieldError> {
    (!is_qualified_name(key)).then(|| FieldError::new(path, format!("{key:?} is not a label key")))
}

pub(super) fn label_value(path: &str, value: &str) -> Option<FieldError> {
    (!value.is_empty() && !is_qualified_part(value))
        .then(|| FieldError::new(path, format!("{value:?} is not a label value")))
}

pub(super) fn label(path: &str, key: &str, value: &str) -> Option<FieldError> {
    label_key(path, key).or_else(|| label_value(path, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_api_server_takes() {
        for good in ["a", "a-b", "0"] {
            assert!(is_label(good) && is_subdomain(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "../a", "a/b", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
        assert!(is_subdomain("a.b") && !is_subdomain("a..b") && !is_subdomain(".a") && !is_label("a.b"));
        assert!(is_secret_key("tls.crt") && !is_secret_key("..") && !is_secret_key("../x") && !is_secret_key(""));
        assert!(is_qualified_name("example.com/Tier_1") && !is_qualified_name("a/b/c") && !is_qualified_name("/a"));
    }
}
