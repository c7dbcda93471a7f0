//! From a document to families, as the metrics of a module define them. A value that cannot be read affects only its
//! own series.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::time::{Duration, Instant};

use exporter_common::Family;

use super::conversion::shortened;
use super::failures::{FailureReason, LossReason, LostSeries, ReadError};
use super::histogram::histogram;
use super::metric::{Fallback, Metric, ValueSource};
use super::value::{self, ValueError};
use crate::json::document::Document;
use crate::json::jsonpath::{Match, Template};

/// The hint for a label that is missing at the root, because the metric names no elements.
const LABELS_AT_ROOT: &str = " at the document's root: labels of a metric without elements are read there. Select the elements, as in \
    path: '{.items[*]}' with value: '{.n}'";

/// The minimum size limit of a page's series, in bytes of labels. A limit is needed because a long string of the page
/// can be a label of every series.
const MIN_SERIES_LIMIT: usize = 8 << 20;

/// The size limit of a large page's series, per value of the page.
const SERIES_BYTES_PER_VALUE: usize = 128;

/// The size of a series without its labels.
const SERIES_OVERHEAD: usize = 64;

/// The time after which the mapping yields to other tasks.
const YIELD_INTERVAL: Duration = Duration::from_millis(2);

/// The families of one page.
pub(crate) struct MappedPage {
    pub(crate) families: Vec<Family>,
    pub(crate) lost: Vec<LostSeries>,
    /// The series of the page, to find duplicates on other pages.
    pub(crate) series: SeriesIndex,
}

/// The hashes of series, each with the index of its metric.
pub(crate) struct SeriesIndex {
    metrics: HashMap<u64, usize>,
    hasher: RandomState,
}

impl SeriesIndex {
    /// An empty index. Only indexes with the same `hasher` can be merged.
    pub(crate) fn new(hasher: RandomState) -> Self {
        Self { metrics: HashMap::new(), hasher }
    }

    /// Adds the series of another page. Returns the duplicates.
    pub(crate) fn merge(&mut self, page: Self, metrics: &[Metric]) -> Vec<LostSeries> {
        let mut lost: Vec<LostSeries> = Vec::new();
        let mut series: Vec<_> = page.metrics.into_iter().collect();
        series.sort_unstable_by_key(|(_, index)| *index); // the order of a hash map changes
        for (hash, index) in series {
            let metric = match self.metrics.insert(hash, index) {
                Some(_) if !metrics[index].fallbacks.skip_duplicates => metrics[index].name.clone(),
                _ => continue,
            };
            match lost.iter_mut().find(|lost| lost.metric == metric) {
                Some(lost) => lost.count += 1,
                None => {
                    let message = format!("{metric}: another page has a series with the same name and labels");
                    lost.push(LostSeries { metric, reason: LossReason::Duplicate, message, count: 1 });
                }
            }
        }
        lost
    }
}

/// Maps the metrics of one page. All pages of a read need the same `hasher`.
pub(crate) async fn map(
    metrics: &[Metric],
    page: usize,
    document: &Document<'_>,
    deadline: Instant,
    hasher: &RandomState,
) -> Result<MappedPage, ReadError> {
    let mut mapped = MappedPage { families: Vec::new(), lost: Vec::new(), series: SeriesIndex::new(hasher.clone()) };
    let series_limit = MIN_SERIES_LIMIT.max(document.value_count() * SERIES_BYTES_PER_VALUE);
    let mut budget = Budget { deadline, last_yield: Instant::now(), bytes_left: series_limit };
    for (index, metric) in metrics.iter().enumerate().filter(|(_, metric)| metric.page == page) {
        let mut losses = Losses { metric: &metric.name, lost: Vec::new() };
        let mut series = (&mut mapped.series, index);
        mapped.families.extend(metric_families(metric, document, &mut budget, &mut series, &mut losses).await?);
        mapped.lost.extend(losses.lost);
    }
    Ok(mapped)
}

/// The limits of mapping one page.
struct Budget {
    deadline: Instant,
    last_yield: Instant,
    /// The size that additional series may have.
    bytes_left: usize,
}

