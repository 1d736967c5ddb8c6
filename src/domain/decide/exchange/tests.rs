use std::collections::BTreeMap;

use rstest::rstest;

use super::*;
use crate::domain::client::ClientState;
use crate::domain::resource_server::Lifecycle;
use crate::domain::spec::{Spec, tests as samples};

const FRONT: &str = "https://front.example.com/mcp";
const BACK: &str = "https://back.example.com/mcp";

/// A gateway, the resource that it acts as (`rs_front`) and one behind it (`rs_back`) that lets it in.
struct World {
    gateway: ClientEntry,
    servers: BTreeMap<String, Arc<ResourceServerEntry>>,
}

impl Policy for World {
    fn client(&self, _: &str) -> Option<&Arc<ClientEntry>> {
        None
    }
    fn resource_server(&self, id: &str) -> Option<&Arc<ResourceServerEntry>> {
        self.servers.get(id)
    }
    fn resource_server_by_uri(&self, uri: &str) -> Option<&Arc<ResourceServerEntry>> {
        self.servers.values().find(|entry| entry.resource_server.resource_uri == uri)
    }
    fn resource_servers(&self) -> impl Iterator<Item = &Arc<ResourceServerEntry>> {
        self.servers.values()
    }
}

fn server(id: &str, uri: &str) -> ResourceServerEntry {
    let Spec::ResourceServer(mut resource_server) = samples::resource_server() else { unreachable!() };
    resource_server.resource_uri = uri.to_owned();
    ResourceServerEntry { id: id.to_owned(), resource_server, credentials: vec![], revision: 1, owner: None }
}

fn world(change: impl FnOnce(&mut ClientEntry, &mut ResourceServerEntry, &mut ResourceServerEntry)) -> World {
    let Spec::Client(mut client) = samples::client() else { unreachable!() };
    client.grant_types = vec![GrantType::TokenExchange];
    client.resources[0].resource_server_id = "rs_back".to_owned();
    client.resources[0].scopes = vec!["invoices.read".to_owned(), "invoices.write".to_owned()];
    let mut gateway = ClientEntry { id: "gateway".to_owned(), client, credentials: vec![], revision: 1, owner: None };
    let (mut front, mut back) = (server("rs_front", FRONT), server("rs_back", BACK));
    front.resource_server.runtime_clients.insert("gateway".to_owned());
    back.resource_server.exchange = json!({"mode": "Listed", "clients": ["gateway"]});
    change(&mut gateway, &mut front, &mut back);
    let servers = [front, back].map(|entry| (entry.id.clone(), Arc::new(entry)));
    World { gateway, servers: servers.into() }
}

const USERS: Held<'_> = Held {
    client_id: "portal",
    resource_server_id: "rs_front",
    subject: "usr_ada",
    scope: "invoices.read other",
    jkt: None,
    act: None,
    depth: 0,
};
const OWN: Held<'_> =
    Held { client_id: "gateway", subject: "gateway", scope: "x", resource_server_id: "rs_back", ..USERS };
const ASK: ExchangeAsk<'_> =
    ExchangeAsk { resources: &[], audiences: &[], scope: None, subject: USERS, actor: None, jkt: None };
const RULES: ExchangeRules<'_> = ExchangeRules { issuer: "https://auth.example.com", max_depth: 4 };

fn of(world: &World, ask: &ExchangeAsk<'_>) -> Result<Exchange, Refusal> {
    exchange(&world.gateway, ask, None, RULES, world)
}

type Change = fn(&mut ClientEntry, &mut ResourceServerEntry, &mut ResourceServerEntry);

