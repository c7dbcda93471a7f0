//! From a document to families, as a module's metrics say. What one metric cannot find costs its own series only.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use exporter_common::{Family, Histogram, Kind};

use crate::json::document::Document;
use crate::json::jsonpath::{Match, PathError, Template, TemplateValue};
use crate::metrics::conversion::{self, Conversion};
use crate::metrics::failures::{FailureReason, ReadError};

/// One metric of a module, or with `values` several that share their elements and labels.
#[derive(Debug)]
pub(crate) struct Metric {
    /// The name in the configuration.
    pub(crate) name: String,
    pub(crate) help: String,
    /// The page it is read from, a position in the module's list.
    pub(crate) page: usize,
    pub(crate) kind: Kind,
    /// What becomes a series each: the matches of this path, or the document itself.
    pub(crate) elements: Option<Template>,
    /// The whole name of each family with the value in an element.
    pub(crate) values: Vec<(String, ValueSource)>,
    pub(crate) labels: Vec<(String, Template)>,
    pub(crate) timestamp: Option<(Template, TimestampFormat)>,
    pub(crate) policy: FallbackPolicy,
}

/// How the value of a series is read in its element.
#[derive(Debug)]
pub(crate) enum ValueSource {
    Number(Template, Conversion),
    /// One of these states.
    State(Template, Vec<String>),
    /// Always 1: what is said stands in the labels.
    Info,
    Histogram(HistogramSource),
}

/// Where the parts of a histogram stand.
#[derive(Debug)]
pub(crate) struct HistogramSource {
    /// A match for each bucket.
    pub(crate) buckets: Template,
    pub(crate) bounds: BucketBounds,
    /// In a bucket its count.
    pub(crate) value: Template,
    /// Whether a bucket's count has the counts below it in it.
    pub(crate) cumulative: bool,
    pub(crate) sum: Option<Template>,
    pub(crate) count: Option<Template>,
    /// What bounds and sum are multiplied by, to come to the base unit.
    pub(crate) scale: f64,
}

/// Where the upper bounds of a histogram's buckets stand.
#[derive(Debug)]
pub(crate) enum BucketBounds {
    /// In each bucket, or its key.
    Inside(Template),
    /// In a list beside the buckets.
    Beside(Template),
    /// In the configuration.
    Fixed(Vec<f64>),
}

/// How the time of a sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimestampFormat {
    /// As whole milliseconds.
    Milliseconds,
    /// As [`conversion::time`] reads it.
    Any,
}

/// What becomes of a series whose value cannot be had.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FallbackPolicy {
    pub(crate) missing: Fallback,
    pub(crate) null: Fallback,
    pub(crate) invalid: Fallback,
}

/// What is done instead.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Fallback {
    /// The series is left out, and the read has failed.
    #[default]
    Fail,
    /// The series is left out.
    Skip,
    /// The series has this value.
    Number(f64),
}

/// Series, or parts of them, that the document does not give.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LostSeries {
    pub(crate) metric: String,
    pub(crate) reason: LossReason,
    /// What is wrong with the first.
    pub(crate) what: String,
    /// How many they are: a page decides how many elements it has, and is not to decide how many faults are kept.
    pub(crate) count: u64,
}

/// FailureReason a series is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LossReason {
    /// The document does not have what the path names.
    Missing,
    /// It is null.
    Null,
    /// It cannot be read as what is wanted.
    Invalid,
}

impl LossReason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Null => "null",
            Self::Invalid => "invalid",
        }
    }
}

/// What was found instead of a value.
struct ValueError {
    reason: LossReason,
    what: String,
}

impl ValueError {
    fn invalid(what: impl Into<String>) -> Self {
        Self { reason: LossReason::Invalid, what: what.into() }
    }
}

impl From<PathError> for ValueError {
    fn from(error: PathError) -> Self {
        let reason = match error {
            PathError::Missing(_) => LossReason::Missing,
            PathError::Unfit(_) => LossReason::Invalid,
        };
        Self { reason, what: error.to_string() }
    }
}

