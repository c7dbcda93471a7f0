//! JSON of queue systems: objects, and counts however the writer's language spells them.

use anyhow::{Result, ensure};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Parses a text that is a JSON object.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T> {
    // serde would also fill a struct from an array, by position
    ensure!(is_object(text), "not a JSON object");
    Ok(serde_json::from_slice(text)?)
}

pub(crate) fn is_object(text: &[u8]) -> bool {
    text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// A whole number from 0. `3.0` is accepted, because some languages have floating-point numbers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(CountVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number from 0")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Count, E> {
        Ok(Count(value))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and in range")]
    fn visit_f64<E: Error>(self, value: f64) -> Result<Count, E> {
        const LIMIT: f64 = (1_u64 << 53) as f64; // above it, a double cannot represent every whole number
        if value.fract() == 0.0 && (0.0..=LIMIT).contains(&value) {
            Ok(Count(value as u64))
        } else {
            Err(E::invalid_value(Unexpected::Float(value), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_counts() {
        for (text, count) in [("0", 0), ("3", 3), ("3.0", 3), ("1e3", 1000), ("18446744073709551615", u64::MAX)] {
            assert_eq!(serde_json::from_str::<Count>(text).unwrap(), Count(count), "{text}");
        }
        for text in ["-1", "1.5", "1e300", "-0.5", "\"3\"", "true", "[]"] {
            assert!(serde_json::from_str::<Count>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_array_is_not_an_object() {
        #[derive(serde::Deserialize)]
        struct Anything {}
        assert!(object::<Anything>(b" {}").is_ok());
        for text in ["[]", "", "null", "{", "{}x"] {
            assert!(object::<Anything>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
