//! Processing times of Sidekiq's jobs by class, from its per-minute histograms of successful jobs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use exporter_common::Histogram;
use exporter_common::config::calendar::date_of_minute;

use crate::redis::{Commands, RedisClient, Replies, Value, command_error, list, text};
use crate::timestamp::now;

/// Upper bounds of the buckets in milliseconds, followed by +Inf.
const BOUNDS: [u32; 25] = [
    20, 30, 45, 65, 100, 150, 225, 335, 500, 750, 1100, 1700, 2500, 3800, 5750, 8500, 13_000, 20_000, 30_000, 45_000,
    65_000, 100_000, 150_000, 225_000, 335_000,
];

/// Processes write every ten seconds, by their own clocks: the number of past and future minutes that may still grow.
const PAST_MINUTES: u64 = 2;
const FUTURE_MINUTES: u64 = 1;

/// The longest time that one read covers, in minutes. Sidekiq keeps minutes for eight hours.
const MAX_MINUTES: u64 = 60;

/// The sums of all minutes since the start, by class.
pub(super) struct ProcessingTimes {
    prefix: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    classes: HashMap<String, Counts>,
    /// The last values of minutes that may still grow.
    last: HashMap<(u64, String), Counts>,
    /// The minute of the last read.
    read: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    buckets: [u64; BOUNDS.len() + 1],
    milliseconds: u64,
}

impl ProcessingTimes {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), state: Mutex::default() }
    }

    /// Reads the latest minutes and returns the sums since the first read.
    pub(super) async fn read(&self, redis: &RedisClient) -> Result<Vec<(String, Histogram)>> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "minutes since the epoch")]
        let now = (now() / 60.0) as u64;
        let first = self.state().read.map_or(now, |read| read.min(now).max(now.saturating_sub(MAX_MINUTES)));
        let first = first.saturating_sub(PAST_MINUTES); // saturating: a clock that is not set shows 1970
        let minutes: Vec<u64> = (first..=now + FUTURE_MINUTES).collect();
        let mut commands = Commands::with_capacity(minutes.len() * 2);
        for minute in &minutes {
            for key in totals_keys(*minute) {
                commands.add(&["HGETALL", &format!("{}{key}", self.prefix)]);
            }
        }
        let mut replies = Replies::new(redis.query(&commands).await?);
        let mut classes = Vec::new();
        for minute in minutes {
            let versions: [Value; 2] = replies.next();
            for (at, version) in versions.iter().enumerate() {
                for pair in list(version)?.chunks_exact(2) {
                    // failed jobs have no time
                    let class = text(&pair[0])?.and_then(|field| field.strip_suffix("|ms"));
                    if let (Some(class), Some(milliseconds)) = (class, text(&pair[1])?.and_then(|it| it.parse().ok())) {
                        classes.push((
                            minute,
                            class.to_owned(),
                            milliseconds,
                            histogram_keys(class, minute)[at].clone(),
                        ));
                    }
                }
            }
        }
        let mut commands = Commands::with_capacity(classes.len());
        for (.., key) in &classes {
            commands.add(&["GET", &format!("{}{key}", self.prefix)]);
        }
        let mut replies = Replies::new(redis.query(&commands).await?);
        let mut state = self.state();
        for (minute, class, milliseconds, _) in classes {
            let [reply] = replies.next();
            match &reply {
                Value::String(bytes) => state.update(minute, class, Counts { buckets: decode(bytes), milliseconds }),
                Value::Error(error) => return Err(command_error(error)),
                _ => {} // not written yet
            }
        }
        state.read = Some(now);
        state.last.retain(|(minute, _), _| *minute + PAST_MINUTES >= now);
        Ok(state.classes.iter().map(|(class, counts)| (class.clone(), counts.histogram())).collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds the increase of a minute.
    fn update(&mut self, minute: u64, class: String, now: Counts) {
        let total = self.classes.entry(class.clone()).or_default();
        let last = self.last.insert((minute, class), now).unwrap_or_default();
        let grown = now.milliseconds >= last.milliseconds && now.buckets.iter().zip(last.buckets).all(|(n, l)| *n >= l);
        // a decrease means that Redis lost the minute and Sidekiq restarted it
        let last = if grown { last } else { Counts::default() };
        for ((total, now), last) in total.buckets.iter_mut().zip(now.buckets).zip(last.buckets) {
            *total += now - last;
        }
        // saturating: the value is not trusted
        total.milliseconds = total.milliseconds.saturating_add(now.milliseconds - last.milliseconds);
    }
}

