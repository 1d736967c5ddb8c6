use super::*;
use crate::domain::Kind;

const PROVIDER: &str = include_str!("../../../config/samples/provider.yaml");
const CLIENT: &str = include_str!("../../../config/samples/oauthclient.yaml");

fn files(list: &[(&str, &str)]) -> Files {
    list.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect()
}

fn portal() -> OwnerKey {
    OwnerKey::new(Kind::OAuthClient, "default", "portal")
}

#[test]
fn a_file_that_cannot_be_parsed_keeps_its_last_good_objects() {
    let mut world = World::default();
    assert_eq!(world.take(&files(&[("c.yaml", CLIENT)])), Change { faults: vec![], any: true });
    let change = world.take(&files(&[("c.yaml", "kind: [")]));
    assert!(change.any && change.faults.len() == 1 && change.faults[0].starts_with("c.yaml: line 1: "), "{change:?}");
    assert!(world.objects.contains_key(&portal()) && world.unclear && !world.is_empty());
    assert_eq!(world.take(&files(&[("c.yaml", "kind: [")])), Change::default(), "it is said once");
    world.take(&files(&[("c.yaml", CLIENT)]));
    assert!(!world.unclear);
}

#[test]
fn an_object_that_is_wrong_keeps_its_last_good_form_and_is_named() {
    let mut world = World::default();
    world.take(&files(&[("c.yaml", CLIENT)]));
    let change = world.take(&files(&[("c.yaml", &CLIENT.replace("ClientSecretBasic", "Magic"))]));
    assert!(change.faults[0].contains("OAuthClient/default/portal: spec.authentication.method"), "{change:?}");
    assert!(world.objects.contains_key(&portal()) && world.invalid.contains_key(&portal()) && !world.unclear);
    let mut fresh = World::default();
    fresh.take(&files(&[("c.yaml", &CLIENT.replace("ClientSecretBasic", "Magic"))]));
    assert!(!fresh.objects.contains_key(&portal()) && fresh.invalid.contains_key(&portal()) && !fresh.is_empty());
}

#[test]
fn a_file_that_is_gone_takes_its_objects_along() {
    let mut world = World::default();
    world.take(&files(&[("c.yaml", CLIENT), ("p.yaml", PROVIDER)]));
    assert_eq!((world.objects.len(), world.secrets.len()), (2, 1));
    world.take(&files(&[("c.yaml", CLIENT)]));
    assert_eq!((world.objects.len(), world.secrets.len()), (1, 0));
}

#[test]
fn of_two_that_are_the_same_the_first_file_counts() {
    let mut world = World::default();
    let change = world.take(&files(&[("a.yaml", CLIENT), ("b.yaml", &CLIENT.replace("Customer", "Other"))]));
    assert_eq!(change.faults.len(), 1);
    let Some(Object::OAuthClient(client)) = world.objects.get(&portal()) else { panic!("no client") };
    assert_eq!(client.spec.display_name.as_deref(), Some("Customer portal"));
}

#[test]
fn who_refers_is_found() {
    let mut world = World::default();
    world.take(&files(&[("c.yaml", CLIENT)]));
    let server = OwnerKey::new(Kind::ResourceServer, "default", "billing-mcp");
    assert_eq!(world.referrers(&server).collect::<Vec<_>>(), [&portal()]);
}
