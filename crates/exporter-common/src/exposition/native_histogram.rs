//! Native histograms: counts in exponential buckets, whose width adapts to the range of the observations.
//!
//! Source: the specification of native histograms by Prometheus. With schema s, the bucket with index i has the upper
//! bound 2^(i · 2^-s), which it includes, and the lower bound 2^((i-1) · 2^-s), which it excludes.

use std::sync::LazyLock;

/// Observations in exponential buckets, for [`Histogram::with_native`](crate::Histogram::with_native).
///
/// It starts with eight buckets between a number and its double (schema 3), so that a quantile is at most 9 % off. If the
/// observations need more than 160 buckets, every two neighbors are merged (schema 2, and so on down to -4). Counts
/// never decrease by that.
///
/// An observation costs a few nanoseconds and no logarithm. The memory is 8 bytes for each bucket between the smallest
/// and the largest observation.
///
/// ```
/// use scrapewright::NativeHistogram;
///
/// let mut seconds = NativeHistogram::new();
/// for observation in [0.0, 0.31, 0.33, 4.0] {
///     seconds.observe(observation);
/// }
/// assert_eq!((seconds.count(), seconds.zero_count(), seconds.schema()), (4, 1, 3));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NativeHistogram {
    schema: i8,
    zero: u64,
    positive: Buckets,
    negative: Buckets,
}

/// The buckets of positive or negative observations.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Buckets {
    /// The index of the first bucket.
    pub(crate) first: i32,
    /// The number of observations in each bucket from the first to the last one with any.
    pub(crate) counts: Vec<u64>,
}

/// The limit of buckets, as recommended by Prometheus's client libraries.
const MAX_BUCKETS: usize = 160;
/// The schemas that Prometheus knows.
const SCHEMAS: std::ops::RangeInclusive<i8> = -4..=8;
const FINEST: i8 = *SCHEMAS.end();

