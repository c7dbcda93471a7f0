//! The time at which the oldest message of a list was enqueued, if the message contains it.

use std::collections::HashMap;

use anyhow::Result;
use serde_json::Value as Json;

use super::key::KeyPattern;
use crate::redis::{Commands, RedisClient, Replies, Value, list, text};
use crate::timestamp::{in_seconds, seconds_since};

/// Where the oldest message of a list is, and where its time is.
#[derive(Debug)]
pub(super) struct Oldest {
    /// The positions in the list that may have the oldest message.
    pub(super) ends: &'static [&'static str],
    /// A key that contains the queue's name in place of `*`.
    pub(super) key: Option<&'static str>,
    pub(super) message: Message,
}

/// Where the time of a message is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message {
    /// The item of the list is a JSON object; the first of these fields that exists is the time.
    Json(&'static [&'static str]),
    /// The item is a field of the hash in the key, whose value is such an object.
    Field(&'static [&'static str]),
    /// The key and the item are the key of a hash with the fields `timestamp` and `delay`.
    Hash,
}

/// The ages of some messages, each given as its queue and its item in the list; `None` if unknown.
pub(super) async fn ages(
    redis: &RedisClient,
    (oldest, key): (&Oldest, Option<&KeyPattern>),
    items: &[(&str, Value)],
    now: f64,
) -> Result<Vec<Option<f64>>> {
    let message = oldest.message;
    let Some(key) = key else {
        let Message::Json(fields) = message else { return Ok(vec![None; items.len()]) };
        return Ok(items.iter().map(|(_, item)| json_age(item, fields, now)).collect());
    };
    let mut commands = Commands::with_capacity(items.len());
    for (queue, item) in items {
        let item = text(item).ok().flatten().unwrap_or_default();
        let key = key.key(queue);
        match message {
            Message::Hash => commands.add(&["HMGET", &format!("{key}{item}"), "timestamp", "delay"]),
            _ => commands.add(&["HGET", &key, item]),
        }
    }
    let mut replies = Replies::new(redis.query(&commands).await?);
    let age = |_| {
        let [reply] = replies.next();
        match message {
            Message::Hash => hash_age(&reply, now),
            Message::Json(fields) | Message::Field(fields) => json_age(&reply, fields, now),
        }
    };
    Ok(items.iter().map(age).collect())
}

/// The age of a JSON object. The time is a number or a string, in seconds or milliseconds.
fn json_age(message: &Value, fields: &[&str], now: f64) -> Option<f64> {
    let object: HashMap<&str, Json> = serde_json::from_str(text(message).ok()??).ok()?;
    let time = fields.iter().find_map(|field| object.get(field).filter(|time| !time.is_null()))?;
    let time = time.as_f64().or_else(|| time.as_str()?.parse().ok())?;
    seconds_since(in_seconds(time), now)
}

/// The age of a job since the requested time, from its fields `timestamp` and `delay` in milliseconds.
fn hash_age(fields: &Value, now: f64) -> Option<f64> {
    let number = |at| text(list(fields).ok()?.get(at)?).ok()??.parse::<f64>().ok();
    let delay = number(1).filter(|delay| *delay > 0.0).unwrap_or(0.0);
    seconds_since((number(0)? + delay) / 1000.0, now)
}

/// Reads the time of a message.
#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    let message = Value::String(text.to_owned().into());
    let age = json_age(&message, &["pushedAt", "createdAt"], 1.8e9);
    assert!(age.is_none_or(|age| age >= 0.0), "{age:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value::String(text.to_owned().into())
    }

    #[test]
    fn the_time_of_a_message_is_in_seconds_or_milliseconds() {
        const NOW: f64 = 1_800_000_000.0;
        for (message, age) in [
            (r#"{"pushedAt":"1799999990.5","createdAt":1}"#, Some(9.5)),
            (r#"{"createdAt":1799999990}"#, Some(10.0)),
            (r#"{"pushedAt":null,"createdAt":1799999990000}"#, Some(10.0)),
            (r#"{"pushedAt":true}"#, None),
            (r#"{"other":1799999990}"#, None),
            ("O:8:\"Job\"", None),
            ("[]", None),
        ] {
            assert_eq!(json_age(&value(message), &["pushedAt", "createdAt"], NOW), age, "{message}");
        }
        let job = |timestamp, delay| Value::Array(vec![value(timestamp), value(delay)]);
        assert_eq!(hash_age(&job("1799999990000", "0"), NOW), Some(10.0));
        assert_eq!(hash_age(&job("1799999990000", "4000"), NOW), Some(6.0));
        assert_eq!(hash_age(&job("x", "4000"), NOW), None);
        assert_eq!(hash_age(&Value::Nil, NOW), None);
    }
}
