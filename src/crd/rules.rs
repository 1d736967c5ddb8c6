//! The CEL rules that several fields share, and the patterns they are made of.
//!
//! Each was measured against the API server's budget: a list is mapped once through a one-element list (there is no
//! `cel.bind`), uniqueness uses `exists_one`, and a pattern is only applied below maxItems and maxLength.

use kube::core::{Message, Reason, Rule};

/// https on any host, or http on loopback; port, path and query; no user, fragment, wildcard, space or upper-case host.
const WEB: &str = r"^(https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?|http://(localhost|127[.]0[.]0[.]1|\\[::1\\]))(:[0-9]{1,5})?([/?][A-Za-z0-9._~:/?@!$&()+,;=%-]*)?$";
/// A scheme of the application's own (RFC 8252 §7.1), then at least one slash.
const PRIVATE_USE: &str = r"^[a-z][a-z0-9+.-]*:/[A-Za-z0-9._~:/?@!$&()+,;=%-]*$";
/// Schemes that mean something to a browser or a system, and so belong to no application.
const TAKEN: &str = "^(https?|wss?|ftp|file|data|blob|about|javascript|vbscript|mailto|tel|view-source|intent|filesystem|jar|resource|chrome):";
/// `.` or `..` as a path segment, also when percent-encoded.
const DOTS: &str = "(/|%2[fF])([.]|%2[eE]){1,2}(/|%2[fF]|[?]|$)";

/// `metadata.name` goes into paths, labels and ids.
pub fn short_name() -> Rule {
    Rule::new("self.metadata.name.size() <= 63").message("metadata.name must be at most 63 characters long")
}

/// An optional field that is never changed, added or removed. Stands on the parent, where removal is seen.
pub fn immutable(field: &str) -> Rule {
    Rule::new(format!(
        "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    ))
    .message(
        format!("{field} is immutable, also adding or removing it: delete the object and create another one").as_str(),
    )
    .field_path(format!(".{field}"))
    .reason(Reason::FieldValueForbidden)
}

/// A required field that is never changed. Stands on the field.
pub fn immutable_value(field: &str) -> Rule {
    Rule::new("self == oldSelf")
        .message(format!("{field} is immutable: delete the object and create another one").as_str())
        .reason(Reason::FieldValueForbidden)
}

/// The discriminator of a union is never changed. Stands on the object that has it.
pub fn immutable_type(field: &str) -> Rule {
    Rule::new("self.type == oldSelf.type")
        .message(format!("{field}.type is immutable: delete the object and create another one").as_str())
        .field_path(".type")
        .reason(Reason::FieldValueForbidden)
}

/// Member `field` of a union is there exactly when `type` says so.
pub fn union_member(kind: &str, field: &str) -> Rule {
    Rule::new(format!("(self.type == '{kind}') == has(self.{field})"))
        .message(format!("{field} is required with type {kind} and forbidden otherwise").as_str())
        .field_path(format!(".{field}"))
}

/// No value twice in a list. Without reason FieldValueDuplicate, for which the API server drops the message.
pub fn unique(field: &str) -> Rule {
    Rule::new("self.all(x, self.exists_one(y, x == y))").message(format!("{field} must not repeat a value").as_str())
}

/// An https URL, or http on loopback. Stands on the string.
pub fn web_url(field: &str) -> Rule {
    Rule::new(format!("self.matches('{WEB}')")).message(
        format!(
            "{field} must be https://host[:port][/path][?query], or http on localhost, 127.0.0.1 or [::1]; host in lower case; no user, fragment, wildcard or space"
        )
        .as_str(),
    )
}

/// An https URL, http on loopback, or a private-use scheme. Stands on the string.
pub fn redirect_uri(field: &str) -> Rule {
    Rule::new(format!("self.matches('{WEB}') || (self.matches('{PRIVATE_USE}') && !self.matches('{TAKEN}'))")).message(
        format!(
            "{field} must be https://host[:port][/path][?query], or http on localhost, 127.0.0.1 or [::1], or a private-use scheme:/path; host in lower case; no user, fragment, wildcard or space"
        )
        .as_str(),
    )
}

/// No `.` or `..` segment: two engines would resolve it differently. Stands on the string.
pub fn no_dot_segments(field: &str) -> Rule {
    Rule::new(format!("!self.matches('{DOTS}')"))
        .message(format!("{field} must not have . or .. as a path segment").as_str())
}

/// `list[].scopes` holds only names that `scopes` declares. Stands on the object that has both.
pub fn scopes_exist(list: &str, item: &str) -> Rule {
    let names = "[has(self.scopes) ? self.scopes.map(x, x.name) : []]";
    Rule::new(format!(
        "!has(self.{list}) || {names}.all(names, self.{list}.all(t, !has(t.scopes) || t.scopes.all(s, s in names)))"
    ))
    .message(Message::Expression(format!(
        "'{item} %s names a scope that spec.scopes lacks'.format({names}.map(names, self.{list}.filter(t, has(t.scopes) && !t.scopes.all(s, s in names))[0].name))"
    )))
    .field_path(format!(".{list}"))
}

/// Keys that belong to Kubernetes, to us or to Argo CD, whose tracking would prune the Secret.
pub fn no_reserved_keys(field: &str) -> Rule {
    Rule::new("self.all(k, !k.matches('(^|[.])(kubernetes[.]io|holdfast[.]dev|argocd[.]argoproj[.]io)/'))").message(
        format!("{field} must not set keys under kubernetes.io/, holdfast.dev/ or argocd.argoproj.io/").as_str(),
    )
}