/// What a metric that has only a path overlooks, or an info or histogram that has none.
const LABELS_AT_ROOT: &str = " at the document's root, where labels are read unless elements are named, as by path: '{.items[*]}' \
    with value: '{.n}'";

/// The least that the series of a page may take, in bytes of their labels: a long text of the page can stand in each.
const MAX_SERIES: usize = 8 << 20;

/// How much they may take for each value of a page that is large.
const SERIES_OF_A_VALUE: usize = 128;

/// What a series takes besides its labels.
const SERIES: usize = 64;

/// How long others wait while a page is translated.
const YIELD_INTERVAL: Duration = Duration::from_millis(2);

/// What the translation of a page may cost, whatever is in it.
struct Budget {
    until: Instant,
    /// When others last had their turn.
    turn: Instant,
    /// How many bytes of series may come.
    left: usize,
}

impl Budget {
    /// Lets others have their turn, and ends what takes too long.
    async fn time(&mut self) -> Result<(), ReadError> {
        let now = Instant::now();
        if now >= self.until {
            return Err(ReadError::new(FailureReason::Timeout, "the page takes too long to map"));
        }
        if now - self.turn > YIELD_INTERVAL {
            tokio::task::yield_now().await;
            self.turn = Instant::now();
        }
        Ok(())
    }

    fn spend(&mut self, size: usize) -> Result<(), ReadError> {
        let what = "the page gives too many series, or too long labels";
        self.left = self.left.checked_sub(size).ok_or_else(|| ReadError::new(FailureReason::TooLarge, what))?;
        Ok(())
    }
}

/// The families of the metrics that are read from one page, and what the document does not give.
pub(crate) async fn families(
    metrics: &[Metric],
    page: usize,
    document: &Document<'_>,
    until: Instant,
) -> Result<(Vec<Family>, Vec<LostSeries>), ReadError> {
    let (mut families, mut lost) = (Vec::new(), Vec::new());
    let mut budget =
        Budget { until, turn: Instant::now(), left: MAX_SERIES.max(document.values() * SERIES_OF_A_VALUE) };
    for metric in metrics {
        if metric.page == page {
            translate(metric, document, &mut budget, &mut families, &mut lost).await?;
        }
    }
    Ok((families, lost))
}