impl Default for NativeHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl NativeHistogram {
    /// Observations whose absolute value is at most this are counted in the zero bucket: 2^-128.
    pub const ZERO_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);

    /// An empty histogram with schema 3.
    pub const fn new() -> Self {
        Self::with_schema(3)
    }

    /// An empty histogram with another schema: 2^schema buckets between a number and its double, from -4 to 8.
    pub const fn with_schema(schema: i8) -> Self {
        let schema = if schema > FINEST { FINEST } else { schema };
        let schema = if schema < *SCHEMAS.start() { *SCHEMAS.start() } else { schema };
        const EMPTY: Buckets = Buckets { first: 0, counts: Vec::new() };
        Self { schema, zero: 0, positive: EMPTY, negative: EMPTY }
    }

    /// Counts an observation. NaN is not counted.
    #[inline]
    pub fn observe(&mut self, value: f64) {
        if value > Self::ZERO_THRESHOLD {
            self.add(false, finest_index(value), 1);
        } else if value < -Self::ZERO_THRESHOLD {
            self.add(true, finest_index(-value), 1);
        } else if !value.is_nan() {
            self.zero += 1;
        }
    }

    /// Adds saved or foreign observations to the zero bucket.
    ///
    /// ```
    /// use scrapewright::NativeHistogram;
    ///
    /// let mut seconds = NativeHistogram::new();
    /// [0.0, 0.3, 4.0].into_iter().for_each(|observation| seconds.observe(observation));
    /// let mut restored = NativeHistogram::new();
    /// restored.add_zero(seconds.zero_count());
    /// seconds.positive().for_each(|(index, count)| restored.add_bucket(seconds.schema(), index, count));
    /// assert_eq!(restored, seconds);
    /// ```
    pub fn add_zero(&mut self, count: u64) {
        self.zero += count;
    }

    /// Adds saved or foreign observations to a bucket of positive observations. If its schema is coarser than this
    /// histogram's, this histogram becomes as coarse.
    pub fn add_bucket(&mut self, schema: i8, index: i32, count: u64) {
        let schema = schema.clamp(*SCHEMAS.start(), FINEST);
        while self.schema > schema {
            self.merge_neighbors();
        }
        // the finest bucket with the same upper bound
        const LAST: i32 = 2048 << FINEST; // beyond all numbers
        self.add(false, index.saturating_mul(1 << (FINEST - schema)).clamp(-LAST, LAST), count);
    }

    /// Adds all observations of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.zero += other.zero;
        while self.schema > other.schema {
            self.merge_neighbors();
        }
        for (is_negative, buckets) in [(false, &other.positive), (true, &other.negative)] {
            for (index, count) in buckets.iter().filter(|(_, count)| *count > 0) {
                self.add(is_negative, index << (FINEST - other.schema), count);
            }
        }
    }

    /// The observations since an earlier state of this histogram; `None` if a bucket has fewer than it had, so that it was
    /// reset in between.
    ///
    /// ```
    /// use scrapewright::NativeHistogram;
    ///
    /// let mut seconds = NativeHistogram::new();
    /// seconds.observe(0.3);
    /// let before = seconds.clone();
    /// seconds.observe(4.0);
    /// assert_eq!(seconds.since(&before).map(|increase| increase.count()), Some(1));
    /// assert_eq!(NativeHistogram::new().since(&before), None);
    /// ```
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let mut before = earlier.clone();
        while before.schema > self.schema {
            before.merge_neighbors();
        }
        let mut increase = self.clone();
        while increase.schema > before.schema {
            increase.merge_neighbors();
        }
        increase.zero = increase.zero.checked_sub(before.zero)?;
        for (now, before) in [(&mut increase.positive, &before.positive), (&mut increase.negative, &before.negative)] {
            for (index, count) in before.iter().filter(|(_, count)| *count > 0) {
                let bucket = now.get_mut(index)?;
                *bucket = bucket.checked_sub(count)?;
            }
        }
        Some(increase)
    }

    /// The number of all observations.
    pub fn count(&self) -> u64 {
        self.zero + self.positive.counts.iter().sum::<u64>() + self.negative.counts.iter().sum::<u64>()
    }

    /// The schema: 2^schema buckets between a number and its double.
    pub fn schema(&self) -> i8 {
        self.schema
    }

    /// The number of observations in the zero bucket.
    pub fn zero_count(&self) -> u64 {
        self.zero
    }

    /// The buckets of positive observations that are not empty: index and count.
    pub fn positive(&self) -> impl Iterator<Item = (i32, u64)> {
        self.positive.iter().filter(|(_, count)| *count > 0)
    }

    /// The buckets of negative observations that are not empty: the index by absolute value, and the count.
    #[cfg(any(test, feature = "protobuf"))]
    pub(crate) fn negative(&self) -> impl Iterator<Item = (i32, u64)> {
        self.negative.iter().filter(|(_, count)| *count > 0)
    }

    /// The memory of the buckets in bytes.
    pub(crate) fn memory(&self) -> usize {
        (self.positive.counts.capacity() + self.negative.counts.capacity()) * size_of::<u64>()
    }

    #[inline]
    fn add(&mut self, is_negative: bool, finest: i32, count: u64) {
        let index = coarser(finest, FINEST - self.schema);
        let buckets = if is_negative { &mut self.negative } else { &mut self.positive };
        match buckets.get_mut(index) {
            Some(bucket) => *bucket += count,
            None => self.add_to_new_bucket(is_negative, finest, count),
        }
    }

    #[cold]
    fn add_to_new_bucket(&mut self, is_negative: bool, finest: i32, count: u64) {
        loop {
            let index = coarser(finest, FINEST - self.schema);
            let (buckets, others) = match is_negative {
                true => (&mut self.negative, &self.positive),
                false => (&mut self.positive, &self.negative),
            };
            let most = MAX_BUCKETS.saturating_sub(others.counts.len());
            if buckets.width_with(index) <= most || self.schema == *SCHEMAS.start() {
                return buckets.extend_to(index, count);
            }
            self.merge_neighbors();
        }
    }

    /// Halves the resolution.
    fn merge_neighbors(&mut self) {
        self.schema -= 1;
        for buckets in [&mut self.positive, &mut self.negative] {
            let finer = std::mem::take(buckets);
            for (index, count) in finer.iter().filter(|(_, count)| *count > 0) {
                buckets.extend_to(coarser(index, 1), count);
            }
        }
    }
}

impl Buckets {
    fn iter(&self) -> impl Iterator<Item = (i32, u64)> {
        (self.first..).zip(self.counts.iter().copied())
    }

    #[inline]
    fn get_mut(&mut self, index: i32) -> Option<&mut u64> {
        let position = usize::try_from(i64::from(index) - i64::from(self.first)).ok()?;
        self.counts.get_mut(position)
    }

