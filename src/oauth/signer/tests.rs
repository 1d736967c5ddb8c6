use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rstest::rstest;

use super::*;

use crate::oauth::public_key::PublicKey;

fn key(algorithm: SigningAlgorithm) -> (Signer, PublicKey) {
    let signer = Signer::parse(algorithm, &generate(algorithm).unwrap()).unwrap();
    let public = PublicKey::parse(algorithm, &signer.jwk().unwrap()).unwrap();
    (signer, public)
}

fn token(signer: &Signer, key: &PublicKey, claims: &Value) -> String {
    let mut token = key.header("at+jwt").into_owned();
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
    signer.sign(&mut token).unwrap();
    token
}

#[rstest]
#[case(SigningAlgorithm::ES256, Algorithm::ES256)]
#[case(SigningAlgorithm::EdDSA, Algorithm::EdDSA)]
#[case(SigningAlgorithm::RS256, Algorithm::RS256)]
fn a_token_verifies_with_the_published_key(#[case] ours: SigningAlgorithm, #[case] theirs: Algorithm) {
    let (signer, key) = key(ours);
    let token = token(&signer, &key, &json!({"iss": "i", "exp": 4_000_000_000u64}));
    let header = decode_header(&token).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some("at+jwt"), theirs));
    assert_eq!(header.kid.as_ref(), Some(&key.kid));
    let jwk: Jwk = serde_json::from_value(key.jwk.clone()).unwrap();
    assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), key.kid);
    let claims = decode::<Value>(&token, &DecodingKey::from_jwk(&jwk).unwrap(), &Validation::new(theirs)).unwrap();
    assert_eq!(claims.claims["iss"], "i");
    assert!(key.verify(&token).is_some());
    for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
        assert!(key.jwk.get(private).is_none());
    }
}

/// D-04
#[test]
fn nothing_but_an_own_token_verifies() {
    let (signer, key) = key(SigningAlgorithm::ES256);
    let token = token(&signer, &key, &json!({"exp": 1}));
    let (head, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let header = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let zero = URL_SAFE_NO_PAD.encode([0u8; 64]);
    let none = header(json!({"typ": "at+jwt", "alg": "none", "kid": key.kid}));
    let embedded = header(json!({"typ": "at+jwt", "alg": "ES256", "kid": key.kid, "jwk": key.jwk}));
    let crit = header(json!({"typ": "at+jwt", "alg": "ES256", "kid": key.kid, "crit": ["x"]}));
    let jwt = header(json!({"typ": "JWT", "alg": "ES256", "kid": key.kid}));
    let path = header(json!({"typ": "at+jwt", "alg": "ES256", "kid": "../../dev/null"}));
    let mut forged: Vec<String> = [none.as_str(), &embedded, &crit, &jwt, &path]
        .iter()
        .flat_map(|head| [format!("{head}.{payload}.{signature}"), format!("{head}.{payload}.")])
        .collect();
    forged.extend([
        format!("{head}.{payload}.{zero}"),
        format!("{head}.{payload}"),
        format!("{head}.{payload}.{signature}="),
        format!("{head}.{payload}.{signature}.x"),
        format!("{head}.{payload}.{signature} "),
        format!("{head}.{}.{signature}", header(json!({"exp": 2}))),
        format!("{head}..{signature}"),
        String::new(),
        ".".into(),
        "..".into(),
    ]);
    for token in forged {
        assert!(key.verify(&token).is_none(), "{token}");
    }
    assert!(self::key(SigningAlgorithm::ES256).1.verify(&token).is_none(), "another key");
}
