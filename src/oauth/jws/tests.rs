use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::json;

use super::*;

const ANY: Expect<'_> = Expect { types: &["jwt"], untyped: true, algorithms: &Algorithm::ALL };

fn vectors(file: &str) -> Value {
    let path = format!("{}/tests/vectors/jose/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The keys of a group: one JWK or a set; a group without a public key is symmetric.
fn keys(group: &Value) -> Result<KeySet, BadKey> {
    let key = group.get("public").or_else(|| group.get("private")).unwrap().as_object().unwrap();
    if key.contains_key("keys") { KeySet::parse(key) } else { Key::parse(key).map(|key| [key].into_iter().collect()) }
}

fn accepts(token: &str, keys: &Result<KeySet, BadKey>) -> bool {
    keys.as_ref().is_ok_and(|keys| Parts::read(token).and_then(|parts| parts.signed_by_one_of(keys)).is_ok())
}

fn is_accepted(token: &str) -> bool {
    let header = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    header["alg"].as_str().and_then(Algorithm::parse).is_some()
}

/// D-05, R-48: what is valid in an algorithm of ours is accepted, and nothing else is.
#[rstest]
#[case("json_web_signature_test.json", 401, 16)]
#[case("json_web_encryption_test.json", 139, 0)]
#[case("json_web_key_test.json", 26, 1)]
#[case("json_web_crypto_test.json", 83, 2)]
fn the_vectors_are_classified_as_their_files_say(
    #[case] file: &str,
    #[case] expected: usize,
    #[case] expected_valid: usize,
) {
    let (mut seen, mut valid) = (0, 0);
    for group in vectors(file)["testGroups"].as_array().unwrap() {
        let keys = keys(group);
        for test in group["tests"].as_array().unwrap() {
            let token = &test.get("jws").or_else(|| test.get("jwe")).unwrap();
            // some are JSON serialization, as an object or as text
            let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
            let meant = test["result"] == "valid" && is_accepted(&token);
            assert_eq!(accepts(&token, &keys), meant, "{file} {} {}", test["tcId"], test["comment"]);
            seen += 1;
            valid += usize::from(meant);
        }
    }
    assert_eq!((seen, valid), (expected, expected_valid));
}

fn text(value: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(value)
}

struct Signer {
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self { pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap() }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
    }

    fn keys(&self) -> KeySet {
        KeySet::parse(json!({"keys": [self.jwk()]}).as_object().unwrap()).unwrap()
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", text(header), text(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", text(signature))
    }
}

const HEADER: &str = r#"{"alg":"ES256"}"#;
const CLAIMS: &str = r#"{"iss":"i","exp":4000000000}"#;

/// D-04, R-47, R-50, R-51: each of these carries a good signature over what it says, and is refused for what it says.
#[rstest]
#[case::none(r#"{"alg":"none"}"#, Invalid::Algorithm)]
#[case::none_in_other_letters(r#"{"alg":"nOnE"}"#, Invalid::Algorithm)]
#[case::hmac(r#"{"alg":"HS256"}"#, Invalid::Algorithm)]
#[case::other_letters(r#"{"alg":"es256"}"#, Invalid::Algorithm)]
#[case::space(r#"{"alg":"ES256 "}"#, Invalid::Algorithm)]
#[case::list(r#"{"alg":["ES256"]}"#, Invalid::Algorithm)]
#[case::null(r#"{"alg":null}"#, Invalid::Algorithm)]
#[case::missing("{}", Invalid::Algorithm)]
#[case::es384(r#"{"alg":"ES384"}"#, Invalid::Algorithm)]
#[case::of_another_key(r#"{"alg":"RS256"}"#, Invalid::NoKey)]
#[case::pbes2(r#"{"alg":"PBES2-HS256+A128KW","p2c":2147483647}"#, Invalid::Algorithm)]
#[case::jwe(r#"{"alg":"ES256","enc":"A128GCM"}"#, Invalid::Header)]
#[case::zip(r#"{"alg":"ES256","zip":"DEF"}"#, Invalid::Header)]
#[case::crit(r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, Invalid::Header)]
#[case::crit_of_nothing(r#"{"alg":"ES256","crit":[]}"#, Invalid::Header)]
#[case::b64(r#"{"alg":"ES256","b64":false}"#, Invalid::Header)]
#[case::jku(r#"{"alg":"ES256","jku":"https://evil.example"}"#, Invalid::Header)]
#[case::x5u(r#"{"alg":"ES256","x5u":"https://evil.example"}"#, Invalid::Header)]
#[case::x5c(r#"{"alg":"ES256","x5c":["MIIB"]}"#, Invalid::Header)]
#[case::jwk(r#"{"alg":"ES256","jwk":{"kty":"EC"}}"#, Invalid::Header)]
#[case::kid_is_a_list(r#"{"alg":"ES256","kid":["a"]}"#, Invalid::Header)]
#[case::typ_is_a_number(r#"{"alg":"ES256","typ":1}"#, Invalid::Header)]
#[case::typ(r#"{"alg":"ES256","typ":"at+jwt"}"#, Invalid::Type)]
#[case::logout(r#"{"alg":"ES256","typ":"logout+jwt"}"#, Invalid::Type)]
#[case::alg_twice(r#"{"alg":"none","alg":"ES256"}"#, Invalid::Malformed)]
#[case::alg_twice_in_disguise(r#"{"alg":"ES256","\u0061lg":"ES256"}"#, Invalid::Malformed)]
#[case::not_an_object(r#"["ES256"]"#, Invalid::Malformed)]
#[case::trailing(r#"{"alg":"ES256"}{}"#, Invalid::Malformed)]
fn a_header_that_asks_for_more_is_refused(#[case] header: &str, #[case] reason: Invalid) {
    let signer = Signer::new();
    let token = signer.sign(header, CLAIMS);
    assert_eq!(verify(&token, &signer.keys(), &ANY).unwrap_err(), reason);
}

