//! A number that may be missing, in every spelling that RabbitMQ's versions have for that.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A number, or the value of the key `max-length` in an object. Versions spell a missing number as null, an empty string
/// or an empty list; any other value is also accepted as missing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OptionalNumber(pub(super) Option<u64>);

impl<'de> Deserialize<'de> for OptionalNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OptionalNumberVisitor)
    }
}

struct OptionalNumberVisitor;

impl<'de> Visitor<'de> for OptionalNumberVisitor {
    type Value = OptionalNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_u64<E>(self, value: u64) -> Result<OptionalNumber, E> {
        Ok(OptionalNumber(Some(value)))
    }

    fn visit_i64<E>(self, _: i64) -> Result<OptionalNumber, E> {
        Ok(OptionalNumber(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<OptionalNumber, E> {
        Ok(OptionalNumber(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<OptionalNumber, E> {
        Ok(OptionalNumber(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<OptionalNumber, E> {
        Ok(OptionalNumber(None))
    }

    fn visit_unit<E>(self) -> Result<OptionalNumber, E> {
        Ok(OptionalNumber(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OptionalNumber, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(OptionalNumber(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OptionalNumber, A::Error> {
        let mut found = OptionalNumber(None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "max-length" || key == "x-max-length" {
                found = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}
