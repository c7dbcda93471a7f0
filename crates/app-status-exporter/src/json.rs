//! A value of a JSON document, as far as one is wanted: what it is, and its content if that is one number or string.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// What stands in the page. Of lists and objects nothing is kept: a large page costs no more than its bytes.
#[derive(Debug)]
pub(crate) enum Found {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List,
    Object,
}

/// For messages, which must not repeat a page of any length.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 40;
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Text(text) => match text.char_indices().nth(LONGEST) {
                None => write!(f, "the string {text:?}"),
                Some((end, _)) => write!(f, "a string that begins with {:?}", &text[..end]),
            },
            Self::List => f.write_str("a list"),
            Self::Object => f.write_str("an object"),
        }
    }
}

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = Found;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Found, E> {
                Ok(Found::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Found, E> {
                Ok(Found::Bool(value))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Found, E> {
                Ok(Found::Number(number as f64))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Found, E> {
                Ok(Found::Number(number as f64))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Found, E> {
                Ok(Found::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Found, E> {
                Ok(Found::Text(text.to_owned()))
            }

            // what is inside is read as anything too, not skipped: so it is held against serde_json's depth limit
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
                while list.next_element::<Found>()?.is_some() {}
                Ok(Found::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Found, A::Error> {
                while object.next_entry::<String, Found>()?.is_some() {}
                Ok(Found::Object)
            }
        }

        deserializer.deserialize_any(Anything)
    }
}