    /// The number of buckets from the first to the last, including this one.
    fn width_with(&self, index: i32) -> usize {
        if self.counts.is_empty() {
            return 1;
        }
        let last = i64::from(self.first) + self.counts.len() as i64 - 1;
        let width = last.max(index.into()) - i64::from(self.first.min(index)) + 1;
        usize::try_from(width).unwrap_or(usize::MAX)
    }

    /// Adds to a bucket, and creates the ones between it and the existing ones.
    fn extend_to(&mut self, index: i32, count: u64) {
        if self.counts.is_empty() {
            self.first = index;
        }
        let width = self.width_with(index);
        self.counts.reserve_exact(width - self.counts.len());
        if index < self.first {
            let missing = width - self.counts.len();
            self.counts.splice(..0, std::iter::repeat_n(0, missing));
            self.first = index;
        } else {
            self.counts.resize(width, 0);
        }
        if let Some(bucket) = self.get_mut(index) {
            *bucket += count;
        }
    }
}

/// The index of the bucket that contains a bucket of a schema that is larger by `steps`.
#[inline]
fn coarser(index: i32, steps: i8) -> i32 {
    let wide = i64::from(index) + (1_i64 << steps) - 1;
    (wide >> steps) as i32 // no larger than the index
}

/// The index of a number's bucket with schema 8: its exponent, and a search among the 256 bounds of each exponent.
#[inline]
fn finest_index(value: f64) -> i32 {
    const MANTISSA: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = value.to_bits();
    let mantissa = bits & ((1 << MANTISSA) - 1);
    let exponent = (bits >> MANTISSA) as i32 - 1023; // a finite positive number has no more bits
    let bounds = &*BOUNDS;
    let mut index = usize::from(bounds.starts[(mantissa >> (MANTISSA - 8)) as usize]);
    // at most two bounds have the same first eight bits; a loop would be mispredicted
    index += usize::from(bounds.mantissas[index] < mantissa);
    index += usize::from(bounds.mantissas[index] < mantissa);
    (exponent << FINEST) + index as i32 + i32::from(value == f64::INFINITY) // infinity has a separate bucket
}

/// The upper bounds of the buckets of schema 8 between a power of two and the next one.
struct Bounds {
    /// The mantissas of the bounds, ascending from the power of two itself; the last ones are above all mantissas.
    mantissas: [u64; 258],
    /// For each value of a mantissa's first eight bits, the first bound that can be its bucket's.
    starts: [u16; 256],
}

