//! Texts that are no token of this server, at introspection and revocation.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::Target;

fn text(value: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(value)
}

fn bytes(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// A real token in its parts, and the key that signed it.
struct Real {
    header: Value,
    claims: Value,
    parts: [String; 3],
    jwk: Value,
}

impl Real {
    fn read(token: &str, jwks: &Value) -> Self {
        let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        let json = |part: &str| serde_json::from_slice::<Value>(&bytes(part)).unwrap();
        let header = json(&parts[0]);
        let jwk = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap().clone();
        Self { claims: json(&parts[1]), header, parts: parts.try_into().unwrap(), jwk }
    }

    /// The real token with another header.
    fn headed(&self, changes: Value) -> String {
        format!("{}.{}.{}", text(self.with(changes).to_string()), self.parts[1], self.parts[2])
    }

    fn with(&self, changes: Value) -> Value {
        let mut header = self.header.clone();
        for (name, value) in changes.as_object().unwrap() {
            header[name] = value.clone();
        }
        header
    }

    /// The real claims under another header, without a signature or with one by HMAC.
    fn forged(&self, changes: Value, key: Option<&[u8]>) -> String {
        let message = format!("{}.{}", text(self.with(changes).to_string()), self.parts[1]);
        let signature = key.map(|key| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes()));
        format!("{message}.{}", signature.map(text).unwrap_or_default())
    }

    fn signed_by(&self, pair: &EcdsaKeyPair, changes: Value, claims: &Value) -> String {
        let message = format!("{}.{}", text(self.with(changes).to_string()), text(claims.to_string()));
        let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", text(signature))
    }

    fn signature(&self, signature: &str) -> String {
        format!("{}.{}.{signature}", self.parts[0], self.parts[1])
    }

    /// The real signature over other claims.
    fn claiming(&self, changes: Value) -> String {
        let mut claims = self.claims.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        format!("{}.{}.{}", self.parts[0], text(claims.to_string()), self.parts[2])
    }
}

type Rows = Vec<(String, String)>;

fn algorithms(real: &Real) -> Rows {
    let mut rows = Rows::new();
    for alg in ["none", "None", "NONE", "nOnE", "", "ES384", "RS256", "EdDSA", "ES256 ", "HS256"] {
        rows.push((format!("alg {alg:?} and no signature"), real.forged(json!({"alg": alg}), None)));
        rows.push((format!("alg {alg:?} and the real signature"), real.headed(json!({"alg": alg}))));
    }
    for (name, alg) in [("null", Value::Null), ("list", json!(["ES256"])), ("number", json!(1))] {
        rows.push((format!("alg is {name}"), real.headed(json!({"alg": alg}))));
    }
    let point = [vec![4], bytes(real.jwk["x"].as_str().unwrap()), bytes(real.jwk["y"].as_str().unwrap())].concat();
    // SubjectPublicKeyInfo of a P-256 key, as its PEM has it
    let prefix = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let prefix = (0..prefix.len()).step_by(2).map(|at| u8::from_str_radix(&prefix[at..at + 2], 16).unwrap());
    let spki: Vec<u8> = prefix.chain(point.iter().copied()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&spki));
    let keys: [(&str, Vec<u8>); 6] = [
        ("the JWK", real.jwk.to_string().into_bytes()),
        ("the point", point),
        ("the SPKI", spki),
        ("the PEM", pem.into_bytes()),
        ("nothing", vec![]),
        ("the kid", real.jwk["kid"].as_str().unwrap().as_bytes().to_vec()),
    ];
    for (name, key) in keys {
        rows.push((format!("HMAC under {name}"), real.forged(json!({"alg": "HS256"}), Some(&key))));
        rows.push((format!("ES256 that is HMAC under {name}"), real.forged(json!({}), Some(&key))));
    }
    rows
}

