//! JSON that means one thing: an object that names a member twice is read by nobody.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The one object that these bytes are; `None` for anything else, and for an object with a member twice, however deep
/// (RFC 7515 §5.2 leaves it to us, and readers that differ are a hole).
pub fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice::<Once>(bytes) {
        Ok(Once(Value::Object(members))) => Some(members),
        _ => None,
    }
}

/// A value without repeated members.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Once(value))) = members.next_entry::<String, Once>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is given twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_twice_makes_it_no_object() {
        assert!(object(br#" {"a": {"b": [1, -2, 0.5, true, null, "c"]}, "d": {}} "#).is_some());
        let texts = [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": {"b": 1, "b": 2}}"#,
            r#"{"a": [{"b": 1, "b": 2}]}"#,
            r#"{"a": 1, "\u0061": 1}"#,
            r#"{"a": 1e400}"#,
            r#"{"a": 1} {}"#,
            r#"{"a": 1"#,
            "[]",
            "null",
            "",
        ];
        for text in texts {
            assert!(object(text.as_bytes()).is_none(), "{text}");
        }
        assert!(object(format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200)).as_bytes()).is_none(), "depth");
        assert!(object(b"{\"a\": \"\xff\"}").is_none(), "not UTF-8");
    }
}