/// M8-01, M8-02, M8-03, M8-04: what is not allowed by name is refused.
#[test]
fn only_what_policy_names_is_exchanged() {
    let table: [(&str, Change, Result<&str, Refusal>); 16] = [
        ("as it is", |_, _, _| {}, Ok("invoices.read")),
        (
            "nobody is listed",
            |_, _, b| b.resource_server.exchange = json!({"mode": "Listed", "clients": []}),
            Err(Refusal::ExchangeNotAllowed),
        ),
        ("nothing is said", |_, _, b| b.resource_server.exchange = json!({}), Err(Refusal::ExchangeNotAllowed)),
        (
            "another is listed",
            |_, _, b| b.resource_server.exchange = json!({"mode": "Listed", "clients": ["gateways"]}),
            Err(Refusal::ExchangeNotAllowed),
        ),
        (
            "any may not impersonate",
            |_, _, b| b.resource_server.exchange = json!({"mode": "Any"}),
            Err(Refusal::ExchangeNotAllowed),
        ),
        (
            "unknown mode",
            |_, _, b| b.resource_server.exchange = json!({"mode": "Some", "clients": ["gateway"]}),
            Err(Refusal::ExchangeNotAllowed),
        ),
        (
            "does not act as the audience",
            |_, f, _| f.resource_server.runtime_clients.clear(),
            Err(Refusal::SubjectNotCallers),
        ),
        (
            "other grant",
            |c, _, _| c.client.grant_types = vec![GrantType::ClientCredentials],
            Err(Refusal::GrantNotAllowed),
        ),
        (
            "public",
            |c, _, _| c.client.authentication_method = AuthenticationMethod::None,
            Err(Refusal::GrantNotAllowed),
        ),
        ("registered", |c, _, _| c.id = "dcr_1".to_owned(), Err(Refusal::GrantNotAllowed)),
        ("suspended", |c, _, _| c.client.state = ClientState::Suspended, Err(Refusal::Suspended)),
        ("draft", |_, _, b| b.resource_server.lifecycle = Lifecycle::Draft, Err(Refusal::InvalidTarget)),
        ("not attached", |c, _, _| c.client.resources.clear(), Err(Refusal::TargetRequired)),
        (
            "attached to nothing of it",
            |c, _, _| c.client.resources[0].scopes = vec!["invoices.write".to_owned()],
            Err(Refusal::InvalidScope),
        ),
        ("gone from the catalogue", |_, _, b| b.resource_server.scopes.clear(), Err(Refusal::InvalidScope)),
        (
            "bound tokens only",
            |_, _, b| b.resource_server.access_token.sender_constraint = "DPoPRequired".to_owned(),
            Err(Refusal::SenderConstraintRequired),
        ),
    ];
    for (name, change, expected) in table {
        let answer = of(&world(change), &ASK).map(|exchange| exchange.grant.scope());
        assert_eq!(answer, expected.map(str::to_owned), "{name}");
    }
}

/// M8-03, M8-09, M8-10
#[rstest]
#[case::by_uri(&[BACK], &[], None, Ok("invoices.read"))]
#[case::by_audience(&[], &[BACK], None, Ok("invoices.read"))]
#[case::by_id(&[], &["rs_back"], None, Ok("invoices.read"))]
#[case::the_same_thrice(&[BACK, BACK], &["rs_back"], None, Ok("invoices.read"))]
#[case::contradiction(&[BACK], &["rs_front"], None, Err(Refusal::InvalidTarget))]
#[case::two(&[BACK, FRONT], &[], None, Err(Refusal::InvalidTarget))]
#[case::unknown(&["https://other.example.com"], &[], None, Err(Refusal::InvalidTarget))]
#[case::one_of_two_is_unknown(&[BACK], &["rs_gone"], None, Err(Refusal::InvalidTarget))]
#[case::not_let_in(&[FRONT], &[], None, Err(Refusal::ExchangeNotAllowed))]
#[case::less(&[], &[], Some("invoices.read"), Ok("invoices.read"))]
#[case::no_more_than_the_subject_has(&[], &[], Some("invoices.write"), Err(Refusal::InvalidScope))]
#[case::partly(&[], &[], Some("invoices.read invoices.write"), Ok("invoices.read"))]
fn the_target_is_one_and_the_scope_never_wider(
    #[case] resources: &[&str],
    #[case] audiences: &[&str],
    #[case] scope: Option<&str>,
    #[case] expected: Result<&str, Refusal>,
) {
    let owned = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let (resources, audiences) = (owned(resources), owned(audiences));
    let ask = ExchangeAsk { resources: &resources, audiences: &audiences, scope, ..ASK };
    let answer = of(&world(|_, _, _| {}), &ask).map(|exchange| exchange.grant.scope());
    assert_eq!(answer, expected.map(str::to_owned));
}

/// IV-5: a scope of the same name elsewhere gives no right that the user's roles do not.
#[test]
fn a_user_gets_no_more_than_their_roles() {
    let world = world(|_, _, _| {});
    let with = |scopes: &[&str]| {
        let allowed = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        exchange(&world.gateway, &ASK, Some(&allowed), RULES, &world).map(|exchange| exchange.grant.scope())
    };
    assert_eq!(with(&["invoices.read", "invoices.write"]).as_deref(), Ok("invoices.read"));
    assert_eq!(with(&["invoices.write"]), Err(Refusal::InvalidScope));
    assert_eq!(with(&[]), Err(Refusal::InvalidScope));
}

/// M8-06, R-27: an actor's token is the caller's own or no link at all.
#[rstest]
#[case::own(OWN, Ok(ExchangeKind::Delegation))]
#[case::of_another_client(Held { client_id: "portal", subject: "portal", ..OWN }, Err(Refusal::ActorNotCaller))]
#[case::a_user_of_the_caller(Held { subject: "usr_eve", ..OWN }, Err(Refusal::ActorNotCaller))]
#[case::the_subject_itself(USERS, Err(Refusal::ActorNotCaller))]
#[case::exchanged(Held { depth: 1, ..OWN }, Err(Refusal::ActorNotCaller))]
fn an_actor_is_the_caller(#[case] actor: Held<'_>, #[case] expected: Result<ExchangeKind, Refusal>) {
    let answer = of(&world(|_, _, _| {}), &ExchangeAsk { actor: Some(actor), ..ASK });
    assert_eq!(answer.map(|exchange| exchange.kind), expected);
}