impl Counts {
    fn histogram(&self) -> Histogram {
        let mut count = 0;
        let mut cumulative = self.buckets.iter().map(|bucket| {
            count += bucket;
            count
        });
        let buckets = BOUNDS.iter().zip(&mut cumulative).map(|(bound, count)| (f64::from(*bound) / 1000.0, count));
        let buckets: Vec<_> = buckets.collect();
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
        let sum = self.milliseconds as f64 / 1000.0;
        Histogram::new(buckets, Some(sum), self.buckets.iter().sum())
    }
}

/// The keys of a minute's totals in version 8 and in earlier versions.
fn totals_keys(minute: u64) -> [String; 2] {
    let (year, month, day, hour, minute) = date_of_minute(minute);
    [
        format!("j|{:02}{month:02}{day:02}|{hour}:{minute:02}", year % 100),
        format!("j|{year}{month:02}{day:02}|{hour}:{minute}"),
    ]
}

/// The keys of a minute's histogram of a class in version 8 and in earlier versions.
fn histogram_keys(class: &str, minute: u64) -> [String; 2] {
    let (_, _, day, hour, minute) = date_of_minute(minute);
    [format!("h|{class}-{day}-{hour}:{minute}"), format!("{class}-{day:02}-{hour}:{minute}")]
}

/// Decodes a bit field of 16-bit counts. Redis omits zeros at the end.
fn decode(bytes: &[u8]) -> [u64; BOUNDS.len() + 1] {
    let mut counts = [0; BOUNDS.len() + 1];
    for (count, two) in counts.iter_mut().zip(bytes.chunks(2)) {
        *count = u64::from(u16::from_be_bytes([two[0], two.get(1).copied().unwrap_or(0)]));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_match_those_of_real_versions() {
        let minute = 29_919_647; // 2026-11-20 12:47; version 8.1.7 wrote the first key of each pair
        assert_eq!(totals_keys(minute), ["j|261120|12:47", "j|20261120|12:47"]);
        assert_eq!(histogram_keys("Quick", minute), ["h|Quick-20-12:47", "Quick-20-12:47"]);
        assert_eq!(totals_keys(minute - 43), ["j|261120|12:04", "j|20261120|12:4"], "not the key of ten minutes");
        assert_eq!(histogram_keys("A", minute - 15 * 1440 - 43), ["h|A-5-12:4", "A-05-12:4"]);
    }

    #[test]
    fn a_histogram_of_version_8_is_decoded() {
        let read = Counts { buckets: decode(b"\0\0\0\0\0\x07"), milliseconds: 210 }.histogram();
        assert_eq!((read.count, read.sum, read.buckets[1], read.buckets[2]), (7, Some(0.21), (0.03, 0), (0.045, 7)));
        assert_eq!(read.buckets.last(), Some(&(335.0, 7)));
        assert_eq!(decode(b"\x01")[0], 256);
    }

    #[test]
    fn a_growing_minute_is_counted_once() {
        let mut state = State::default();
        let mut update = |minute, first, milliseconds| {
            let mut buckets = [0; BOUNDS.len() + 1];
            (buckets[0], buckets[BOUNDS.len()]) = (first, 1);
            state.update(minute, "A".to_owned(), Counts { buckets, milliseconds });
            let read = state.classes["A"].histogram();
            (read.buckets[0].1, read.count, read.sum)
        };
        assert_eq!(update(1, 2, 1000), (2, 3, Some(1.0)));
        assert_eq!(update(1, 2, 1000), (2, 3, Some(1.0)), "unchanged");
        assert_eq!(update(1, 5, 1500), (5, 6, Some(1.5)));
        assert_eq!(update(2, 1, 500), (6, 8, Some(2.0)), "another minute");
        assert_eq!(update(2, 0, 500), (6, 9, Some(2.5)), "Redis lost it, and Sidekiq restarted it");
        let most = u64::MAX as f64 / 1000.0;
        assert_eq!(
            [update(3, 0, u64::MAX).2, update(3, 0, u64::MAX).2],
            [Some(most); 2],
            "an impossible value does not overflow"
        );
    }
}