/// D-04, R-49: a claim of the wrong type is never the same as an absent one.
#[rstest]
#[case(r#"{"exp":"9999999999"}"#, Invalid::Claim("exp"))]
#[case(r#"{"exp":4000000000.5}"#, Invalid::Claim("exp"))]
#[case(r#"{"exp":-1}"#, Invalid::Claim("exp"))]
#[case(r#"{"exp":[4000000000]}"#, Invalid::Claim("exp"))]
#[case(r#"{"exp":null}"#, Invalid::Claim("exp"))]
#[case(r#"{"exp":1e300}"#, Invalid::Claim("exp"))]
#[case(r#"{"exp":18446744073709551615}"#, Invalid::Claim("exp"))]
#[case(r#"{"exp":1e400}"#, Invalid::Malformed)]
#[case(r#"{"nbf":"0"}"#, Invalid::Claim("nbf"))]
#[case(r#"{"iat":{}}"#, Invalid::Claim("iat"))]
#[case(r#"{"iss":["i"]}"#, Invalid::Claim("iss"))]
#[case(r#"{"sub":1}"#, Invalid::Claim("sub"))]
#[case(r#"{"jti":1}"#, Invalid::Claim("jti"))]
#[case(r#"{"aud":[1]}"#, Invalid::Claim("aud"))]
#[case(r#"{"aud":{"a":"b"}}"#, Invalid::Claim("aud"))]
#[case(r#"{"sub":"a","sub":"b"}"#, Invalid::Malformed)]
#[case(r#"{"x":{"y":1,"y":2}}"#, Invalid::Malformed)]
#[case("foo", Invalid::Malformed)]
#[case("", Invalid::Malformed)]
fn claims_have_their_types(#[case] claims: &str, #[case] reason: Invalid) {
    let signer = Signer::new();
    assert_eq!(verify(&signer.sign(HEADER, claims), &signer.keys(), &ANY).unwrap_err(), reason);
}

#[test]
fn claims_are_read_and_their_times_compared() {
    let signer = Signer::new();
    let claims = r#"{"iss":"i","sub":"s","aud":"a","exp":200,"nbf":100,"iat":100,"jti":"j","htm":"POST"}"#;
    let claims = verify(&signer.sign(HEADER, claims), &signer.keys(), &ANY).unwrap();
    assert_eq!(
        (claims.iss.as_deref(), claims.sub.as_deref(), claims.jti.as_deref()),
        (Some("i"), Some("s"), Some("j"))
    );
    assert_eq!((claims.aud.as_slice(), claims.text("htm")), (&["a".to_owned()][..], Ok(Some("POST"))));
    let at = |second| claims.in_time(Timestamp::from_second(second).unwrap(), SignedDuration::from_secs(10));
    assert_eq!((at(89), at(90), at(209)), (Err(Invalid::Claim("nbf")), Ok(()), Ok(())));
    assert_eq!(at(210), Err(Invalid::Claim("exp")));
}