async fn translate(
    metric: &Metric,
    document: &Document<'_>,
    budget: &mut Budget,
    families: &mut Vec<Family>,
    lost: &mut Vec<LostSeries>,
) -> Result<(), ReadError> {
    budget.time().await?;
    let before = lost.len();
    let mut lose =
        |what: &str, trouble: ValueError| match lost[before..].iter_mut().find(|lost| lost.reason == trouble.reason) {
            Some(lost) => lost.count += 1,
            None => {
                let what = format!("{what}: {}", trouble.what);
                lost.push(LostSeries { metric: metric.name.clone(), reason: trouble.reason, what, count: 1 });
            }
        };
    let root = Match::Node(document.root());
    let elements = match &metric.elements {
        None => vec![root],
        Some(path) => match path.items(document, root) {
            Ok(elements) => elements,
            Err(error) => {
                let trouble = ValueError::from(error);
                if trouble.reason != LossReason::Missing || metric.policy.missing == Fallback::Fail {
                    lose(&metric.name, trouble);
                }
                return Ok(());
            }
        },
    };
    let begun = families.len();
    for (name, reading) in &metric.values {
        let names = metric.labels.iter().map(|(label, _)| label.clone());
        let own = matches!(reading, ValueSource::State(..)).then(|| name.clone()); // a state set's label has its name
        families.push(Family::new(metric.kind, name.clone(), metric.help.clone(), names.chain(own)));
    }
    for element in elements {
        budget.time().await?;
        let mut labels: Vec<Cow<'_, str>> = Vec::with_capacity(metric.labels.len() + 1);
        for (label, template) in &metric.labels {
            labels.push(template.text(document, element).unwrap_or_else(|error| {
                // a label that is empty is one that is not there; the series is whole without it
                if metric.policy.missing == Fallback::Fail {
                    let mut trouble = ValueError::from(error);
                    if metric.elements.is_none() && trouble.reason == LossReason::Missing {
                        trouble.what += LABELS_AT_ROOT;
                    }
                    lose(&format!("{} label {label}", metric.name), trouble);
                }
                Cow::Borrowed("")
            }));
        }
        let time = metric.timestamp.as_ref().and_then(|(template, moment)| {
            let time = read_time(template, *moment, document, element);
            time.map_err(|trouble| lose(&format!("{} timestamp", metric.name), trouble)).ok()
        });
        for ((name, reading), family) in metric.values.iter().zip(&mut families[begun..]) {
            let mut spent = 0;
            let mut push = |labels: &[Cow<'_, str>], value: exporter_common::Value| {
                spent += SERIES + labels.iter().map(|label| label.len()).sum::<usize>();
                match time {
                    Some(time) => family.push_at(labels, value, time),
                    None => family.push(labels, value),
                }
            };
            let read = match reading {
                ValueSource::Number(template, conversion) => {
                    number(template, conversion, document, element).map(|value| push(&labels, value.into()))
                }
                ValueSource::Info => {
                    push(&labels, 1.0.into());
                    Ok(())
                }
                ValueSource::Histogram(buckets) => {
                    histogram(buckets, document, element).map(|histogram| push(&labels, histogram.into()))
                }
                ValueSource::State(template, states) => state(template, states, document, element).map(|present| {
                    for (at, state) in states.iter().enumerate() {
                        labels.push(Cow::Borrowed(state));
                        push(&labels, f64::from(u8::from(at == present)).into());
                        labels.pop();
                    }
                }),
            };
            if let Err(trouble) = read {
                let otherwise = match trouble.reason {
                    LossReason::Missing => metric.policy.missing,
                    LossReason::Null => metric.policy.null,
                    LossReason::Invalid => metric.policy.invalid,
                };
                match otherwise {
                    Fallback::Fail => lose(name, trouble),
                    Fallback::Skip => {}
                    Fallback::Number(number) => push(&labels, number.into()),
                }
            }
            budget.spend(spent)?;
        }
    }
    Ok(())
}

/// The text of a value that must be there.
fn found<'d>(template: &'d Template, document: &'d Document<'_>, at: Match<'d>) -> Result<Cow<'d, str>, ValueError> {
    match template.value(document, at)? {
        TemplateValue::Text(text) => Ok(text),
        TemplateValue::Null => Err(ValueError { reason: LossReason::Null, what: "it is null".to_owned() }),
        TemplateValue::Other(what) => Err(ValueError::invalid(format!("it is {what}"))),
        TemplateValue::Nothing => Err(ValueError { reason: LossReason::Missing, what: "nothing matches".to_owned() }),
        TemplateValue::Several(count) => Err(ValueError::invalid(format!("{count} values match, a series has one"))),
    }
}

fn number(
    template: &Template,
    conversion: &Conversion,
    document: &Document<'_>,
    at: Match<'_>,
) -> Result<f64, ValueError> {
    conversion.number(&found(template, document, at)?).map_err(ValueError::invalid)
}

fn state(template: &Template, states: &[String], document: &Document<'_>, at: Match<'_>) -> Result<usize, ValueError> {
    let text = found(template, document, at)?;
    let exact = states.iter().position(|state| *state == text);
    exact.or_else(|| states.iter().position(|state| state.to_lowercase() == text.to_lowercase())).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        ValueError::invalid(format!("{shown:?} is none of the states {}", states.join(", ")))
    })
}

