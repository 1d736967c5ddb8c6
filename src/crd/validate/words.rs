//! Errors of the JSON schema in the words of the API server: short, and naming the field.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use super::FieldError;

/// The longest value that a message repeats, in characters.
const SHOWN: usize = 80;

pub(super) fn field_error(error: &ValidationError<'_>) -> FieldError {
    let mut path = dotted(error.instance_path().as_str());
    let message = match error.kind() {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            "required value".to_owned()
        }
        Kind::Enum { options } => {
            let names: Vec<String> = options.as_array().into_iter().flatten().map(ToString::to_string).collect();
            format!("unsupported value {}: supported values: {}", shown(error.instance()), names.join(", "))
        }
        Kind::MaxLength { limit } => format!("must be at most {limit} characters long"),
        Kind::MinLength { limit } => format!("must be at least {limit} characters long"),
        Kind::MaxItems { limit } => format!("must have at most {limit} items"),
        Kind::MinItems { limit } => format!("must have at least {limit} items"),
        Kind::MaxProperties { limit } => format!("must have at most {limit} properties"),
        Kind::Minimum { limit } => format!("must be greater than or equal to {}", whole(limit)),
        Kind::Maximum { limit } => format!("must be less than or equal to {}", whole(limit)),
        Kind::Pattern { pattern } => format!("{} must match '{pattern}'", shown(error.instance())),
        Kind::Format { format } => format!("{} must be a {format}", shown(error.instance())),
        Kind::Type { .. } => format!("{} is of the wrong type: {}", shown(error.instance()), expected(error)),
        _ => error.masked().to_string(),
    };
    FieldError { path, message }
}

fn expected(error: &ValidationError<'_>) -> String {
    let text = error.masked().to_string();
    text.split_once("of type")
        .map_or_else(|| text.clone(), |(_, kind)| format!("must be {}", kind.trim().trim_matches('"')))
}

/// A definition holds its limits as floating point numbers.
fn whole(limit: &Value) -> String {
    limit.to_string().trim_end_matches(".0").to_owned()
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

/// `/spec/scopes/0/name` → `spec.scopes[0].name`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part.replace("~1", "/").replace("~0", "~"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_becomes_a_path() {
        assert_eq!(dotted("/spec/scopes/0/name"), "spec.scopes[0].name");
        assert_eq!(dotted(""), "");
    }
}