/// D-04: another form, another signature, another key.
#[test]
fn nothing_but_the_signed_text_is_accepted() {
    let signer = Signer::new();
    // one that is another text in standard base64
    let token =
        std::iter::repeat_with(|| signer.sign(HEADER, CLAIMS)).find(|token| token.contains(['-', '_'])).unwrap();
    assert!(verify(&token, &signer.keys(), &ANY).is_ok());
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!() };
    let flat = json!({"protected": header, "payload": payload, "signature": signature}).to_string();
    let mac = |key: &[u8]| {
        let message = format!("{}.{payload}", text(r#"{"alg":"HS256"}"#));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
        format!("{message}.{}", text(tag))
    };
    let point = signer.pair.public_key().as_ref();
    let loose = |part: &str| {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let (rest, last) = part.split_at(part.len() - 1);
        let at = alphabet.find(last).unwrap();
        format!("{rest}{}", &alphabet[at + 1..=at + 1])
    };
    let forged = [
        String::new(),
        ".".into(),
        "..".into(),
        "....".into(),
        header.into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{token}."),
        format!("{token}.AAAA.AAAA"),
        format!("{token}="),
        format!("{token} "),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}A"),
        token[..token.len() - 1].to_owned(),
        token.replace('-', "+").replace('_', "/"),
        format!("{header}.{payload}.{}", loose(signature)),
        format!("{header}.{payload}.{}", text([0; 64])),
        format!("{header}.{payload}.{}", text([255; 64])),
        format!("{header}.{}.{signature}", text(r#"{"iss":"j"}"#)),
        format!("{}.{payload}.{signature}", text(r#"{"alg":"ES256","kid":"x"}"#)),
        flat,
        mac(point),
        mac(signer.jwk().to_string().as_bytes()),
        mac(b""),
        format!("{}.{}.{}", header, text("A".repeat(MAX)), signature),
    ];
    for forged in forged {
        assert!(verify(&forged, &signer.keys(), &ANY).is_err(), "{forged}");
    }
    assert_eq!(verify(&token, &Signer::new().keys(), &ANY), Err(Invalid::Signature));
    assert_eq!(verify(&token, &KeySet::default(), &ANY), Err(Invalid::NoKey));
    assert_eq!(verify(&token, &signer.keys(), &Expect { untyped: false, ..ANY }), Err(Invalid::Type));
    let other = Expect { algorithms: &[Algorithm::PS256], ..ANY };
    assert_eq!(verify(&token, &signer.keys(), &other), Err(Invalid::Algorithm));
}

/// P-02: the key of the header proves possession, if it is public, sound and fits.
#[test]
fn an_embedded_key_verifies_where_it_is_asked_for() {
    let signer = Signer::new();
    let sign = |jwk: Value| signer.sign(&json!({"alg": "ES256", "typ": "JWT", "jwk": jwk}).to_string(), CLAIMS);
    let (key, claims) = verify_embedded(&sign(signer.jwk()), &ANY).unwrap();
    assert_eq!((key.thumbprint.len(), claims.iss.as_deref()), (43, Some("i")));
    let with = |name: &str, value: Value| {
        let mut jwk = signer.jwk();
        jwk[name] = value;
        verify_embedded(&sign(jwk), &ANY).unwrap_err()
    };
    assert_eq!(with("d", json!("AAAA")), Invalid::Key(BadKey::Private));
    assert_eq!(with("k", json!("AAAA")), Invalid::Key(BadKey::Private));
    assert_eq!(with("use", json!("enc")), Invalid::Key(BadKey::Unsupported));
    assert_eq!(with("alg", json!("ES384")), Invalid::Key(BadKey::Unsupported));
    assert_eq!(with("kty", json!("oct")), Invalid::Key(BadKey::Unsupported));
    assert_eq!(with("x", json!(text([0; 33]))), Invalid::Key(BadKey::Malformed));
    assert_eq!(with("x", Signer::new().jwk()["x"].clone()), Invalid::Signature);
    assert_eq!(
        verify_embedded(&signer.sign(r#"{"alg":"ES256","typ":"JWT","kid":"a"}"#, CLAIMS), &ANY),
        Err(Invalid::NoKey)
    );
}

/// RFC 7638 §3.1, RFC 8037 appendix A.3.
#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3\
        oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu\
        6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa\
        pJzKnqDKgw";
    let rsa = json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
    let key = Key::parse(rsa.as_object().unwrap()).unwrap();
    assert_eq!(key.thumbprint, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let okp = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let key = Key::parse(okp.as_object().unwrap()).unwrap();
    assert_eq!(key.thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

/// CI-11, H-05, K-07: a set with a private key is refused whole; keys for other things are left out.
#[test]
fn a_set_is_as_good_as_its_keys() {
    let jwk = |kid: &str| {
        let mut jwk = Signer::new().jwk();
        jwk["kid"] = kid.into();
        jwk
    };
    let parse = |keys: Value| KeySet::parse(json!({"keys": keys}).as_object().unwrap());
    let mut private = jwk("a");
    private["d"] = "AAAA".into();
    let mut encrypting = jwk("a");
    encrypting["use"] = "enc".into();
    assert_eq!(parse(json!([jwk("a"), private])), Err(BadKey::Private));
    assert_eq!(parse(json!([jwk("a"), {"kty": "oct", "k": "AAAA"}])), Err(BadKey::Private));
    assert_eq!(parse(json!([jwk("a"), jwk("a")])), Err(BadKey::Ambiguous));
    assert_eq!(parse(json!({})), Err(BadKey::NotASet));
    assert!(parse(json!([encrypting, {"kty": "new"}])).unwrap().is_empty());
    assert!(parse(json!([jwk("a"), jwk("b")])).is_ok());
    let (one, two) = (Signer::new(), Signer::new());
    let mut named = [one.jwk(), two.jwk()];
    named[0]["kid"] = "one".into();
    named[1]["kid"] = "two".into();
    let keys = parse(json!(named)).unwrap();
    let said = |kid: &str| verify(&two.sign(&json!({"alg": "ES256", "kid": kid}).to_string(), CLAIMS), &keys, &ANY);
    assert!(said("two").is_ok());
    assert_eq!((said("one"), said("three")), (Err(Invalid::Signature), Err(Invalid::NoKey)));
}
