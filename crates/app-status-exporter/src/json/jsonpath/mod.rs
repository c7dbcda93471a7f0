//! The JSONPath templates of Kubernetes' client-go, as json_exporter uses them: `planet-{.location}`,
//! `{.values[?(@.state == "ACTIVE")]}`, `{range .items[*]}{.name},{end}`.
//!
//! A template is compiled once and evaluated on a parsed document. Every result of client-go is kept. Templates that
//! fail in client-go may have a result here:
//! - `{key}`, `{index}`, `{parent.name}` and `{root.version}` select the context of an element;
//! - numbers compare by value, `5` equals `5.0`; values of different types are not equal;
//! - `[*]` selects the members of objects too, and `{.}` is the value itself;
//! - keys with dots are written in brackets, `['jvm.memory']`;
//! - `length(.list)`, `count(.list[*].x)`, `sum(…)`, `value(…)` and `keys(…)` are functions, also outside of filters;
//! - slices have steps of both signs and select what the list has; values compare with lists, objects and null;
//! - integers are printed with all digits.

mod compare;
mod eval;
mod filter;
mod functions;
mod matches;
mod parse;
mod print;
mod quote;
mod resolve;
#[cfg(test)]
mod rfc_tests;
mod syntax;
mod template;
#[cfg(test)]
mod tests;

pub(crate) use matches::{Match, PathError};
pub(crate) use print::print;
pub(crate) use template::{Template, TemplateValue};
