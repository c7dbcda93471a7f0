//! Reads the new events of several queues.

use std::collections::HashMap;

use anyhow::Result;

use super::events::EventId;
use crate::read_error::{Reason, read_error};
use crate::redis::{Commands, RedisClient, Replies, Value, list, text};

/// Where to continue in the events of a queue.
pub(super) struct EventPosition {
    /// The last counted event.
    pub(super) last: EventId,
    /// Whether to check that it still exists.
    pub(super) check_last: bool,
}

/// The new events of a queue.
pub(super) struct StreamEvents {
    pub(super) events: Result<Vec<Value>>,
    /// Whether the last counted event was removed, if that was checked. If so, later events may be missing.
    pub(super) last_is_removed: bool,
}

/// The position before the first event.
pub(super) const BEGINNING: EventId = (0, 0);

pub(super) fn events_key(base: &str) -> String {
    format!("{base}:events")
}

/// The events of queues after their positions, at most `size` of each.
pub(super) async fn read_streams(
    redis: &RedisClient,
    bases: &[&str],
    positions: &[EventPosition],
    size: usize,
) -> Result<Vec<StreamEvents>> {
    let size = size.to_string();
    // most queues have no new events: one command for all of them is much less work
    if !redis.is_cluster()
        && positions.iter().all(|position| !position.check_last)
        && let Some(streams) = read_together(redis, bases, positions, &size).await?
    {
        return Ok(streams);
    }
    let mut commands = Commands::with_capacity(bases.len() * 2);
    for (base, position) in bases.iter().zip(positions) {
        let (key, last) = (events_key(base), id(&position.last));
        commands.add(&["XREAD", "COUNT", &size, "STREAMS", &key, &last]);
        if position.check_last {
            commands.add(&["XRANGE", &key, &last, &last, "COUNT", "1"]);
        }
    }
    let mut replies = Replies::new(redis.query(&commands).await?);
    let streams = positions.iter().map(|position| {
        let [reply] = replies.next();
        let last_is_removed = position.check_last && {
            let [reply] = replies.next();
            position.last != BEGINNING && list(&reply).is_ok_and(<[_]>::is_empty)
        };
        let events = streams(reply).map(|streams| streams.into_iter().next().map(|(_, events)| events));
        StreamEvents { events: events.map(Option::unwrap_or_default), last_is_removed }
    });
    Ok(streams.collect())
}

/// The same with one command; `None` if one of the keys cannot be read, which is then an error for all of them.
async fn read_together(
    redis: &RedisClient,
    bases: &[&str],
    positions: &[EventPosition],
    size: &str,
) -> Result<Option<Vec<StreamEvents>>> {
    let keys: Vec<String> = bases.iter().map(|base| events_key(base)).collect();
    let ids: Vec<String> = positions.iter().map(|position| id(&position.last)).collect();
    let mut words = vec!["XREAD", "COUNT", size, "STREAMS"];
    words.extend(keys.iter().chain(&ids).map(String::as_str));
    let mut commands = Commands::default();
    commands.add(&words);
    let reply = redis.query(&commands).await?.pop().unwrap_or_default();
    if matches!(reply, Value::Error(_)) {
        return Ok(None);
    }
    let mut streams: HashMap<_, _> = streams(reply)?.into_iter().collect();
    let of_key = |key| StreamEvents { events: Ok(streams.remove(key).unwrap_or_default()), last_is_removed: false };
    Ok(Some(keys.iter().map(of_key).collect()))
}

fn id((time, sequence): &EventId) -> String {
    format!("{time}-{sequence}")
}

/// The streams in the reply to `XREAD` that have new events: the key and the events of each.
fn streams(reply: Value) -> Result<Vec<(String, Vec<Value>)>> {
    let streams = match reply {
        Value::Array(streams) => streams,
        reply => return list(&reply).map(|_| Vec::new()),
    };
    let stream = |stream| match stream {
        Value::Array(parts) => match <[Value; 2]>::try_from(parts) {
            Ok([key, Value::Array(events)]) => Ok((text(&key)?.unwrap_or_default().to_owned(), events)),
            _ => Err(read_error(Reason::Protocol, "expected a key and events in a stream")),
        },
        _ => Err(read_error(Reason::Protocol, "expected streams in the reply")),
    };
    streams.into_iter().map(stream).collect()
}

/// Parses one reply with events.
#[cfg(fuzzing)]
pub(super) fn fuzz(reply: &Value) {
    let _ = streams(reply.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::decode;

    #[test]
    fn events_are_those_of_their_stream() {
        let reply = b"*2\r\n*2\r\n$1\r\na\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*0\r\n*2\r\n$1\r\nb\r\n*0\r\n";
        let read = streams(decode(reply).unwrap().unwrap()).unwrap();
        let lengths: Vec<_> = read.iter().map(|(key, events)| (key.as_str(), events.len())).collect();
        assert_eq!(lengths, [("a", 1), ("b", 0)]);
        assert!(streams(Value::Nil).unwrap().is_empty());
        for reply in [&b":1\r\n"[..], b"*1\r\n:1\r\n", b"*1\r\n*1\r\n:1\r\n", b"-WRONGTYPE x\r\n"] {
            assert!(streams(decode(reply).unwrap().unwrap()).is_err());
        }
    }
}
