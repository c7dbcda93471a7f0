//! A count in JSON: a whole number that is not negative, however its writer's language spells it.

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A count. `3.0` is one too: some languages know no other numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(Visit)
    }
}

struct Visit;

impl Visitor<'_> for Visit {
    type Value = Count;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number from 0")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Count, E> {
        Ok(Count(value))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and in range")]
    fn visit_f64<E: Error>(self, value: f64) -> Result<Count, E> {
        const LIMIT: f64 = (1_u64 << 53) as f64; // above it not every whole number is a double
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
}