impl Budget {
    /// Yields to other tasks from time to time; fails after the deadline.
    async fn check_time(&mut self) -> Result<(), ReadError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(ReadError::new(FailureReason::Timeout, "mapping the page takes too long"));
        }
        if now - self.last_yield > YIELD_INTERVAL {
            tokio::task::yield_now().await;
            self.last_yield = Instant::now();
        }
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), ReadError> {
        let too_large = || ReadError::new(FailureReason::TooLarge, "the page has too many series, or too long labels");
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(too_large)?;
        Ok(())
    }
}

/// The lost series of one metric, one entry per reason.
struct Losses<'m> {
    metric: &'m str,
    lost: Vec<LostSeries>,
}

impl Losses<'_> {
    fn add(&mut self, part: &str, error: ValueError) {
        match self.lost.iter_mut().find(|lost| lost.reason == error.reason) {
            Some(lost) => lost.count += 1,
            None => {
                let message = format!("{part}: {}", error.message);
                self.lost.push(LostSeries { metric: self.metric.to_owned(), reason: error.reason, message, count: 1 });
            }
        }
    }
}

async fn metric_families(
    metric: &Metric,
    document: &Document<'_>,
    budget: &mut Budget,
    series: &mut (&mut SeriesIndex, usize),
    losses: &mut Losses<'_>,
) -> Result<Vec<Family>, ReadError> {
    budget.check_time().await?;
    let root = Match::Node(document.root());
    let path = metric.elements.as_ref().map(|path| path.resolved(document));
    let elements = match path.as_ref().map(|path| path.matches(document, root)) {
        None => vec![root],
        Some(Ok(elements)) => elements,
        Some(Err(error)) => {
            let error = ValueError::from(error);
            if error.reason != LossReason::Missing || metric.fallbacks.missing == Fallback::Fail {
                losses.add(&metric.name, error);
            }
            return Ok(Vec::new());
        }
    };
    let empty_family = |(name, source): &(String, ValueSource)| {
        let labels = metric.labels.iter().map(|(label, _)| label.clone());
        let state_label = matches!(source, ValueSource::State(..)).then(|| name.clone());
        Family::new(metric.kind, name.clone(), metric.help.clone(), labels.chain(state_label))
    };
    let families: Result<Vec<_>, _> = metric.values.iter().map(empty_family).collect();
    let mut families =
        families.map_err(|error| ReadError { reason: FailureReason::Incomplete, error: error.into() })?;
    let templates: Vec<_> = metric.labels.iter().map(|(_, template)| template.resolved(document)).collect();
    let sources: Vec<_> = metric.values.iter().map(|(_, source)| source.resolved(document)).collect();
    let timestamp = metric.timestamp.as_ref().map(|(template, format)| (template.resolved(document), *format));
    for element in elements {
        budget.check_time().await?;
        let mut labels = labels(metric, &templates, document, element, losses);
        let timestamp = timestamp.as_ref().and_then(|(template, format)| {
            let timestamp = value::timestamp(template, *format, document, element);
            timestamp.map_err(|error| losses.add(&format!("{} timestamp", metric.name), error)).ok()
        });
        for (((name, _), source), family) in metric.values.iter().zip(&sources).zip(&mut families) {
            let mut samples = Samples { metric, family, timestamp, series, bytes: 0, duplicate: None };
            if let Err(error) = add_samples(source, document, element, &mut labels, &mut samples) {
                match fallback(metric, error.reason) {
                    Fallback::Fail => losses.add(name, error),
                    Fallback::Skip => {}
                    Fallback::Number(number) => samples.push(&labels, number.into()),
                }
            }
            let (bytes, duplicate) = (samples.bytes, samples.duplicate);
            if let Some(labels) = duplicate
                && !metric.fallbacks.skip_duplicates
            {
                let message = format!("duplicate series {labels}: add a label that distinguishes the elements");
                losses.add(name, ValueError { reason: LossReason::Duplicate, message });
            }
            budget.spend(bytes)?;
        }
    }
    Ok(families)
}

