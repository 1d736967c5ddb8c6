//! Validation without an API server: defaults, unknown fields, schema, then CEL, all on the transformed schema.
//!
//! The order is the API server's, and so is the rule that one error of the schema hides all errors of CEL.

mod structure;
mod words;

use std::fmt;
use std::sync::OnceLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use serde_json::Value;

/// What is wrong with which field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct FieldError {
    /// Path of the field, as the API server writes it: `spec.redirectURIs[0]`. Empty for the object itself.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl FieldError {
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// One kind's schema, made ready once.
struct Checker {
    kind: String,
    schema: Value,
    json: jsonschema::Validator,
    cel: CompiledSchema,
}

impl Checker {
    fn new(crd: &CustomResourceDefinition) -> Option<Self> {
        let schema = crd.spec.versions.first()?.schema.as_ref()?.open_api_v3_schema.as_ref()?;
        let schema = serde_json::to_value(schema).ok()?;
        let json = jsonschema::options()
            .with_pattern_options(jsonschema::PatternOptions::regex())
            .should_validate_formats(true)
            .build(&schema)
            .ok()?;
        let cel = compile_schema(&schema);
        Some(Self { kind: crd.spec.names.kind.clone(), schema, json, cel })
    }
}

fn checker(object: &Value) -> Result<&'static Checker, FieldError> {
    static CHECKERS: OnceLock<Vec<Checker>> = OnceLock::new();
    let checkers = CHECKERS.get_or_init(|| super::all().unwrap_or_default().iter().filter_map(Checker::new).collect());
    if object.get("apiVersion").and_then(Value::as_str) != Some(super::API_VERSION) {
        return Err(FieldError::new("apiVersion", format!("must be {}", super::API_VERSION)));
    }
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    checkers
        .iter()
        .find(|checker| checker.kind == kind)
        .ok_or_else(|| FieldError::new("kind", "must be one of ResourceServer, OAuthClient, Provider"))
}

/// Drops nulls and fills in the schema's defaults, as the API server does before it validates.
///
/// # Errors
/// The object is of none of our kinds.
pub fn default(object: &mut Value) -> Result<(), FieldError> {
    let checker = checker(object)?;
    structure::drop_nulls(&checker.schema, object);
    structure::fill_defaults(&checker.schema, object);
    Ok(())
}

/// Validates an object of one of our kinds as the API server would, without metadata; `old` is the object that it
/// replaces, for the rules about changes.
///
/// # Errors
/// All that is wrong with it, each naming its field.
pub fn validate(object: &Value, old: Option<&Value>) -> Result<(), Vec<FieldError>> {
    let checker = checker(object).map_err(|error| vec![error])?;
    let mut object = object.clone();
    default(&mut object).map_err(|error| vec![error])?;
    let old = old.map(|old| {
        let mut old = old.clone();
        structure::drop_nulls(&checker.schema, &mut old);
        structure::fill_defaults(&checker.schema, &mut old);
        old
    });
    let mut errors = Vec::new();
    structure::check(&checker.schema, &object, "", &mut errors);
    errors.extend(checker.json.iter_errors(&object).map(|error| words::field_error(&error)));
    if errors.is_empty() {
        let outcome = Validator::new().validate_compiled(&checker.cel, &object, old.as_ref());
        let violations = outcome.err().map(|e| e.into_vec()).unwrap_or_default();
        errors.extend(violations.into_iter().map(|e| FieldError::new(e.field_path, e.message)));
    }
    errors.sort();
    errors.dedup();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
