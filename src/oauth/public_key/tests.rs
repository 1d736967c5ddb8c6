use rstest::rstest;

use super::*;

fn vectors(file: &str) -> Value {
    let path = format!("{}/tests/vectors/jose/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The token of a test; some are JSON serialization, as an object or as text.
fn token(test: &Value) -> String {
    let token = test.get("jws").or_else(|| test.get("jwe")).unwrap();
    token.as_str().map_or_else(|| token.to_string(), str::to_owned)
}

fn header(token: &str) -> &str {
    token.split_once('.').map_or("", |(header, _)| header)
}

/// The keys of a group, as if we had made them and put the header of its valid token before everything they sign.
fn own(group: &Value) -> Vec<PublicKey> {
    let key = group.get("public").or_else(|| group.get("private")).unwrap();
    let jwks = key["keys"].as_array().cloned().unwrap_or_else(|| vec![key.clone()]);
    let tests = group["tests"].as_array().unwrap();
    let valid = tests.iter().find(|test| test["result"] == "valid").unwrap_or(&tests[0]);
    let all = jwks.iter().flat_map(|jwk| SigningAlgorithm::ALL.map(|algorithm| PublicKey::parse(algorithm, jwk)));
    let mut keys: Vec<PublicKey> = all.flatten().collect();
    keys.iter_mut().for_each(|key| key.prefix = format!("{}.", header(&token(valid))));
    keys
}

fn is_ours(token: &str) -> bool {
    let header: Value = URL_SAFE_NO_PAD
        .decode(header(token))
        .map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap_or_default());
    SigningAlgorithm::ALL.iter().any(|algorithm| header["alg"] == algorithm.as_str())
}

/// D-05, R-48: the verifier of our own tokens, under the keys and headers of the vectors: what is valid in an algorithm
/// that we sign with is accepted, and nothing else is.
#[rstest]
#[case("json_web_signature_test.json", 401, 10)]
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
        let keys = own(group);
        for test in group["tests"].as_array().unwrap() {
            let token = token(test);
            let meant = test["result"] == "valid" && is_ours(&token);
            let accepted = keys.iter().any(|key| key.verify(&token).is_some());
            assert_eq!(accepted, meant, "{file} {} {}", test["tcId"], test["comment"]);
            seen += 1;
            valid += usize::from(meant);
        }
    }
    assert_eq!((seen, valid), (expected, expected_valid));
}

/// D-04, R-48: a key that is weak, private or for something else is none of ours, whatever store it comes from.
#[rstest]
#[case::for_encryption(json!({"use": "enc"}))]
#[case::for_another_algorithm(json!({"alg": "ES384"}))]
#[case::of_another_curve(json!({"crv": "P-384"}))]
#[case::of_another_type(json!({"kty": "RSA"}))]
#[case::private(json!({"d": "AAAA"}))]
#[case::short(json!({"x": "AAAA"}))]
fn a_key_that_is_not_sound_is_no_key(#[case] change: Value) {
    let (x, y) = ("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
    let mut jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "theirs"});
    let sound = PublicKey::parse(SigningAlgorithm::ES256, &jwk).unwrap();
    assert_eq!(sound.jwk["kid"], sound.kid.as_str(), "its name is its thumbprint");
    assert!(PublicKey::parse(SigningAlgorithm::RS256, &jwk).is_err());
    change.as_object().unwrap().iter().for_each(|(name, value)| jwk[name] = value.clone());
    assert!(PublicKey::parse(SigningAlgorithm::ES256, &jwk).is_err());
}
