//! The syntax tree of a template.

use regex::Regex;

use super::functions::Function;
use super::matches::PathError;
use crate::json::document::NodeId;

#[derive(Clone, Debug)]
pub(super) enum TemplatePart {
    Text(String),
    Action(Vec<Step>),
    /// `{range}`: the parts up to `{end}`, once per match of the steps.
    Range(Vec<Step>, Vec<TemplatePart>),
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// `.name`: the member with this key; an empty key is the value itself.
    Field(String),
    /// `['a.b']`: the path as client-go reads it, or else the member with this literal key.
    Quoted(Vec<Step>, String),
    /// `.*`: every member of a list or object.
    Wildcard,
    /// `..`: the value and every non-empty list and object in it.
    Recursive,
    Slice(SliceBounds),
    Union(Vec<Vec<Step>>),
    Filter(Filter),
    Key,
    Index,
    Parent,
    Root,
    /// The result of `root` and the steps after it.
    Resolved(Result<Vec<NodeId>, PathError>),
    Literal(Literal),
    Call(Call),
}

/// A function with its path.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) path: Vec<Step>,
    /// Whether it is in a filter, where a missing value counts as 0.
    pub(super) in_filter: bool,
}

/// `[from:to:step]`.
#[derive(Clone, Debug)]
pub(super) struct SliceBounds {
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
    pub(super) step: Option<i64>,
    /// `[from]`: one member.
    pub(super) single: bool,
    /// After `..`: values without such members are skipped.
    pub(super) lenient: bool,
}

/// A condition on an element.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    /// The path has a match.
    Exists(Vec<Step>),
    Compare(Vec<Step>, Operator, Vec<Step>),
    /// `=~`: the string matches.
    Matches(Vec<Step>, Regex),
    /// `!`
    Not(Box<Filter>),
    /// `&&`
    All(Vec<Filter>),
    /// `||`
    Any(Vec<Filter>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Clone, Debug)]
pub(super) enum Literal {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Null,
}
