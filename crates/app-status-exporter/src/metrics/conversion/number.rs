//! Numbers and booleans in the formats of Go.

/// Parses a number as Go's `strconv.ParseFloat` does, and hexadecimal integers such as `0xd8ef11`.
pub(crate) fn go_number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.len() > 1 && unsigned.as_bytes()[..2].eq_ignore_ascii_case(b"0x") {
        let magnitude = hexadecimal(&unsigned[2..])?;
        return Some(if text.starts_with('-') { -magnitude } else { magnitude });
    }
    let number: f64 = text.parse().ok()?;
    let named = unsigned.starts_with(['i', 'I', 'n', 'N']);
    let signed_nan = number.is_nan() && unsigned.len() < text.len();
    ((named || number.is_finite()) && !signed_nan).then_some(number)
}

/// Parses a hexadecimal number after its `0x`: `1.8p-2`, `ff`.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut number = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        number = number * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent = exponent.saturating_sub(i32::try_from(fraction.len()).ok()?.saturating_mul(4));
    let number = number * f64::from(exponent).exp2();
    number.is_finite().then_some(number)
}

/// Parses a boolean as Go's `strconv.ParseBool` does.
pub(super) fn go_bool(text: &str) -> Option<f64> {
    match text {
        "t" | "T" | "TRUE" | "true" | "True" => Some(1.0),
        "f" | "F" | "FALSE" | "false" | "False" => Some(0.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_booleans_are_parsed_as_in_go() {
        let number = |text: &str| go_number(text).or_else(|| go_bool(text));
        for (text, expected) in [
            ("1234", 1234.0),
            ("1234.5", 1234.5),
            ("+1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("true", 1.0),
            ("TRUE", 1.0),
            ("True", 1.0),
            ("t", 1.0),
            ("T", 1.0),
            ("False", 0.0),
            ("FALSE", 0.0),
            ("f", 0.0),
            ("F", 0.0),
            ("0x1p-2", 0.25),
            ("-0X1.8p1", -3.0),
            ("0xd8ef11", 14_216_977.0),
            ("Inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        assert!(number("NaN").unwrap().is_nan());
        for text in [
            "",
            " 1",
            "1 ",
            "abcd",
            "{}",
            "[]",
            "''",
            "1_000",
            "1e400",
            "+nan",
            "0x",
            "0xg",
            "0xp1",
            "tRUE",
            "null",
            "1e",
            "0x1p2147483647",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(number("0x1.8p-2147483648"), Some(0.0));
    }
}
