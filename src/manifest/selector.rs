//! Label selectors, whose contents no schema checks: are they legal, and what do they match?

use std::collections::BTreeMap;

use super::names;
use super::policy::Policy;
use crate::crd::FieldError;
use crate::crd::reference::{AllowedNamespaces, From as Origin, LabelOperator, LabelSelector};

/// All that is wrong with an object's allowedNamespaces.
pub(super) fn check(allowed: &AllowedNamespaces, policy: &Policy) -> Vec<FieldError> {
    let path = "spec.allowedNamespaces";
    let mut errors = Vec::new();
    if allowed.from == Origin::Selector && !policy.selectors {
        let message = "Selector needs an operator that watches all namespaces (operator.namespaces is a list)";
        errors.push(FieldError::new(format!("{path}.from"), message));
    }
    let Some(selector) = &allowed.selector else { return errors };
    for (key, value) in &selector.match_labels {
        errors.extend(names::label(&format!("{path}.selector.matchLabels"), key, value));
    }
    for (index, requirement) in selector.match_expressions.iter().enumerate() {
        let path = format!("{path}.selector.matchExpressions[{index}]");
        errors.extend(names::label_key(&format!("{path}.key"), &requirement.key));
        let wants_values = matches!(requirement.operator, LabelOperator::In | LabelOperator::NotIn);
        if wants_values == requirement.values.is_empty() {
            let must = if wants_values {
                "is required with In and NotIn"
            } else {
                "must be empty with Exists and DoesNotExist"
            };
            errors.push(FieldError::new(format!("{path}.values"), must));
        }
        for value in &requirement.values {
            errors.extend(names::label_value(&format!("{path}.values"), value));
        }
    }
    errors
}

/// Whether labels meet all requirements.
pub(super) fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| {
            let label = labels.get(&requirement.key);
            match requirement.operator {
                LabelOperator::In => label.is_some_and(|value| requirement.values.contains(value)),
                LabelOperator::NotIn => label.is_none_or(|value| !requirement.values.contains(value)),
                LabelOperator::Exists => label.is_some(),
                LabelOperator::DoesNotExist => label.is_none(),
            }
        })
}
