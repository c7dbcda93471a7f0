//! The metrics of a module: where their values, labels and timestamps are in a page.

use std::borrow::Cow;

use exporter_common::Kind;

use super::conversion::Conversion;
use crate::json::document::Document;
use crate::json::jsonpath::Template;

/// One metric of a module. With `values` it has several families with the same elements and labels.
#[derive(Debug)]
pub(crate) struct Metric {
    /// The name in the configuration.
    pub(crate) name: String,
    pub(crate) help: String,
    /// The index of its page in the module's list of pages.
    pub(crate) page: usize,
    pub(crate) kind: Kind,
    /// The path whose matches become one series each; `None` for the document itself.
    pub(crate) elements: Option<Template>,
    /// The full name of each family and the source of its values.
    pub(crate) values: Vec<(String, ValueSource)>,
    pub(crate) labels: Vec<(String, Template)>,
    pub(crate) timestamp: Option<(Template, TimestampFormat)>,
    pub(crate) fallbacks: Fallbacks,
}

/// The source of a series' value in its element.
#[derive(Clone, Debug)]
pub(crate) enum ValueSource {
    Number(Template, Conversion),
    /// One of these states.
    State(Template, Vec<String>),
    /// Always 1; the information is in the labels.
    Info,
    Histogram(HistogramSource),
}

impl ValueSource {
    /// The source with the results of its paths from the root. Those of a histogram are evaluated for each element.
    pub(super) fn resolved(&self, document: &Document<'_>) -> Cow<'_, Self> {
        let resolved = |template: &Template| match template.resolved(document) {
            Cow::Owned(template) => Some(template),
            Cow::Borrowed(_) => None,
        };
        let source = match self {
            Self::Number(template, conversion) => {
                resolved(template).map(|template| Self::Number(template, conversion.clone()))
            }
            Self::State(template, states) => resolved(template).map(|template| Self::State(template, states.clone())),
            Self::Info | Self::Histogram(_) => None,
        };
        source.map_or(Cow::Borrowed(self), Cow::Owned)
    }
}

/// The sources of a histogram's parts.
#[derive(Clone, Debug)]
pub(crate) struct HistogramSource {
    /// A path with one match per bucket.
    pub(crate) buckets: Template,
    pub(crate) bounds: BucketBounds,
    /// The count, in a bucket.
    pub(crate) value: Template,
    /// Whether a bucket's count includes the buckets below it.
    pub(crate) cumulative: bool,
    pub(crate) sum: Option<Template>,
    pub(crate) count: Option<Template>,
    /// The factor from the page's unit to the base unit, for bounds and sum.
    pub(crate) scale: f64,
}

/// The source of the buckets' upper bounds.
#[derive(Clone, Debug)]
pub(crate) enum BucketBounds {
    /// In each bucket.
    Bucket(Template),
    /// In a list next to the buckets.
    List(Template),
    /// In the configuration.
    Fixed(Vec<f64>),
}

/// The format of a sample's timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimestampFormat {
    /// Integer milliseconds since the epoch.
    Milliseconds,
    /// Any format of [`super::conversion::timestamp`].
    Any,
}

/// What replaces a series' value that cannot be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fallbacks {
    pub(crate) missing: Fallback,
    pub(crate) null: Fallback,
    pub(crate) invalid: Fallback,
    /// Whether a duplicate series is left out without a failure.
    pub(crate) skip_duplicates: bool,
}

/// What replaces a value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Fallback {
    /// The series is left out, and the read fails.
    #[default]
    Fail,
    /// The series is left out.
    Skip,
    /// The series has this value.
    Number(f64),
}
