use rstest::rstest;

use super::*;

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn parameters(text: &str) -> Parameters {
    let pairs = url::form_urlencoded::parse(text.as_bytes());
    Parameters::new(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
}

/// A good request with `more` behind it.
fn with(more: &str) -> Result<Request, Refusal> {
    request(&parameters(&format!("response_type=code&code_challenge={CHALLENGE}&code_challenge_method=S256{more}")))
}

#[test]
fn what_is_asked_is_read() {
    let more = "&scope=b+offline_access++a&resource=https://h/mcp&prompt=login+consent+surprise&max_age=30&state=&x=y";
    let read = with(more).unwrap();
    assert_eq!(
        read,
        Request {
            code_challenge: CHALLENGE.to_owned(),
            scope: Some("b a".to_owned()),
            resources: vec!["https://h/mcp".to_owned()],
            prompt: Prompt { none: false, login: true, consent: true },
            max_age: Some(30),
            dpop_jkt: None,
        }
    );
    let bare = with("&scope=&prompt=&resource=&max_age=").unwrap();
    assert_eq!((bare.scope, bare.prompt, bare.max_age), (None, Prompt::default(), None));
    assert_eq!(bare.resources, Vec::<String>::new());
    assert_eq!(with("&scope=offline_access").unwrap().scope, None, "M-16");
    assert_eq!(with("&resource=https://h&resource=https://h").unwrap().resources.len(), 1);
    assert_eq!(with(&format!("&dpop_jkt={CHALLENGE}")).unwrap().dpop_jkt.as_deref(), Some(CHALLENGE));
    assert!(with(&format!("&state={}", "s".repeat(8192))).is_ok());
}

/// N-11
#[rstest]
#[case::no_response_type("code_challenge=x", "invalid_request")]
#[case::token("response_type=token", "unsupported_response_type")]
#[case::id_token("response_type=id_token", "unsupported_response_type")]
#[case::hybrid("response_type=code+id_token", "unsupported_response_type")]
#[case::none("response_type=none", "unsupported_response_type")]
#[case::capital("response_type=Code", "unsupported_response_type")]
#[case::no_challenge("response_type=code", "invalid_request")]
#[case::empty_challenge("response_type=code&code_challenge=&code_challenge_method=S256", "invalid_request")]
#[case::no_method(&format!("response_type=code&code_challenge={CHALLENGE}"), "invalid_request")]
#[case::plain(&format!("response_type=code&code_challenge={CHALLENGE}&code_challenge_method=plain"), "invalid_request")]
#[case::small(&format!("response_type=code&code_challenge={CHALLENGE}&code_challenge_method=s256"), "invalid_request")]
#[case::s512(&format!("response_type=code&code_challenge={CHALLENGE}&code_challenge_method=S512"), "invalid_request")]
#[case::short(&format!("response_type=code&code_challenge={}&code_challenge_method=S256", &CHALLENGE[1..]), "invalid_request")]
#[case::long(&format!("response_type=code&code_challenge={CHALLENGE}A&code_challenge_method=S256"), "invalid_request")]
#[case::padded(&format!("response_type=code&code_challenge={}=&code_challenge_method=S256", &CHALLENGE[1..]), "invalid_request")]
#[case::charset(&format!("response_type=code&code_challenge={}%2B&code_challenge_method=S256", &CHALLENGE[1..]), "invalid_request")]
#[case::request("response_type=code&request=eyJ.e30.", "request_not_supported")]
#[case::request_and_uri("response_type=code&request=x&request_uri=urn:x", "invalid_request")]
fn what_is_not_asked_well_is_refused(#[case] text: &str, #[case] code: &str) {
    assert_eq!(request(&parameters(text)).unwrap_err().code(), code);
}

/// M-15, P-11
#[rstest]
#[case::twice("&scope=a&scope=b", "invalid_request")]
#[case::twice_unknown("&x=1&x=2", "invalid_request")]
#[case::twice_once_empty("&state=&state=a", "invalid_request")]
#[case::state(&format!("&state={}", "s".repeat(8193)), "invalid_request")]
#[case::form_post("&response_mode=form_post", "invalid_request")]
#[case::fragment_mode("&response_mode=fragment", "invalid_request")]
#[case::quote("&scope=a%22b", "invalid_scope")]
#[case::backslash("&scope=a%5Cb", "invalid_scope")]
#[case::tab("&scope=a%09b", "invalid_scope")]
#[case::unicode("&scope=%C3%A4", "invalid_scope")]
#[case::long_scope(&format!("&scope={}", "s".repeat(4097)), "invalid_scope")]
#[case::two_resources("&resource=https://a&resource=https://b", "invalid_target")]
#[case::fragment("&resource=https://a/%23x", "invalid_target")]
#[case::relative("&resource=/mcp", "invalid_target")]
#[case::no_host("&resource=urn:x", "invalid_target")]
#[case::none_and_login("&prompt=none+login", "invalid_request")]
#[case::negative("&max_age=-1", "invalid_request")]
#[case::plus("&max_age=%2B1", "invalid_request")]
#[case::float("&max_age=1.5", "invalid_request")]
#[case::huge("&max_age=99999999999999999999", "invalid_request")]
#[case::thumbprint("&dpop_jkt=short", "invalid_request")]
fn a_value_that_is_none_is_refused(#[case] more: &str, #[case] code: &str) {
    assert_eq!(with(more).unwrap_err().code(), code);
}

///
#[rstest]
#[case::nobody("redirect_uri=https://a/cb", Err("invalid_request"))]
#[case::empty("client_id=&redirect_uri=https://a/cb", Err("invalid_request"))]
#[case::two_clients("client_id=a&client_id=a", Err("invalid_request"))]
#[case::two_redirects("client_id=a&redirect_uri=https://a&redirect_uri=https://a", Err("invalid_request"))]
#[case::no_redirect("client_id=a", Ok(("a", None)))]
#[case::both("client_id=a&redirect_uri=https://a/cb?x=%2520", Ok(("a", Some("https://a/cb?x=%20"))))]
fn an_address_is_whole_or_there_is_none(
    #[case] text: &str,
    #[case] expected: Result<(&str, Option<&str>), &'static str>,
) {
    let parameters = parameters(text);
    let read = address(&parameters).map(|a| (a.client_id, a.redirect_uri)).map_err(Refusal::code);
    assert_eq!(read, expected);
    let long =
        parameters.one("client_id").ok().flatten().map(|_| format!("client_id=a&redirect_uri={}", "x".repeat(2049)));
    if let Some(long) = long {
        let long = super::tests::parameters(&long);
        assert_eq!(address(&long), Err(Refusal::InvalidRedirect));
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + second).unwrap()
}

fn user(authenticated: i64) -> SignedIn {
    SignedIn { user_id: "usr_1".to_owned(), session_id: "s".to_owned(), authenticated_at: at(authenticated) }
}

/// the request began at 100, and now is 110.
#[rstest]
#[case::nobody("", None, Some(Step::SignIn))]
#[case::nobody_silent("&prompt=none", None, Some(Step::Refuse(Refusal::LoginRequired)))]
#[case::signed_in("", Some(0), None)]
#[case::silent("&prompt=none", Some(0), None)]
#[case::again("&prompt=login", Some(99), Some(Step::SignIn))]
#[case::again_and_done("&prompt=login", Some(100), None)]
#[case::choose("&prompt=select_account", Some(99), Some(Step::SignIn))]
#[case::young("&max_age=20", Some(90), None)]
#[case::old("&max_age=20", Some(89), Some(Step::SignIn))]
#[case::old_silent("&max_age=20&prompt=none", Some(89), Some(Step::Refuse(Refusal::LoginRequired)))]
#[case::zero("&max_age=0", Some(99), Some(Step::SignIn))]
#[case::zero_and_done("&max_age=0", Some(101), None)]
#[case::one("&max_age=1", Some(99), Some(Step::SignIn))]
fn who_must_sign_in_does(#[case] more: &str, #[case] authenticated: Option<i64>, #[case] expected: Option<Step>) {
    let request = with(more).unwrap();
    assert_eq!(request.sign_in(authenticated.map(user).as_ref(), at(100), at(110)), expected);
}

///
#[rstest]
#[case::given("", Consent::Given, Step::Issue)]
#[case::implicit("", Consent::Implicit, Step::Issue)]
#[case::missing("", Consent::Missing, Step::AskConsent)]
#[case::again("&prompt=consent", Consent::Given, Step::AskConsent)]
#[case::never_implicit("&prompt=consent", Consent::Implicit, Step::AskConsent)]
#[case::silent("&prompt=none", Consent::Given, Step::Issue)]
#[case::silent_missing("&prompt=none", Consent::Missing, Step::Refuse(Refusal::ConsentRequired))]
fn who_must_be_asked_is(#[case] more: &str, #[case] consent: Consent, #[case] expected: Step) {
    assert_eq!(with(more).unwrap().consent(consent), expected);
}
