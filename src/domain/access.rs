//! Roles: what a user may do at a resource server, whatever a client asks for.

use std::collections::BTreeSet;

use serde_json::Value;

use super::resource_server::ResourceServer;

/// The roles that the policy binds to this user by name (`roleBindings`, kind `User`).
fn bound<'a>(resource_server: &'a ResourceServer, user_id: &'a str) -> impl Iterator<Item = &'a str> {
    let names = move |subject: &Value| subject["kind"] == "User" && subject["name"] == user_id;
    let binds =
        move |subjects: Option<&Value>| subjects.and_then(Value::as_array).is_some_and(|all| all.iter().any(names));
    let bindings = resource_server.role_bindings.iter().filter(move |binding| binds(binding.members.get("subjects")));
    bindings.filter_map(|binding| binding.members.get("role").and_then(Value::as_str))
}

/// The scopes of all roles of a user: those `assigned` to them and those that the policy binds. A role that is not in
/// the policy gives nothing.
pub fn scopes(resource_server: &ResourceServer, user_id: &str, assigned: &[String]) -> BTreeSet<String> {
    let has: BTreeSet<&str> = assigned.iter().map(String::as_str).chain(bound(resource_server, user_id)).collect();
    let roles = resource_server.roles.iter().filter(|role| has.contains(role.name.as_str()));
    roles.flat_map(|role| role.scopes.iter().cloned()).collect()
}

/// The role that this user gets at their first authorization: the default one, for whoever has none.
pub fn first_role<'a>(resource_server: &'a ResourceServer, user_id: &str, assigned: &[String]) -> Option<&'a str> {
    let default = resource_server.default_role.as_deref()?;
    let there_is = resource_server.roles.iter().any(|role| role.name == default);
    (there_is && assigned.is_empty() && bound(resource_server, user_id).next().is_none()).then_some(default)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::spec::Spec;
    use super::super::spec::tests::resource_server;
    use super::*;

    fn with_roles() -> ResourceServer {
        let Spec::ResourceServer(mut server) = resource_server() else { unreachable!() };
        let parse = |value: Value| serde_json::from_value(value).unwrap();
        server.roles = serde_json::from_value(json!([
            {"name": "reader", "scopes": ["read"]}, {"name": "writer", "scopes": ["read", "write"]}
        ]))
        .unwrap();
        server.role_bindings = vec![
            parse(json!({"name": "finance", "role": "writer", "subjects": [{"kind": "User", "name": "usr_ada"}]})),
            parse(json!({"name": "group", "role": "writer", "subjects": [{"kind": "Group", "name": "usr_bob"}]})),
            parse(json!({"name": "gone", "role": "owner", "subjects": [{"kind": "User", "name": "usr_eve"}]})),
        ];
        server.default_role = Some("reader".to_owned());
        server
    }

    #[rstest::rstest]
    #[case::bound("usr_ada", &[], &["read", "write"])]
    #[case::a_group_is_no_user("usr_bob", &[], &[])]
    #[case::assigned("usr_bob", &["reader"], &["read"])]
    #[case::both("usr_ada", &["reader"], &["read", "write"])]
    #[case::unknown_role("usr_bob", &["owner"], &[])]
    #[case::bound_to_what_is_gone("usr_eve", &[], &[])]
    fn roles_give_scopes(#[case] user: &str, #[case] assigned: &[&str], #[case] expected: &[&str]) {
        let assigned: Vec<String> = assigned.iter().map(|role| (*role).to_owned()).collect();
        let scopes = scopes(&with_roles(), user, &assigned);
        assert_eq!(scopes.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[rstest::rstest]
    #[case::new("usr_bob", &[], Some("reader"))]
    #[case::bound("usr_ada", &[], None)]
    #[case::assigned("usr_bob", &["writer"], None)]
    fn only_who_has_no_role_gets_the_default(
        #[case] user: &str,
        #[case] assigned: &[&str],
        #[case] expected: Option<&str>,
    ) {
        let assigned: Vec<String> = assigned.iter().map(|role| (*role).to_owned()).collect();
        let mut server = with_roles();
        assert_eq!(first_role(&server, user, &assigned), expected);
        server.default_role = Some("owner".to_owned());
        assert_eq!(first_role(&server, user, &assigned), None, "a role that is gone is nobody's");
        server.default_role = None;
        assert_eq!(first_role(&server, user, &assigned), None);
    }
}
