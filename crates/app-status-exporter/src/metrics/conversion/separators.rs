//! Decimal and thousands separators of numbers in text.

/// The separators of the numbers in a text, as configured. By default a number has no thousands separator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Separators {
    pub(crate) decimal: char,
    pub(crate) thousands: Option<char>,
}

impl Default for Separators {
    fn default() -> Self {
        Self { decimal: '.', thousands: None }
    }
}

impl Separators {
    /// The text with the number at its start in the usual format, `1234.5`. `None` if a separator is misplaced: all
    /// groups but the first must have three digits.
    pub(super) fn normalize(self, text: &str) -> Option<String> {
        let unsigned = text.trim_start().trim_start_matches(['+', '-']);
        let (sign, _) = text.split_at(text.len() - unsigned.len());
        let is_part = |character: char| {
            character.is_ascii_digit()
                || character == self.decimal
                || (Some(character) == self.thousands && !character.is_whitespace())
        };
        let mut end = unsigned.find(|character| !is_part(character)).unwrap_or(unsigned.len());
        // a blank is a separator only between digits: in "12 345 kB" the second one separates the unit
        while let Some(blank) = self.thousands.filter(|thousands| thousands.is_whitespace())
            && let Some(rest) = unsigned[end..].strip_prefix(blank)
            && rest.starts_with(|character: char| character.is_ascii_digit())
        {
            let digits = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
            end = unsigned.len() - rest.len() + digits;
        }
        let (number, rest) = unsigned.split_at(end);
        let (integer, fraction) = number.split_once(self.decimal).unwrap_or((number, ""));
        let groups: Vec<&str> = match self.thousands {
            Some(thousands) => integer.split(thousands).collect(),
            None => vec![integer],
        };
        let valid_groups =
            groups.len() == 1 || (matches!(groups[0].len(), 1..=3) && groups[1..].iter().all(|group| group.len() == 3));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !valid_groups || !groups.iter().all(|group| is_digits(group)) || !is_digits(fraction) {
            return None;
        }
        let point = if fraction.is_empty() { "" } else { "." };
        Some(format!("{sign}{}{point}{fraction}{rest}", groups.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_normalized() {
        let comma = Separators { decimal: '.', thousands: Some(',') };
        let german = Separators { decimal: ',', thousands: Some('.') };
        let french = Separators { decimal: ',', thousands: Some(' ') };
        for (separators, text, expected) in [
            (comma, "1,234.5", "1234.5"),
            (comma, "-12,345,678", "-12345678"),
            (comma, "1234", "1234"),
            (comma, "1,024 MB", "1024 MB"),
            (german, "1.234,5", "1234.5"),
            (german, "23,5 C", "23.5 C"),
            (german, "1,5e3", "1.5e3"),
            (french, "12 345,6 kB", "12345.6 kB"),
            (french, "12 kB", "12 kB"),
        ] {
            assert_eq!(separators.normalize(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_misplaced_separator_is_invalid() {
        let comma = Separators { decimal: '.', thousands: Some(',') };
        let german = Separators { decimal: ',', thousands: Some('.') };
        for (separators, text) in [
            (comma, "12,34"),
            (comma, "1234,567"),
            (comma, ",123"),
            (comma, "1,234,5"),
            (comma, "1.234,567"),
            (german, "23.5"),
            (german, "1,2,3"),
            (german, "1,234.5"),
        ] {
            assert_eq!(separators.normalize(text), None, "{text}");
        }
    }
}
