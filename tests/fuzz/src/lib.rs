//! The parsers that strangers reach, taken from the product by path, and what must hold whatever they are given.
#![allow(dead_code, unused_imports)] // only some of each file is called here

#[path = "../../../src/domain"]
pub mod domain {
    pub mod client;
    pub mod clock;
    pub mod proof;
    pub mod redirect;
    pub mod refusal;
    pub mod secret;
}

pub mod store {
    /// In the place of the row: nothing here uses anything up.
    #[derive(Debug)]
    pub struct Once;
}

#[path = "../../../src/oauth"]
pub mod oauth {
    mod client_metadata;
    mod credentials;
    mod form;
    #[path = "document_client/id.rs"]
    mod id;
    mod json;
    pub mod jws;

    use std::sync::OnceLock;

    use serde_json::Value;

    use self::client_metadata::{Kind, Metadata, RedirectPolicy};
    use self::credentials::Presented;
    use self::form::Form;
    use self::jws::{Algorithm, Expect, KeySet};

    /// A form body, an `Authorization` header, and what they prove together.
    pub fn credentials(header: &[u8], body: &[u8]) {
        let Ok(form) = Form::parse(body) else { return };
        for name in ["client_id", "client_secret", "client_assertion"] {
            // an empty value is an absent one
            assert!(form.get(name).is_none_or(|value| !value.is_empty() && !value.chars().any(char::is_control)));
        }
        for headers in [&[][..], &[header][..], &[header, header][..]] {
            if let Ok(presented) = Presented::read(headers, &form) {
                assert!(headers.len() < 2 && !presented.readings.is_empty() && presented.readings.len() <= 2);
                for reading in &presented.readings {
                    assert!(!reading.id.is_empty() && reading.id.len() <= 2048);
                    let named = form.get("client_id");
                    assert!(named.is_none_or(|id| id == reading.id), "no two names in one request");
                }
            }
        }
    }

    /// A key set and the one token that its key ever signed (RFC 7515 appendix A.3).
    const SIGNED: &str = include_str!("../seeds/jwt/es256");

    fn known() -> &'static (KeySet, &'static str) {
        static KNOWN: OnceLock<(KeySet, &str)> = OnceLock::new();
        KNOWN.get_or_init(|| {
            let (set, token) = SIGNED.split_once('\n').expect("two lines");
            let set = json::object(set.as_bytes()).and_then(|set| KeySet::parse(&set).ok()).expect("a key set");
            (set, token.trim_end())
        })
    }

    fn message(token: &str) -> Option<&str> {
        token.rsplit_once('.').map(|(message, _)| message)
    }

    /// Without a key nobody's signature is good, and of a key that signed once only what it signed.
    pub fn jwt(text: &str, set: &[u8]) {
        let expect = Expect { types: &["jwt"], untyped: true, algorithms: &Algorithm::ALL };
        let keys = json::object(set).and_then(|set| KeySet::parse(&set).ok()).unwrap_or_default();
        assert!(!keys.is_empty() || jws::verify(text, &keys, &expect).is_err());
        let _ = jws::verify(text, &keys, &expect);
        let (known, token) = known();
        if jws::verify(text, known, &expect).is_ok() {
            assert_eq!(message(text), message(token));
        }
        if let Ok((key, _)) = jws::verify_embedded(text, &expect) {
            assert_eq!(key.thumbprint.len(), 43);
        }
    }

    /// A document, or a registration: whatever is believed of it is sound, and is believed again when it comes back.
    pub fn metadata(data: &[u8]) {
        if let Ok(text) = std::str::from_utf8(data)
            && let Some(host) = id::host(text)
        {
            assert!(!host.is_empty() && url::Url::parse(text).is_ok_and(|url| url.scheme() == "https"));
        }
        let Some(object) = json::object(data) else { return };
        let policy = RedirectPolicy { private_use_schemes: ["cursor".to_owned()].into(), ..RedirectPolicy::default() };
        for kind in [Kind::Document, Kind::Registration] {
            let Ok(metadata) = Metadata::read(kind, object.clone(), &policy) else { continue };
            let client = metadata.client();
            assert!(client.redirect_uris.iter().all(|uri| crate::domain::redirect::place(uri).is_ok()));
            assert!(!client.display_name.chars().any(char::is_control) && client.display_name.chars().count() <= 2048);
            let told = metadata.told();
            assert!(!told.values().any(Value::is_null));
            assert_eq!(Metadata::read(kind, told.clone(), &policy).map(|again| again.told()), Ok(told));
        }
    }
}

/// Two URIs, one a line: registered and asked for.
pub fn redirect(data: &[u8]) {
    use domain::redirect::{Place, is_loopback, matches, place, shown, web};
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (registered, asked) = text.split_once('\n').unwrap_or((text, text));
    for uri in [registered, asked] {
        let _ = (shown(uri), is_loopback(uri), web(uri));
        if let Ok(Place::Https | Place::Loopback) = place(uri) {
            let url = url::Url::parse(uri).expect("what may be registered is a URL");
            assert_eq!(url.host_str(), Some(shown(uri)), "no parser sees another host");
            assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
        }
    }
    let list = [registered.to_owned()];
    if let Ok(chosen) = matches(&list, Some(asked)) {
        assert_eq!(chosen, asked);
        assert!(place(asked).is_ok());
        assert!(
            asked == registered || (is_loopback(asked) && shown(asked) == shown(registered)),
            "{registered} {asked}"
        );
    }
}

/// A header and a body, with a NUL between them.
pub fn form(data: &[u8]) {
    let at = data.iter().position(|b| *b == 0).unwrap_or(0);
    let (header, body) = data.split_at(at);
    oauth::credentials(header, body.strip_prefix(&[0]).unwrap_or(body));
}

/// A JWK set and a token, with a line break between them.
pub fn jwt(data: &[u8]) {
    let at = data.iter().position(|b| *b == b'\n').unwrap_or(0);
    let (set, token) = data.split_at(at);
    if let Ok(token) = std::str::from_utf8(token.strip_prefix(b"\n").unwrap_or(token)) {
        oauth::jwt(token, set);
    }
}

/// A client ID metadata document, or the id of one.
pub fn document(data: &[u8]) {
    oauth::metadata(data);
}