fn headers(real: &Real) -> Rows {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let jwk =
        json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y), "alg": "ES256", "use": "sig", "kid": "mine"});
    let mut strange = real.claims.clone();
    strange["exp"] = json!("9999999999");
    let mut rows: Rows = [
        ("another key", json!({})),
        ("an embedded jwk", json!({"jwk": jwk, "kid": "mine"})),
        ("an embedded jwk under the real kid", json!({"jwk": jwk})),
        ("jku", json!({"jku": "https://evil.example/jwks.json", "kid": "mine"})),
        ("x5u", json!({"x5u": "https://evil.example/x.pem"})),
        ("x5c", json!({"x5c": ["MIIB"]})),
        ("no kid", json!({"kid": null})),
        ("kid of a path", json!({"kid": "../../../../dev/null"})),
        ("kid of SQL", json!({"kid": "x' OR '1'='1"})),
        ("kid of a shell", json!({"kid": "|id"})),
        ("kid is a list", json!({"kid": ["a"]})),
        ("crit", json!({"crit": ["exp"], "exp": 1})),
        ("crit of nothing", json!({"crit": []})),
        ("b64", json!({"crit": ["b64"], "b64": false})),
        ("zip", json!({"zip": "DEF"})),
        ("PBES2", json!({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2_147_483_647, "p2s": "AAAA"})),
        ("typ JWT", json!({"typ": "JWT"})),
        ("typ logout+jwt", json!({"typ": "logout+jwt"})),
    ]
    .into_iter()
    .flat_map(|(name, changes)| {
        let foreign = real.signed_by(&pair, changes.clone(), &real.claims);
        [(format!("{name}, signed by another key"), foreign), (format!("{name}, really signed"), real.headed(changes))]
    })
    // no change at all is the real token
    .filter(|(name, _)| name != "another key, really signed")
    .collect();
    rows.push(("exp is text, signed by another key".into(), real.signed_by(&pair, json!({}), &strange)));
    let twice = bytes(&real.parts[0]);
    let twice = format!("{{\"alg\":\"none\",{}", String::from_utf8(twice).unwrap().trim_start_matches('{'));
    rows.push(("alg twice".into(), format!("{}.{}.{}", text(twice), real.parts[1], real.parts[2])));
    rows
}

fn claims(real: &Real) -> Rows {
    let other = "0190163d-8694-739b-aea5-966c26f8ad91";
    [
        ("exp is text", json!({"exp": "9999999999"})),
        ("exp is far", json!({"exp": 9_999_999_999_i64})),
        ("exp is too large", json!({"exp": 1e300})),
        ("exp is negative", json!({"exp": -1})),
        ("exp is a list", json!({"exp": [1]})),
        ("nbf is text", json!({"nbf": "0"})),
        ("another issuer", json!({"iss": "https://evil.example"})),
        ("another id", json!({"jti": other})),
        ("an id of SQL", json!({"jti": "' OR 1=1 --"})),
        ("two audiences", json!({"aud": ["https://billing.example.com/mcp", "https://evil.example"]})),
    ]
    .into_iter()
    .map(|(name, changes)| (format!("{name} under the real signature"), real.claiming(changes)))
    .collect()
}

/// The last character of base64url with bits set that mean nothing.
fn loose(part: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = part.split_at(part.len() - 1);
    let at = alphabet.find(last).unwrap();
    format!("{rest}{}", &alphabet[at + 1..at + 2])
}

