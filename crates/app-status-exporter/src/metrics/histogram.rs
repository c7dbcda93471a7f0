//! Reads a histogram from the buckets of an element.

use exporter_common::Histogram;

use super::conversion::{self, Conversion};
use super::metric::{BucketBounds, HistogramSource};
use super::value::{ValueError, number};
use crate::json::document::Document;
use crate::json::jsonpath::{Match, Template, print};

pub(super) fn histogram(
    source: &HistogramSource,
    document: &Document<'_>,
    element: Match<'_>,
) -> Result<Histogram, ValueError> {
    let plain = Conversion::default();
    let mut buckets = Vec::new();
    let matches = source.buckets.matches(document, element)?;
    let bounds = bounds(source, &matches, document, element)?;
    for (at, bucket) in matches.iter().enumerate() {
        let bound = bounds.get(at).map_or(f64::INFINITY, |bound| conversion::scaled(*bound, source.scale));
        buckets.push((bound, integer(number(&source.value, &plain, document, *bucket)?)?));
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if buckets.iter().any(|(bound, _)| bound.is_nan()) || buckets.windows(2).any(|two| two[0].0 == two[1].0) {
        return Err(ValueError::invalid("a bucket bound is duplicate or not a number"));
    }
    if source.cumulative {
        if buckets.windows(2).any(|two| two[0].1 > two[1].1) {
            return Err(ValueError::invalid("the bucket counts decrease: set cumulative: false"));
        }
    } else {
        let mut below = 0_u64;
        for (_, count) in &mut buckets {
            below = below.saturating_add(*count);
            *count = below;
        }
    }
    let infinite = buckets.pop_if(|(bound, _)| *bound == f64::INFINITY).map(|(_, count)| count);
    let part = |template: &Option<Template>| {
        template.as_ref().map(|template| number(template, &plain, document, element)).transpose()
    };
    let count = part(&source.count)?.map(integer).transpose()?;
    let bucket_total = infinite.or(buckets.last().map(|(_, count)| *count)).unwrap_or_default();
    if count.is_some_and(|count| count < bucket_total) {
        return Err(ValueError::invalid("the count is smaller than the sum of the buckets"));
    }
    let sum = part(&source.sum)?.map(|sum| conversion::scaled(sum, source.scale));
    Ok(Histogram::new(buckets, sum, count.unwrap_or(bucket_total)))
}

/// The upper bounds of the buckets. The last bucket may have none: it is the one up to infinity.
fn bounds(
    source: &HistogramSource,
    buckets: &[Match<'_>],
    document: &Document<'_>,
    element: Match<'_>,
) -> Result<Vec<f64>, ValueError> {
    let plain = Conversion::default();
    let bounds: Vec<f64> = match &source.bounds {
        BucketBounds::Fixed(bounds) => bounds.clone(),
        BucketBounds::Bucket(template) => {
            let bound = |bucket: &Match<'_>| number(template, &plain, document, *bucket);
            buckets.iter().map(bound).collect::<Result<_, _>>()?
        }
        BucketBounds::List(template) => {
            let bound = |bound: &Match<'_>| plain.number(&print(document, *bound)).map_err(ValueError::invalid);
            template.matches(document, element)?.iter().map(bound).collect::<Result<_, _>>()?
        }
    };
    if !(bounds.len()..=bounds.len() + 1).contains(&buckets.len()) {
        let message =
            format!("the number of buckets ({}) does not fit the number of bounds ({})", buckets.len(), bounds.len());
        return Err(ValueError::invalid(message));
    }
    Ok(bounds)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and exact in a double")]
fn integer(number: f64) -> Result<u64, ValueError> {
    let whole = number.fract() == 0.0 && (0.0..9.0e15).contains(&number);
    if whole { Ok(number as u64) } else { Err(ValueError::invalid(format!("{number} is not a count"))) }
}
