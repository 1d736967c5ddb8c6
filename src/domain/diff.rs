//! The three-way comparison: desired, last applied, observed → what to report and what to write. Pure.
//!
//! | desired vs last | observed vs last | meaning |
//! |---|---|---|
//! | equal | equal | nothing |
//! | differs | equal | the spec changed: apply |
//! | equal | differs | drift: report; Enforce corrects, Warn keeps, Ignore counts |
//! | differs | differs, to the same value | converged: record |
//! | differs | differs | drift is reported first, then the spec is applied |

use std::collections::BTreeSet;

use serde_json::Value;

use super::desired::{Desired, DriftMode};
use super::drift::{DriftedField, OpenDrift, ROW};
use super::spec::{Class, FieldMap, Spec, class};

/// What is known of one object when it is compared.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    /// What was last applied; `None` = this object never was.
    pub last: Option<&'a Spec>,
    /// The policy in the database; `None` = there is no row.
    pub observed: Option<&'a Spec>,
    /// What to say of a row that is not there: null, or [`super::drift::UNREADABLE`].
    pub missing: Value,
    /// Drift that was reported before and stands.
    pub open: Option<&'a OpenDrift>,
}

/// What should change, and what should be said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Drift that is put right by `write`.
    pub corrected: Vec<DriftedField>,
    /// Drift that stays, whether reported before or not.
    pub kept: Vec<DriftedField>,
    /// Drift that only counts.
    pub ignored: Vec<DriftedField>,
    /// Of `corrected` and `kept`: what was not reported before with this value.
    pub news: Vec<DriftedField>,
    /// Paths of drift that was reported and is gone by itself.
    pub cleared: Vec<String>,
    /// What the spec's author changed.
    pub intent: Vec<FieldChange>,
    /// The policy to write; `None` = the row is as it should be.
    pub write: Option<Spec>,
    /// What was applied last is not what is desired now: remember it.
    pub record: bool,
}

/// A change that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    pub path: String,
    pub from: Value,
    pub to: Value,
}

impl Plan {
    /// Nothing to write and nothing to say.
    pub fn is_empty(&self) -> bool {
        self.write.is_none() && !self.record && self.news.is_empty() && self.cleared.is_empty()
    }
}

/// Compares the three and says what follows.
pub fn plan(desired: &Desired, known: Known<'_>) -> Plan {
    let mut plan = match (known.last, known.observed) {
        (None, None) => created(desired),
        (Some(last), None) => missing(desired, last, known.missing),
        (last, Some(observed)) => compared(desired, last.unwrap_or(observed), observed),
    };
    plan.record = !desired.paused && known.last != Some(&desired.spec);
    if desired.paused {
        plan.kept.append(&mut plan.corrected);
        plan.intent.clear();
        plan.write = None;
    }
    let reported = |field: &DriftedField| {
        let open = known.open.map_or(&[][..], |open| &open.fields);
        open.iter().any(|o| o.path == field.path && o.observed == field.observed)
    };
    plan.news = plan.corrected.iter().chain(&plan.kept).filter(|f| !reported(f)).cloned().collect();
    let stands: BTreeSet<&str> = plan.corrected.iter().chain(&plan.kept).map(|f| f.path.as_str()).collect();
    let open = known.open.map_or(&[][..], |open| &open.fields);
    plan.cleared = open.iter().map(|f| f.path.clone()).filter(|path| !stands.contains(path.as_str())).collect();
    plan
}

fn created(desired: &Desired) -> Plan {
    let intent =
        desired.spec.fields().into_iter().map(|(path, to)| FieldChange { path, from: Value::Null, to }).collect();
    Plan { intent, write: Some(desired.spec.clone()), ..Plan::default() }
}

fn missing(desired: &Desired, last: &Spec, observed: Value) -> Plan {
    let field = DriftedField { path: ROW.to_owned(), class: Class::Security, expected: Value::Bool(true), observed };
    let mut plan = Plan::default();
    if desired.drift == DriftMode::Enforce || desired.spec != *last {
        plan.corrected.push(field);
        plan.write = Some(desired.spec.clone());
    } else {
        plan.kept.push(field);
    }
    plan
}

fn compared(desired: &Desired, last: &Spec, observed: &Spec) -> Plan {
    let (wanted, before, now) = (desired.spec.fields(), last.fields(), observed.fields());
    let mut target = now.clone();
    let mut plan = Plan::default();
    let paths: BTreeSet<&String> = wanted.keys().chain(before.keys()).chain(now.keys()).collect();
    for path in paths {
        let (d, l, o) = (at(&wanted, path), at(&before, path), at(&now, path));
        if d == o {
            continue;
        }
        if o != l {
            let class = class(desired.spec.kind(), path);
            let field = DriftedField { path: path.clone(), class, expected: l.clone(), observed: o.clone() };
            let mode = mode(desired, path, class);
            match mode {
                _ if d != l => plan.corrected.push(field),
                DriftMode::Enforce => plan.corrected.push(field),
                DriftMode::Warn => plan.kept.push(field),
                DriftMode::Ignore => plan.ignored.push(field),
            }
            if d == l && mode != DriftMode::Enforce {
                continue;
            }
        }
        if d != l {
            plan.intent.push(FieldChange { path: path.clone(), from: l.clone(), to: d.clone() });
        }
        set(&mut target, path, d);
    }
    if target != now {
        // fields of two valid specs of one kind always make a third; were it not so, the desired one is right
        plan.write = Some(Spec::from_fields(desired.spec.kind(), &target).unwrap_or_else(|_| desired.spec.clone()));
    }
    plan
}

/// The mode that counts for a field: Security fields are never ignored.
fn mode(desired: &Desired, path: &str, class: Class) -> DriftMode {
    let member = path.split('[').next().unwrap_or(path);
    let ignored = desired.drift == DriftMode::Ignore || desired.ignore_fields.contains(member);
    match (ignored, class) {
        (true, Class::Security) => DriftMode::Warn,
        (true, _) => DriftMode::Ignore,
        (false, _) => desired.drift,
    }
}

fn at<'a>(fields: &'a FieldMap, path: &str) -> &'a Value {
    fields.get(path).unwrap_or(&Value::Null)
}

fn set(fields: &mut FieldMap, path: &str, value: &Value) {
    if value.is_null() && path.ends_with(']') {
        fields.remove(path);
    } else {
        fields.insert(path.to_owned(), value.clone());
    }
}

#[cfg(test)]
mod tests;
