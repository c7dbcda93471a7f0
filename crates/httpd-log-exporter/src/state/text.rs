//! Values that the state file has as strings: numbers of 128 bits, methods, status codes and bytes.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

use crate::format::request::{Method, StatusCode};

/// A value that is written as a string.
pub(crate) trait StateText: Sized {
    /// Name of the value in errors.
    const NAME: &'static str;

    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

/// Serializes a value for serde.
pub(crate) fn serialize<T: StateText, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.write())
}

/// Deserializes a value for serde, which adds line and column to an error.
pub(crate) fn deserialize<'de, T: StateText, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    T::read(&text).ok_or_else(|| D::Error::custom(format_args!("{text:?} is not a {}", T::NAME)))
}

/// JSON parsers disagree on numbers beyond 64 bits.
impl StateText for u128 {
    const NAME: &'static str = "whole number";

    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl StateText for Method {
    const NAME: &'static str = "method";

    fn write(&self) -> String {
        self.name().to_owned()
    }

    fn read(text: &str) -> Option<Self> {
        Self::NAMES.contains(&text).then(|| Self::from_request_line(text.as_bytes()))
    }
}

impl StateText for StatusCode {
    const NAME: &'static str = "status";

    fn write(&self) -> String {
        Self::label(self.index())
    }

    fn read(text: &str) -> Option<Self> {
        Self::parse(text.as_bytes())
    }
}

/// Bytes of a log as hexadecimal digits.
impl StateText for Vec<u8> {
    const NAME: &'static str = "string of hexadecimal bytes";

    fn write(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect()
    }

    fn read(text: &str) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pairs = text.as_bytes().chunks(2);
        pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_as_hexadecimal_digits() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(StateText::read(&bytes.write()), Some(bytes));
        assert!(Vec::<u8>::read("0").is_none() && Vec::<u8>::read("0g").is_none());
    }

    #[test]
    fn methods_and_status_codes_round_trip_as_their_labels() {
        for name in Method::NAMES {
            assert_eq!(Method::read(name).unwrap().write(), name);
        }
        for label in ["200", "000", "999", "-"] {
            assert_eq!(StatusCode::read(label).unwrap().write(), label);
        }
        assert!(Method::read("GXT").is_none() && Method::read("").is_none() && StatusCode::read("2x0").is_none());
    }
}