/// M8-04, M8-07: who acts now is outermost, and those before are copied as they were, also when nobody new is named.
#[test]
fn the_chain_of_actors_grows_outwards_and_is_never_cut() {
    let before = json!({"iss": "https://auth.example.com", "sub": "first", "act": {"sub": "zeroth"}});
    let subject = Held { act: Some(&before), depth: 1, ..USERS };
    let agent = world(|c, _, _| c.client.agent = json!({"maxDelegationDepth": 3}));
    let delegated = of(&agent, &ExchangeAsk { subject, actor: Some(OWN), ..ASK }).unwrap();
    let expected = json!({
        "iss": RULES.issuer, "sub": "gateway", "client_id": "gateway", "sub_profile": "ai_agent", "act": before
    });
    assert_eq!((delegated.act, delegated.depth), (Some(expected), 2));
    let silent = of(&agent, &ExchangeAsk { subject, ..ASK }).unwrap();
    assert_eq!((silent.act, silent.depth, silent.kind), (Some(before), 2, ExchangeKind::Impersonation));
    let any = world(|_, _, b| b.resource_server.exchange = json!({"mode": "Any"}));
    assert!(of(&any, &ExchangeAsk { actor: Some(OWN), ..ASK }).is_ok(), "whoever is named may come");
}

/// M8-05
#[rstest]
#[case::first(0, None, 4, true)]
#[case::last(3, None, 4, true)]
#[case::too_deep(4, None, 4, false)]
#[case::the_agent_says_less(1, Some(1), 4, false)]
#[case::the_agent_says_nothing(0, Some(0), 4, false)]
#[case::the_agent_says_more(4, Some(16), 4, false)]
fn a_chain_has_an_end(#[case] depth: i64, #[case] own: Option<i64>, #[case] max_depth: i64, #[case] allowed: bool) {
    let world = world(|c, _, _| c.client.agent = own.map_or(Value::Null, |own| json!({"maxDelegationDepth": own})));
    let ask = ExchangeAsk { subject: Held { depth, ..USERS }, ..ASK };
    let answer = exchange(&world.gateway, &ask, None, ExchangeRules { max_depth, ..RULES }, &world);
    assert_eq!(answer.map(|exchange| exchange.depth).ok(), allowed.then_some(depth + 1));
}

#[test]
fn a_chain_has_a_size() {
    let long = json!({"sub": "x".repeat(MAX_ACT)});
    let ask = ExchangeAsk { subject: Held { act: Some(&long), ..USERS }, ..ASK };
    assert_eq!(of(&world(|_, _, _| {}), &ask), Err(Refusal::TooDeep));
}

/// M8-03: no bound token is ever made free.
#[rstest]
#[case::free(None, None, None, Ok(false))]
#[case::free_and_proved(None, None, Some("g"), Ok(false))]
#[case::bound_to_the_users_client(Some("u"), None, None, Err(Refusal::SenderConstraintRequired))]
#[case::bound_anew(Some("u"), None, Some("g"), Ok(true))]
#[case::bound_actor(None, Some("g"), None, Err(Refusal::SenderConstraintRequired))]
#[case::bound_actor_proved(None, Some("g"), Some("g"), Ok(true))]
#[case::another_key_than_the_actors(None, Some("g"), Some("x"), Err(Refusal::KeyMismatch))]
fn a_bound_token_stays_bound(
    #[case] subject: Option<&str>,
    #[case] actor: Option<&str>,
    #[case] proved: Option<&str>,
    #[case] expected: Result<bool, Refusal>,
) {
    let subject = Held { jkt: subject, ..USERS };
    let actor = actor.map(|jkt| Held { jkt: Some(jkt), ..OWN });
    let answer = of(&world(|_, _, _| {}), &ExchangeAsk { subject, actor, jkt: proved, ..ASK });
    assert_eq!(answer.map(|exchange| exchange.bound), expected);
}

/// M8-03: a token of the caller's own stays with its key.
#[test]
fn an_own_bound_token_is_exchanged_with_its_own_key() {
    let subject = Held { client_id: "gateway", jkt: Some("g"), ..USERS };
    let with = |jkt| of(&world(|_, _, _| {}), &ExchangeAsk { subject, jkt: Some(jkt), ..ASK });
    assert_eq!(with("x"), Err(Refusal::KeyMismatch));
    assert!(with("g").unwrap().bound);
}
