//! Lines that are not counted as requests: the flag `--access-log.drop`.

use std::str::FromStr;

use regex::bytes::Regex;

use crate::metrics::label::field_name;
use crate::metrics::pattern;

/// A rule that drops the lines whose field matches an expression.
#[derive(Clone, Debug)]
pub(crate) struct DropRule {
    /// The field, without the `$` of nginx.
    pub(crate) field: String,
    pub(crate) pattern: Regex,
}

impl DropRule {
    /// Creates a rule for a field.
    pub(crate) fn new(field: &str, pattern: &str) -> Result<Self, String> {
        Ok(Self { field: field_name(field)?.to_owned(), pattern: pattern::compile(pattern)? })
    }
}

impl FromStr for DropRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, pattern) = text.split_once('~').ok_or("expected FIELD~REGEX")?;
        Self::new(field, pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_a_field_and_an_expression() {
        let rule: DropRule = "$http_user_agent~^(?i)kube-probe/|a~b".parse().unwrap();
        assert_eq!((rule.field.as_str(), rule.pattern.as_str()), ("http_user_agent", "^(?i)kube-probe/|a~b"));
        for (text, expected) in [
            ("", "expected FIELD~REGEX"),
            ("path=/health", "expected FIELD~REGEX"),
            ("~x", "no field"),
            ("path~(", "'(' is not a regular expression: unclosed group"),
        ] {
            assert!(text.parse::<DropRule>().unwrap_err().starts_with(expected), "{text}");
        }
    }
}
