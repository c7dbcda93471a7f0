//! `escaping=` of the Accept header: escapes UTF-8 names for clients that do not support them.
//!
//! Source: EscapeName of prometheus/common, whose code differs from the prose specification twice: with
//! `dots` other characters become `__`, and hexadecimal digits are lower-case.

use std::sync::Arc;

use super::family::Family;
use super::names::is_legacy;

/// How names are escaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Escaping {
    /// Names are not escaped, but quoted if needed.
    AllowUtf8,
    /// Every invalid character becomes `_`.
    #[default]
    Underscores,
    /// Dots become `_dot_`, underscores and all other invalid characters `__`.
    Dots,
    /// Escaped names start with `U__`, and invalid characters become their code point.
    Values,
}

impl Escaping {
    /// The scheme with a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values].into_iter().find(|scheme| scheme.name() == name)
    }

    /// The scheme's name in the headers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// Escapes the names of families.
    pub(crate) fn apply(self, families: &mut [Arc<Family>]) {
        for family in families {
            if self != Self::AllowUtf8 && (self == Self::Dots || !family.is_plain()) {
                *family = Arc::new(family.renamed(|name| self.escape(name)));
            }
        }
    }

    fn escape(self, name: &str) -> String {
        let plain = match self {
            Self::AllowUtf8 => true,
            Self::Dots => false, // underscores are escaped in valid names, too
            Self::Underscores | Self::Values => is_legacy(name),
        };
        if plain {
            return name.to_owned();
        }
        let mut escaped = String::from(if self == Self::Values { "U__" } else { "" });
        for (at, character) in name.char_indices() {
            let legacy = character.is_ascii_alphabetic()
                || matches!(character, '_' | ':')
                || (character.is_ascii_digit() && at > 0);
            match (self, character) {
                (Self::Dots | Self::Values, '_') => escaped.push_str("__"),
                (Self::Dots, '.') => escaped.push_str("_dot_"),
                (_, character) if legacy => escaped.push(character),
                (Self::Dots, _) => escaped.push_str("__"),
                (Self::Values, _) => escaped.push_str(&format!("_{:x}_", u32::from(character))),
                (Self::AllowUtf8 | Self::Underscores, _) => escaped.push('_'),
            }
        }
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::encoder::encode;
    use crate::exposition::merge::Exposition;
    use crate::exposition::text::Text;

    #[test]
    fn metrics_that_get_the_same_name_are_merged_and_labels_are_joined() {
        let gauge = |name: &'static str, value: f64| {
            Family::gauge(name, "", &["x_y", "a", "x.y"]).with(&["1", "2", "3"], value).with(&["4", "5", "6"], value)
        };
        let other = Family::gauge("a:b", "", &["l.m"]).with(&["x"], 1.0);
        let counter = Family::counter("a.b", "", &[]).value(1.0);
        let mut families = [gauge("a.b", 1.0), gauge("a_b", 2.0), other, counter].map(Arc::new).to_vec();
        Escaping::Underscores.apply(&mut families);
        let exposition = Exposition::merge(families);
        let mut text = Vec::new();
        encode(&exposition, Box::new(Text), &mut text);
        let expected = "# TYPE a:b gauge\na:b{l_m=\"x\"} 1\n# TYPE a_b gauge\n\
             a_b{a=\"2\",x_y=\"3;1\"} 1\na_b{a=\"5\",x_y=\"6;4\"} 1\n";
        let text = String::from_utf8(text).unwrap();
        let text: String =
            text.lines().filter(|line| !line.starts_with("# HELP")).map(|line| format!("{line}\n")).collect();
        assert_eq!((&*text, exposition.duplicates), (expected, 3));
    }

    #[test]
    fn names_are_escaped_as_prometheus_common_escapes_them() {
        for (name, underscores, dots, values) in [
            ("no:escaping_required", "no:escaping_required", "no:escaping__required", "no:escaping_required"),
            (
                "mysystem.prod.west.cpu.load",
                "mysystem_prod_west_cpu_load",
                "mysystem_dot_prod_dot_west_dot_cpu_dot_load",
                "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load",
            ),
            (
                "mysystem.prod.west.cpu.load_total",
                "mysystem_prod_west_cpu_load_total",
                "mysystem_dot_prod_dot_west_dot_cpu_dot_load__total",
                "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load__total",
            ),
            ("http.status:sum", "http_status:sum", "http_dot_status:sum", "U__http_2e_status:sum"),
            ("label with 😱", "label_with__", "label__with____", "U__label_20_with_20__1f631_"),
            ("花火", "__", "____", "U___82b1__706b_"),
            ("label with Ā", "label_with__", "label__with____", "U__label_20_with_20__100_"),
        ] {
            assert_eq!(Escaping::AllowUtf8.escape(name), name);
            assert_eq!(Escaping::Underscores.escape(name), underscores);
            assert_eq!(Escaping::Dots.escape(name), dots);
            assert_eq!(Escaping::Values.escape(name), values);
        }
    }
}