static BOUNDS: LazyLock<Bounds> = LazyLock::new(|| {
    let mut bounds = Bounds { mantissas: [u64::MAX; 258], starts: [0; 256] };
    for (index, mantissa) in bounds.mantissas[..256].iter_mut().enumerate() {
        *mantissa = (index as f64 / 256.0).exp2().to_bits() & ((1 << 52) - 1);
    }
    for (first_bits, start) in bounds.starts.iter_mut().enumerate() {
        let least = (first_bits as u64) << 44;
        *start = bounds.mantissas.partition_point(|bound| *bound < least) as u16; // at most 256
    }
    bounds
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_find_every_bound() {
        let ends = BOUNDS.starts[1..].iter().chain([&256]);
        assert!(BOUNDS.starts.iter().zip(ends).all(|(start, end)| end - start <= 2));
    }

    /// The upper bound of a bucket.
    fn upper(schema: i8, index: i32) -> f64 {
        (f64::from(index) * (-f64::from(schema)).exp2()).exp2()
    }

    fn buckets(histogram: &NativeHistogram) -> Vec<(i32, u64)> {
        histogram.positive().collect()
    }

    #[test]
    fn an_observation_is_above_the_lower_and_not_above_the_upper_bound() {
        let mut value = 1e-30;
        while value < 1e30 {
            for schema in SCHEMAS {
                let mut histogram = NativeHistogram::with_schema(schema);
                histogram.observe(value);
                let [(index, 1)] = buckets(&histogram)[..] else { panic!("{value}: {histogram:?}") };
                let tolerance = 1.0 + 1e-12; // of the test's own bounds
                assert!(value <= upper(schema, index) * tolerance, "{value}, schema {schema}: {index}");
                assert!(value * tolerance > upper(schema, index - 1), "{value}, schema {schema}: {index}");
            }
            value *= 1.000_731;
            value += value * 0.01;
        }
    }

    #[test]
    fn powers_of_two_are_exact_upper_bounds() {
        for exponent in -60..60 {
            for schema in 0..=8 {
                let mut histogram = NativeHistogram::with_schema(schema);
                let power = f64::from(exponent).exp2();
                histogram.observe(power);
                histogram.observe(power * (1.0 + f64::EPSILON));
                let index = exponent << schema;
                assert_eq!(buckets(&histogram), [(index, 1), (index + 1, 1)], "2^{exponent}, schema {schema}");
            }
        }
    }

    #[test]
    fn zeros_negatives_infinities_and_nan_are_counted_in_the_right_buckets() {
        let mut histogram = NativeHistogram::with_schema(0);
        for value in [0.0, -0.0, 1e-300, f64::MIN_POSITIVE, NativeHistogram::ZERO_THRESHOLD, f64::NAN] {
            histogram.observe(value);
        }
        assert_eq!((histogram.zero_count(), histogram.count()), (5, 5));
        histogram.observe(-3.0);
        assert_eq!(histogram.negative().collect::<Vec<_>>(), [(2, 1)]);
        histogram.observe(f64::INFINITY);
        histogram.observe(f64::MAX);
        histogram.observe(f64::NEG_INFINITY);
        assert_eq!(histogram.count(), 9);
        histogram.observe(f64::MAX);
        assert_eq!(histogram.positive().map(|(_, count)| count).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn the_number_of_buckets_is_limited_by_merging_neighbors() {
        let mut histogram = NativeHistogram::new();
        let mut value = 1e-9;
        let mut count = 0;
        while value < 1e9 {
            histogram.observe(value);
            count += 1;
            value *= 1.5;
            assert!(buckets(&histogram).len() <= MAX_BUCKETS && histogram.count() == count);
        }
        assert_eq!(histogram.schema(), 1, "60 exponents");
        let mut again = NativeHistogram::with_schema(1);
        let mut value = 1e-9;
        while value < 1e9 {
            again.observe(value);
            value *= 1.5;
        }
        assert_eq!(buckets(&histogram), buckets(&again), "merged buckets equal the buckets of the coarser schema");
    }

    #[test]
    fn histograms_of_different_schemas_are_added() {
        let (mut fine, mut coarse) = (NativeHistogram::with_schema(5), NativeHistogram::with_schema(-1));
        for value in [0.0, 0.1, 0.7, -3.0, 100.0, 5000.0] {
            fine.observe(value);
            coarse.observe(value);
        }
        let mut sum = fine.clone();
        sum.merge(&coarse);
        assert_eq!((sum.schema(), sum.count()), (-1, 12));
        coarse.merge(&fine);
        assert_eq!(sum, coarse);
        let mut restored = NativeHistogram::new();
        restored.add_zero(fine.zero_count());
        fine.positive().for_each(|(index, count)| restored.add_bucket(fine.schema(), index, count));
        let mut expected = NativeHistogram::new();
        [0.0, 0.1, 0.7, 100.0, 5000.0].into_iter().for_each(|value| expected.observe(value));
        assert_eq!(restored, expected);
    }

    #[test]
    fn an_increase_and_the_state_before_it_give_the_state_after_it() {
        let mut now = NativeHistogram::with_schema(8);
        for value in [0.0, 1.0, 1.1, -2.0] {
            now.observe(value);
        }
        let before = now.clone();
        assert_eq!(now.since(&before).map(|increase| increase.count()), Some(0));
        for value in [0.0, 1.1, 1e-9, 1e9] {
            now.observe(value); // becomes coarser
        }
        let increase = now.since(&before).unwrap();
        assert_eq!((increase.count(), increase.zero_count(), increase.schema()), (4, 1, now.schema()));
        let mut sum = before.clone();
        sum.merge(&increase);
        assert_eq!(sum, now);
        assert_eq!(before.since(&now), None);
        let mut restarted = NativeHistogram::with_schema(8);
        restarted.observe(7.0);
        assert_eq!(restarted.since(&before), None);
    }

    #[test]
    fn any_saved_bucket_is_accepted() {
        for (schema, index) in [(127, i32::MAX), (-128, i32::MIN), (8, i32::MIN), (-4, i32::MAX), (3, 0)] {
            let mut histogram = NativeHistogram::new();
            histogram.observe(1.0);
            histogram.add_bucket(schema, index, 2);
            assert_eq!(histogram.count(), 3, "{schema}, {index}");
        }
    }
}
