//! The age of the oldest waiting job: the time since it was added or, if it was delayed, since the requested time.

use anyhow::Result;
use serde::Deserialize;

use crate::queue_system::ListedQueue;
use crate::redis::{Commands, RedisClient, Replies, Value, list, node_error, text};
use crate::timestamp::{now, seconds_since};

/// The jobs at both ends of a list of waiting jobs. Workers take the next job from one end. Jobs are added at the other
/// end, or with the option `lifo` at the same end.
pub(super) struct EndOfList {
    /// The position of the queue among the listed ones.
    at: usize,
    next: String,
    last: String,
}

impl EndOfList {
    pub(super) fn new(at: usize, base: &str, next: &Value, last: &Value) -> Option<Self> {
        let [next, last] = [next, last].map(|job| Some(format!("{base}:{}", text(job).ok()??)));
        Some(Self { at, next: next?, last: last? })
    }
}

/// The options of a job that affect its age.
#[derive(Default, Deserialize)]
struct JobOptions {
    #[serde(default)]
    delay: f64,
    #[serde(default)]
    lifo: bool,
}

/// Adds the ages to the statistics of the queues.
pub(super) async fn read_ages(redis: &RedisClient, listed: &mut [ListedQueue], ends: Vec<EndOfList>) -> Result<()> {
    let mut commands = Commands::with_capacity(ends.len() * 2);
    for EndOfList { next, last, .. } in &ends {
        commands.add(&["HMGET", next, "timestamp", "opts"]);
        commands.add(&["HMGET", last, "timestamp", "opts"]);
    }
    let mut replies = Replies::new(redis.query(&commands).await?);
    let now = now();
    for EndOfList { at, .. } in ends {
        let [next, last] = replies.next();
        if let Some(error) = node_error(&next).or_else(|| node_error(&last)) {
            listed[at].statistics = Some(Err(error));
        }
        if let Some(Ok(statistics)) = &mut listed[at].statistics {
            let age = oldest_age(&next, &last, now);
            statistics.oldest_age = [statistics.oldest_age, age].into_iter().flatten().reduce(f64::max);
        }
    }
    Ok(())
}

/// The age of the oldest job between the ends of a list. With jobs added at both ends, it is unknown: the oldest is
/// somewhere in the middle.
fn oldest_age(next: &Value, last: &Value, now: f64) -> Option<f64> {
    let (next, next_is_lifo) = waiting_since(next, now)?;
    let (last, last_is_lifo) = waiting_since(last, now)?;
    let oldest = match (next_is_lifo, last_is_lifo) {
        (false, false) => next,
        (true, true) => last,
        _ => return None,
    };
    seconds_since(oldest, now)
}

/// The time since which a job is ready, and whether it was added at the end from which workers take jobs.
fn waiting_since(job: &Value, now: f64) -> Option<(f64, bool)> {
    let [timestamp, options] = list(job).ok()? else { return None };
    let timestamp: f64 = text(timestamp).ok()??.parse().ok()?;
    let options = text(options).ok().flatten().and_then(|options| serde_json::from_str(options).ok());
    let JobOptions { delay, lifo } = options.unwrap_or_default();
    // a job promoted before its delay has passed is ready since an unknown time, at most the one of this read
    Some((((timestamp + delay) / 1000.0).min(now.max(timestamp / 1000.0)), lifo))
}

/// Parses one reply about a job.
#[cfg(fuzzing)]
pub(super) fn fuzz(reply: &Value) {
    assert!(oldest_age(reply, reply, now()).is_none_or(|age| age >= 0.0));
    let _ = EndOfList::new(0, "bull:a", reply, reply);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(timestamp: f64, options: &str) -> Value {
        let fields = [(timestamp * 1000.0).to_string(), options.to_owned()];
        Value::Array(fields.map(|field| Value::String(field.into())).to_vec())
    }

    #[test]
    fn the_age_excludes_a_requested_delay() {
        let now = 1_700_000_000.0;
        let age = |options| {
            let job = job(now - 7205.0, options);
            oldest_age(&job, &job, now)
        };
        assert_eq!(age(r#"{"attempts":0,"delay":7200000}"#), Some(5.0));
        assert_eq!(age(r#"{"delay":0}"#), Some(7205.0));
        assert_eq!(age("no JSON"), Some(7205.0));
        assert_eq!(age(r#"{"delay":864000000}"#), Some(0.0), "promoted early");
    }

    #[test]
    fn the_oldest_job_is_at_the_end_where_jobs_are_not_added() {
        let now = 1_700_000_000.0;
        let jobs = |options| [(now - 100.0, options), (now - 5.0, options)].map(|(time, options)| job(time, options));
        let [old, new] = jobs("{}");
        assert_eq!(oldest_age(&old, &new, now), Some(100.0));
        let [old_lifo, new_lifo] = jobs(r#"{"lifo":true}"#);
        assert_eq!(oldest_age(&new_lifo, &old_lifo, now), Some(100.0));
        assert_eq!(oldest_age(&new_lifo, &old, now), None, "jobs were added at both ends");
    }
}