fn forms(real: &Real, token: &str) -> Rows {
    let [header, payload, signature] = &real.parts;
    let (protected, raw) = (header, bytes(signature));
    let der = |half: &[u8]| [&[2, 33, 0][..], half].concat();
    let der = [&[48, 70][..], &der(&raw[..32]), &der(&raw[32..])].concat();
    let flat = json!({"protected": protected, "payload": payload, "signature": signature}).to_string();
    let general =
        json!({"payload": payload, "signatures": [{"protected": protected, "signature": signature}]}).to_string();
    [
        ("one part", header.clone()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{token}.")),
        ("five parts", format!("{token}.AAAA.AAAA")),
        ("dots", "..".into()),
        ("four dots", "....".into()),
        ("no header", format!(".{payload}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("flattened JSON", flat),
        ("general JSON", general),
        ("padded", format!("{token}==")),
        ("bits that mean nothing", real.signature(&loose(signature))),
        ("standard base64", token.replace('-', "+").replace('_', "/")),
        ("a byte more", format!("{token}A")),
        ("a byte less", token[..token.len() - 1].to_owned()),
        ("a space before", format!(" {token}")),
        ("a space behind", format!("{token} ")),
        ("its scheme before", format!("Bearer {token}")),
        ("r = s = 0", real.signature(&text([0; 64]))),
        ("r = s = all ones", real.signature(&text([255; 64]))),
        ("a DER signature", real.signature(&text(der))),
        ("half a signature", real.signature(&text(&raw[..32]))),
        ("the signature twice", real.signature(&text([raw.clone(), raw.clone()].concat()))),
        ("no signature", real.signature("")),
        ("its id", real.claims["jti"].as_str().unwrap().to_owned()),
        ("its kid", real.header["kid"].as_str().unwrap().to_owned()),
        ("a handle of SQL", format!("hfat_{:A<43}", "' OR 1=1 --")),
        ("a handle of nobody", format!("hfat_{}", "A".repeat(43))),
        ("text beyond ASCII", "\u{202e}\u{1f511}".repeat(20)),
        ("16 KiB", "A".repeat(16 * 1024)),
    ]
    .into_iter()
    .map(|(name, token)| (name.to_owned(), token))
    .collect()
}

/// D-03, D-04, E-02, F-01, R-20, R-22, R-47, R-49, R-50, R-51, R-52: nothing but the very token is the token.
#[tokio::test]
async fn no_other_text_passes_for_a_token() {
    let mut target = Target::samples().await;
    let elsewhere = Target::samples().await;
    let key = target.home.api_key("root", "admin");
    let mut token = target.token().await;
    while !token.contains(['-', '_']) {
        token = target.token().await; // that one is the same text in standard base64
    }
    let jwks = target.server.get(&target.server.public("/.well-known/jwks.json")).await.json::<Value>().await.unwrap();
    let real = Real::read(&token, &jwks);
    let mut rows = [algorithms(&real), headers(&real), claims(&real), forms(&real, &token)].concat();
    rows.push(("another server's token".into(), elsewhere.token().await));
    rows.push(("the client's secret".into(), target.secret.clone()));
    rows.push(("an API key".into(), key.clone()));
    for (name, text) in &rows {
        assert_ne!(*text, token, "{name}");
        let seen = target.post("/oauth/introspect", &[("token", text)]).await;
        assert_eq!(seen, (200, "{\"active\":false}".to_owned()), "{name}");
        let ended = target.post("/oauth/revoke", &[("token", text)]).await;
        assert_eq!(ended, (200, "{}".to_owned()), "{name}");
    }
    for text in [format!("{token}\n"), format!("{token}\0"), "A".repeat(16 * 1024 + 1)] {
        for path in ["/oauth/introspect", "/oauth/revoke"] {
            let (status, body) = target.post(path, &[("token", &text)]).await;
            assert_eq!(status, 400, "{body}");
            assert!(body.contains("\"invalid_request\""), "{body}");
        }
    }
    let get = target.server.client().get(target.server.admin("/admin/resources")).bearer_auth(&token);
    assert_eq!(get.send().await.unwrap().status(), 401, "a token is no API key");
    for secret in [&token, &key] {
        assert_eq!(target.server.token(&target.id, secret).await.status(), 401, "nor a client's secret");
    }
    assert_eq!(target.server.introspect(target.credentials(), &token).await["active"], true, "after all that");
    target.is_unharmed().await;
}

/// IV-3, R-30: who is suspended gets nothing, and what it has ends at once.
#[tokio::test]
async fn a_suspended_client_has_nothing_left() {
    let target = Target::samples().await;
    let token = target.token().await;
    let suspended = crate::directory::CLIENT.replace("displayName", "state: Suspended\n  displayName");
    target.home.write("oauthclient.yaml", &suspended);
    target.server.event("reconciled", |line| line["name"] == "portal" && line["reason"] == "Suspended").await;
    for path in ["/oauth/token", "/oauth/introspect"] {
        let (status, body) = target.post(path, &[("grant_type", "client_credentials"), ("token", &token)]).await;
        assert_eq!(status, 400, "{path} {body}");
        assert!(body.contains("unauthorized_client"), "{path} {body}");
    }
    target.home.write("oauthclient.yaml", crate::directory::CLIENT);
    target.server.event("reconciled", |line| line["name"] == "portal" && line["reason"] == "Ready").await;
    while target.server.token(&target.id, &target.secret).await.status() != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let seen = target.server.introspect(target.credentials(), &token).await;
    assert_eq!(seen, json!({"active": false}), "what ended does not come back");
}