/// The label values of an element. A label that cannot be read is empty, which Prometheus treats as absent.
fn labels<'d>(
    metric: &Metric,
    templates: &'d [Cow<'_, Template>],
    document: &'d Document<'_>,
    element: Match<'d>,
    losses: &mut Losses<'_>,
) -> Vec<Cow<'d, str>> {
    let mut labels = Vec::with_capacity(metric.labels.len() + 1);
    for ((label, _), template) in metric.labels.iter().zip(templates) {
        labels.push(template.text(document, element).unwrap_or_else(|error| {
            if metric.fallbacks.missing == Fallback::Fail {
                let mut error = ValueError::from(error);
                if metric.elements.is_none() && error.reason == LossReason::Missing {
                    error.message += LABELS_AT_ROOT;
                }
                losses.add(&format!("{} label {label}", metric.name), error);
            }
            Cow::Borrowed("")
        }));
    }
    labels
}

/// The samples of one family for one element.
struct Samples<'f, 's> {
    metric: &'f Metric,
    family: &'f mut Family,
    timestamp: Option<i64>,
    /// The series of the page, and the index of the metric.
    series: &'f mut (&'s mut SeriesIndex, usize),
    bytes: usize,
    /// The labels of a series that exists already. The exposition keeps the first one.
    duplicate: Option<String>,
}

impl Samples<'_, '_> {
    fn push(&mut self, labels: &[Cow<'_, str>], value: exporter_common::Value) {
        let hash = self.hash(labels);
        if self.series.0.metrics.insert(hash, self.series.1).is_some() && self.duplicate.is_none() {
            self.duplicate = Some(self.describe(labels));
        }
        self.bytes += SERIES_OVERHEAD + labels.iter().map(|label| label.len()).sum::<usize>();
        match self.timestamp {
            Some(timestamp) => self.family.push_at(labels, value, timestamp),
            None => self.family.push(labels, value),
        }
    }
}

impl Samples<'_, '_> {
    /// A hash of the name and labels. An empty label counts as absent, as in Prometheus.
    fn hash(&self, labels: &[Cow<'_, str>]) -> u64 {
        let mut hasher = self.series.0.hasher.build_hasher();
        self.family.name().hash(&mut hasher);
        let mut pairs: Vec<_> = self.label_pairs(labels).collect();
        pairs.sort_unstable();
        pairs.hash(&mut hasher);
        hasher.finish()
    }

    fn describe(&self, labels: &[Cow<'_, str>]) -> String {
        let mut text = self.family.name().to_owned();
        let mut separator = '{';
        for (name, value) in self.label_pairs(labels) {
            let _ = write!(text, "{separator}{name}={}", shortened(value));
            separator = ',';
        }
        text + if separator == ',' { "}" } else { "" }
    }

    fn label_pairs<'l>(&'l self, labels: &'l [Cow<'_, str>]) -> impl Iterator<Item = (&'l str, &'l str)> {
        let names = self.metric.labels.iter().map(|(name, _)| name.as_str()).chain([self.family.name()]);
        names.zip(labels.iter().map(|label| &**label)).filter(|(_, value)| !value.is_empty())
    }
}

fn add_samples<'d>(
    source: &'d ValueSource,
    document: &'d Document<'_>,
    element: Match<'d>,
    labels: &mut Vec<Cow<'d, str>>,
    samples: &mut Samples<'_, '_>,
) -> Result<(), ValueError> {
    match source {
        ValueSource::Number(template, conversion) => {
            samples.push(labels, value::number(template, conversion, document, element)?.into());
        }
        ValueSource::Info => samples.push(labels, 1.0.into()),
        ValueSource::Histogram(source) => samples.push(labels, histogram(source, document, element)?.into()),
        ValueSource::State(template, states) => {
            let current = value::state(template, states, document, element)?;
            for (at, state) in states.iter().enumerate() {
                labels.push(Cow::Borrowed(state));
                samples.push(labels, f64::from(u8::from(at == current)).into());
                labels.pop();
            }
        }
    }
    Ok(())
}

fn fallback(metric: &Metric, reason: LossReason) -> Fallback {
    match reason {
        LossReason::Missing => metric.fallbacks.missing,
        LossReason::Null => metric.fallbacks.null,
        LossReason::Invalid | LossReason::Duplicate => metric.fallbacks.invalid,
    }
}
