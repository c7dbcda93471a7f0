//! Text to numbers: Go's numbers and booleans, mapped names, quantities, durations and timestamps.

mod duration;
mod number;
mod quantity;
mod separators;
mod timestamp;

use std::collections::BTreeMap;

use regex::Regex;

use duration::duration;
use number::go_bool;
pub(crate) use number::go_number;
use quantity::quantity;
pub(crate) use separators::Separators;
pub(crate) use timestamp::timestamp;

/// The conversion from the text of a value to a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversion {
    /// The part to convert: the group `value`, or else the first group, or else the match. A group `unit` is appended.
    pub(crate) regex: Option<Regex>,
    /// The numbers of texts, which are in lower case.
    pub(crate) map: BTreeMap<String, f64>,
    pub(crate) format: Format,
    /// For the formats number and quantity.
    pub(crate) separators: Separators,
    /// The factor to the base unit.
    pub(crate) scale: Option<f64>,
}

/// The format of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// `12`, `1.5e3`, `true`.
    #[default]
    Number,
    /// `95.21 Mbps`, `4 KiB`, `150m`: a number with a known unit.
    Quantity,
    /// `1d22h`, `250ms`, `01:02:03`, in seconds.
    Duration,
    /// `2025-01-22T19:30:19Z`, `2024-06-29`, or a number of seconds to nanoseconds, in seconds since the epoch.
    Time,
}

impl Format {
    /// The names in configurations.
    pub(crate) const NAMES: &[(&str, Self)] =
        &[("number", Self::Number), ("quantity", Self::Quantity), ("duration", Self::Duration), ("time", Self::Time)];
}

impl Conversion {
    /// The number for a text, or why there is none. The whole text must be in the format.
    pub(crate) fn number(&self, text: &str) -> Result<f64, String> {
        self.number_with(text, self.separators)
    }

    /// The number for a JSON number, which never has separators.
    pub(crate) fn json_number(&self, text: &str) -> Result<f64, String> {
        self.number_with(text, Separators::default())
    }

    fn number_with(&self, text: &str, separators: Separators) -> Result<f64, String> {
        let extracted;
        let mut text = text;
        if let Some(regex) = &self.regex {
            let captures = regex.captures(text).ok_or_else(|| format!("{} does not match {regex}", shortened(text)))?;
            let group = |name| captures.name(name).map(|group| group.as_str());
            let value = group("value").or(captures.get(1).or(captures.get(0)).map(|group| group.as_str()));
            extracted = format!("{}{}", value.unwrap_or_default(), group("unit").unwrap_or_default());
            text = &extracted;
        }
        if !self.map.is_empty()
            && let Some(number) = self.map.get(&text.trim().to_lowercase())
        {
            return Ok(*number);
        }
        let normalized;
        if separators != Separators::default() {
            let invalid = || format!("{} is not a number with the configured separators", shortened(text));
            normalized = separators.normalize(text).ok_or_else(invalid)?;
            text = &normalized;
        }
        let number = match self.format {
            Format::Number => go_number(text).or_else(|| go_bool(text)),
            // 400 digits are not infinity
            Format::Quantity => quantity(text).filter(|number| number.is_finite()),
            Format::Duration => duration(text).filter(|number| number.is_finite()),
            Format::Time => timestamp(text),
        };
        let number = number.ok_or_else(|| match (self.format, self.map.is_empty()) {
            (_, false) => format!("{} is not in the map", shortened(text)),
            (Format::Number, _) => format!("{} is not a number", shortened(text)),
            (Format::Quantity, _) => format!("{} is not a number with a known unit", shortened(text)),
            (Format::Duration, _) => format!("{} is not a duration", shortened(text)),
            (Format::Time, _) => format!("{} is not a timestamp", shortened(text)),
        })?;
        Ok(self.scale.map_or(number, |scale| scaled(number, scale)))
    }
}

/// A number in another unit. For 0.001 it is divided by 1000, which is more exact: 0.036, not 0.036000000000000004.
pub(crate) fn scaled(number: f64, scale: f64) -> f64 {
    let inverse = (1.0 / scale).round();
    if inverse.is_finite() && (inverse * scale - 1.0).abs() < 1e-15 { number / inverse } else { number * scale }
}

/// A text for messages, shortened: a page has any length.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_converted_in_part() {
        let format = |format| Conversion { format, ..Conversion::default() };
        for text in ["1,234.5", "12,345", "2024-06-29", "12:30", "3/10", "23,5 C", "3 hours"] {
            assert!(format(Format::Number).number(text).is_err(), "{text}");
            assert!(format(Format::Quantity).number(text).is_err(), "{text}");
        }
        assert_eq!(format(Format::Quantity).number("5 ms"), Ok(0.005));
        assert_eq!(format(Format::Duration).number("3 hours"), Ok(10_800.0));
        assert_eq!(format(Format::Time).number("2024-06-29"), Ok(1_719_619_200.0));
        let separators = Separators { decimal: ',', thousands: Some('.') };
        let german = Conversion { separators, ..format(Format::Quantity) };
        assert_eq!((german.number("1.234,5 MB"), german.json_number("1234.5")), (Ok(1_234_500_000.0), Ok(1234.5)));
        assert!(german.number("1,234.5").is_err());
    }

    #[test]
    fn a_number_too_large_for_a_double_is_invalid() {
        for format in [Format::Quantity, Format::Duration, Format::Time] {
            let conversion = Conversion { format, ..Conversion::default() };
            assert!(conversion.number("1e309").is_err(), "{format:?}");
        }
    }

    #[test]
    fn a_regular_expression_selects_a_part() {
        let of = |regex: &str, format| Conversion { regex: Regex::new(regex).ok(), format, ..Conversion::default() };
        assert_eq!(of(r"([\d.]+)", Format::Number).number("load 0.25 now"), Ok(0.25));
        assert_eq!(of(r"\d+", Format::Number).number("v12"), Ok(12.0));
        let units = of(r"(?P<value>[\d.]+)\D*?(?P<unit>[KMG]?B) free", Format::Quantity);
        assert_eq!(units.number("disk: 5 of them KB free"), Ok(5000.0));
        let message = of(r"(\d+)", Format::Number).number("none").unwrap_err();
        assert_eq!(message, r#""none" does not match (\d+)"#);
    }

    #[test]
    fn names_are_mapped_to_numbers_in_any_case() {
        let map = BTreeMap::from([("ok".to_owned(), 0.0), ("bad".to_owned(), 1.0)]);
        let conversion = Conversion { map, ..Conversion::default() };
        assert_eq!((conversion.number("OK"), conversion.number(" Bad ")), (Ok(0.0), Ok(1.0)));
        assert_eq!(conversion.number("7"), Ok(7.0), "a number needs no entry");
        assert_eq!(conversion.number("odd"), Err("\"odd\" is not in the map".to_owned()));
    }

    #[test]
    fn a_number_is_scaled_to_the_base_unit() {
        let conversion = Conversion { scale: Some(0.001), ..Conversion::default() };
        assert_eq!(conversion.number("250"), Ok(0.25));
        assert_eq!(conversion.number("36"), Ok(0.036));
        assert_eq!([scaled(312.0, 1e-6), scaled(7.0, 1e-9), scaled(99.0, 0.01)], [0.000312, 7e-9, 0.99]);
        assert_eq!(
            [scaled(3.0, 1000.0), scaled(3.0, 0.0), scaled(3.0, 0.7), scaled(3.0, -0.5)],
            [3000.0, 0.0, 3.0 * 0.7, -1.5]
        );
    }
}
