//! Whole numbers of flags.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A parser of whole numbers in a range. clap's own errors are texts of Rust's library.
pub(crate) fn whole<T: Copy + Display + FromStr + PartialOrd>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_range() {
        let parse = whole(1..=100_u8);
        assert_eq!((parse("1"), parse("100")), (Ok(1), Ok(100)));
        for text in ["0", "101", "300", "-1", "1.5", "x", ""] {
            assert_eq!(parse(text), Err("expected a whole number from 1 to 100".to_owned()), "{text}");
        }
    }
}
