//! Regular expressions in flags.

use regex::bytes::Regex;

/// Compiles a regular expression. The error is one line.
pub(crate) fn compile(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("'{text}' is not a regular expression: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_expression_and_the_reason_in_one_line() {
        assert!(compile("^/api/").is_ok());
        assert_eq!(compile("a(b").unwrap_err(), "'a(b' is not a regular expression: unclosed group");
    }
}
