//! The JSONPath templates of Kubernetes' client-go, as json_exporter uses them: `planet-{.location}`,
//! `{.values[?(@.state == "ACTIVE")]}`, `{range .items[*]}{.name},{end}`.
//!
//! A template is compiled once and evaluated on a parsed document. Every result of client-go is kept. Templates that
//! fail in client-go may have a result here:
//! - `{key}`, `{index}`, `{parent.name}` and `{root.version}` select the context of an element;
//! - numbers compare by value, `5` equals `5.0`; values of different types are not equal;
//! - `[*]` selects the members of objects too, and `{.}` is the value itself;
//! - keys with dots are written in brackets, `['jvm.memory']`;
//! - integers are printed with all digits.

mod eval;
mod matches;
mod parse;
mod print;
mod quote;
mod resolve;
mod syntax;
mod template;
#[cfg(test)]
mod tests;

pub(crate) use matches::{Match, PathError};
pub(crate) use print::print;
pub(crate) use template::{Template, TemplateValue};