fn read_time(
    template: &Template,
    moment: TimestampFormat,
    document: &Document<'_>,
    at: Match<'_>,
) -> Result<i64, ValueError> {
    let text = found(template, document, at)?;
    let time = match moment {
        TimestampFormat::Milliseconds => text.parse().ok(),
        #[expect(clippy::cast_possible_truncation, reason = "whole and far below 2^63")]
        TimestampFormat::Any => conversion::time(&text)
            .map(|seconds| (seconds * 1000.0).round())
            .filter(|time| time.abs() < 1e17)
            .map(|time| time as i64),
    };
    let shown: String = text.chars().take(40).collect();
    time.ok_or_else(|| ValueError::invalid(format!("{shown:?} is no time")))
}

fn histogram(buckets: &HistogramSource, document: &Document<'_>, element: Match<'_>) -> Result<Histogram, ValueError> {
    let plain = Conversion::default();
    let places = buckets.buckets.items(document, element)?;
    let bounds: Vec<f64> = match &buckets.bounds {
        BucketBounds::Fixed(bounds) => bounds.clone(),
        BucketBounds::Inside(template) => {
            let bound = |place: &Match<'_>| number(template, &plain, document, *place);
            places.iter().map(bound).collect::<Result<_, _>>()?
        }
        BucketBounds::Beside(template) => {
            let itself = |item: &Match<'_>| plain.number(&item.text(document)).map_err(ValueError::invalid);
            template.items(document, element)?.iter().map(itself).collect::<Result<_, _>>()?
        }
    };
    // the last count may be that of what is above all bounds
    if !(bounds.len()..=bounds.len() + 1).contains(&places.len()) {
        let what = format!("{} buckets do not go with {} bounds", places.len(), bounds.len());
        return Err(ValueError::invalid(what));
    }
    let mut counted = Vec::new();
    for (at, place) in places.iter().enumerate() {
        let bound = bounds.get(at).map_or(f64::INFINITY, |bound| conversion::scaled(*bound, buckets.scale));
        counted.push((bound, count(number(&buckets.value, &plain, document, *place)?)?));
    }
    counted.sort_by(|a, b| a.0.total_cmp(&b.0));
    if counted.iter().any(|(bound, _)| bound.is_nan()) || counted.windows(2).any(|two| two[0].0 == two[1].0) {
        return Err(ValueError::invalid("a bound is there twice, or is no number"));
    }
    if buckets.cumulative {
        if counted.windows(2).any(|two| two[0].1 > two[1].1) {
            return Err(ValueError::invalid(
                "the counts fall from one bucket to the next; are they cumulative: false?",
            ));
        }
    } else {
        let mut below = 0_u64;
        for (_, count) in &mut counted {
            below = below.saturating_add(*count);
            *count = below;
        }
    }
    let above_all = counted.pop_if(|(bound, _)| *bound == f64::INFINITY).map(|(_, count)| count);
    let part = |template: &Option<Template>| {
        template.as_ref().map(|template| number(template, &plain, document, element)).transpose()
    };
    let total = part(&buckets.count)?.map(count).transpose()?;
    let least = above_all.or(counted.last().map(|(_, count)| *count)).unwrap_or_default();
    if total.is_some_and(|total| total < least) {
        return Err(ValueError::invalid("its count is smaller than its buckets"));
    }
    let sum = part(&buckets.sum)?.map(|sum| conversion::scaled(sum, buckets.scale));
    Ok(Histogram { buckets: counted, sum, count: total.unwrap_or(least) })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and within what a double counts")]
fn count(number: f64) -> Result<u64, ValueError> {
    let whole = number.fract() == 0.0 && (0.0..9.0e15).contains(&number);
    if whole { Ok(number as u64) } else { Err(ValueError::invalid(format!("{number} is no count"))) }
}

/// LostSeries series by metric and reason.
pub(crate) type Losses = BTreeMap<(String, LossReason), u64>;
