//! A stream and its consumer groups, as `XINFO` reports them.

use anyhow::{Context, Result};

use crate::queue_system::{Counter, Statistics};
use crate::redis::{Value, command_error, count, field, list, text};

/// The id of an entry: time and sequence number.
pub(super) type EntryId = (u64, u64);

const ZERO: EntryId = (0, 0);

#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) length: Option<u64>,
    /// The number of entries ever added; unknown before Redis 7.
    pub(super) added: Option<u64>,
    last: EntryId,
    first: Option<EntryId>,
    /// The largest id that was deleted with `XDEL`; trimming does not change it.
    max_deleted: EntryId,
    memory: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) name: String,
    /// The id of the last delivered entry, as Redis writes it.
    pub(super) position: String,
    pub(super) position_id: EntryId,
    pub(super) pending: Option<u64>,
    consumers: Option<u64>,
    /// The position of the group as a number of entries, which Redis may not know.
    pub(super) entries_read: Option<u64>,
    lag: Option<u64>,
}

impl Stream {
    /// Parses the replies to `XINFO STREAM` and `MEMORY USAGE`.
    pub(super) fn parse(stream: &Value, memory: &Value) -> Result<Self> {
        let stream = list(stream)?;
        let number = |name| field(stream, name).map(count).transpose().map(Option::flatten);
        let id = |name| field(stream, name).and_then(|id| parse_id(text(id).ok()??));
        let memory = match memory {
            Value::Error(error) if error.code() != "NOPERM" => return Err(command_error(error)),
            Value::Error(_) => None, // the permission is optional
            memory => count(memory)?,
        };
        let first = field(stream, "first-entry").and_then(|entry| list(entry).ok()?.first());
        Ok(Self {
            length: number("length")?,
            added: number("entries-added")?,
            last: id("last-generated-id").unwrap_or_default(),
            first: first.and_then(|id| parse_id(text(id).ok()??)),
            max_deleted: id("max-deleted-entry-id").unwrap_or_default(),
            memory,
        })
    }

    /// Parses the reply to `XINFO GROUPS`.
    pub(super) fn groups(&self, reply: &Value) -> Result<Vec<Group>> {
        list(reply)?.iter().map(|group| Group::parse(list(group)?)).collect::<Result<_>>().context("a group")
    }

    pub(super) fn statistics(&self) -> Statistics {
        Statistics {
            enqueued: Counter::single(self.added),
            memory_bytes: self.memory,
            stream_length: self.length,
            ..Statistics::default()
        }
    }

    /// The average size of an entry, at least 1.
    pub(super) fn bytes_per_entry(&self) -> u64 {
        const UNKNOWN: u64 = 1024;
        self.memory.zip(self.length).map_or(UNKNOWN, |(memory, length)| memory / length.max(1)).max(1)
    }

    /// How many of the first entries were trimmed. Entries that consumers deleted with `XDEL` after processing are not
    /// distinguishable from trimmed ones, so a stream with such deletions counts as not trimmed.
    pub(super) fn trimmed(&self) -> u64 {
        match (self.length, self.added) {
            (Some(length), Some(added)) if self.max_deleted == ZERO => added.saturating_sub(length),
            _ => 0,
        }
    }
}

impl Group {
    fn parse(group: &[Value]) -> Result<Self> {
        let number = |name| field(group, name).map(count).transpose().map(Option::flatten);
        let word = |name| field(group, name).and_then(|value| text(value).ok().flatten()).map(str::to_owned);
        let position = word("last-delivered-id").unwrap_or_default();
        // negative after XGROUP with an ENTRIESREAD above the number of entries
        let lag = field(group, "lag").filter(|lag| !matches!(lag, Value::Int(..0)));
        Ok(Self {
            name: word("name").context("its name is missing")?,
            position_id: parse_id(&position).unwrap_or_default(),
            position: if position.is_empty() { "0-0".to_owned() } else { position },
            pending: number("pending")?,
            consumers: number("consumers")?,
            entries_read: number("entries-read")?,
            lag: lag.map(count).transpose()?.flatten(),
        })
    }

    pub(super) fn statistics(&self) -> Statistics {
        Statistics { in_flight: self.pending, consumers: self.consumers, ..Statistics::default() }
    }

    /// The number of entries after the position; `counted` if they were counted. The lag that Redis reports includes
    /// entries that were trimmed before the group read them.
    pub(super) fn ready(&self, stream: &Stream, counted: Option<u64>) -> Option<u64> {
        if self.is_at_end(stream) {
            return Some(0);
        }
        if stream.first.is_some_and(|first| self.position_id < first) || self.position_id == ZERO {
            return stream.length;
        }
        // a lag that is not below the length cannot be right: the entry at the position is not waiting
        counted.or(self.lag.filter(|lag| stream.length.is_none_or(|length| *lag < length)))
    }

    /// Whether no entry is waiting.
    pub(super) fn is_at_end(&self, stream: &Stream) -> bool {
        self.position_id >= stream.last
    }

    /// Whether the number of waiting entries is known without counting them.
    pub(super) fn lag_is_reliable(&self, stream: &Stream) -> bool {
        let outside = self.is_at_end(stream) || stream.first.is_none_or(|first| self.position_id < first);
        outside || self.lag.is_some() && stream.added.is_some() && stream.added == stream.length
    }

    /// The position as the number of entries up to it; `None` if deleted entries after it make that unknown.
    pub(super) fn position_number(&self, stream: &Stream, ready: Option<u64>) -> Option<u64> {
        if stream.max_deleted > self.position_id {
            return self.entries_read.filter(|_| self.lag.is_some());
        }
        stream.added?.checked_sub(ready?)
    }

    /// Whether the group has read nothing since it was created at the beginning of the stream.
    pub(super) fn is_new(&self) -> bool {
        self.position_id == ZERO
    }
}

fn parse_id(id: &str) -> Option<EntryId> {
    let (time, sequence) = id.split_once('-')?;
    Some((time.parse().ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::String(text.to_owned().into())
    }

    fn fields(fields: Vec<(&str, Value)>) -> Value {
        Value::Array(fields.into_iter().flat_map(|(name, value)| [bulk(name), value]).collect())
    }

    /// A stream whose entries have the ids `1-0`, `2-0` and so on.
    pub(in super::super) fn stream(length: i64, added: i64) -> Stream {
        let id = |number: i64| bulk(&format!("{number}-0"));
        let first = Value::Array(vec![id(added - length + 1), Value::Array(Vec::new())]);
        let reply = fields(vec![
            ("length", Value::Int(length)),
            ("entries-added", Value::Int(added)),
            ("last-generated-id", id(added)),
            ("first-entry", if length > 0 { first } else { Value::Nil }),
            ("max-deleted-entry-id", bulk("0-0")),
        ]);
        Stream::parse(&reply, &Value::Nil).unwrap()
    }

    pub(in super::super) fn group(position: u64, entries_read: Option<i64>, lag: Option<i64>) -> Group {
        let number = |number: Option<i64>| number.map_or(Value::Nil, Value::Int);
        let reply = fields(vec![
            ("name", bulk("g")),
            ("consumers", Value::Int(2)),
            ("pending", Value::Int(0)),
            ("last-delivered-id", bulk(&format!("{position}-0"))),
            ("entries-read", number(entries_read)),
            ("lag", number(lag)),
        ]);
        Group::parse(list(&reply).unwrap()).unwrap()
    }

    #[test]
    fn the_depth_is_the_number_of_entries_after_the_position() {
        assert_eq!(group(3, Some(3), Some(4)).ready(&stream(7, 7), None), Some(4));
        assert_eq!(group(43, Some(43), Some(8)).ready(&stream(10, 51), Some(8)), Some(8));
        assert_eq!(group(3, Some(3), Some(97)).ready(&stream(10, 100), None), Some(10), "87 were trimmed unread");
        assert_eq!(group(110, Some(13), Some(97)).ready(&stream(10, 110), None), Some(0), "read to the end");
        assert_eq!(group(105, Some(8), Some(102)).ready(&stream(10, 110), None), None, "an impossible lag");
        assert_eq!(group(105, Some(8), Some(102)).ready(&stream(10, 110), Some(5)), Some(5));
        assert_eq!(group(2, Some(100), Some(-98)).ready(&stream(2, 2), None), Some(0), "a negative lag");
    }

    #[test]
    fn a_lag_that_redis_does_not_know_is_counted() {
        let (behind, of) = (group(3, None, None), stream(7, 7));
        assert!(!behind.lag_is_reliable(&of));
        assert_eq!([behind.ready(&of, None), behind.ready(&of, Some(4))], [None, Some(4)]);
        assert_eq!(group(0, None, None).ready(&of, None), Some(7), "it has read nothing");
        assert!(group(7, None, None).lag_is_reliable(&of) && group(3, Some(3), Some(4)).lag_is_reliable(&of));
        assert!(!group(105, Some(105), Some(5)).lag_is_reliable(&stream(10, 110)), "a trimmed stream");
    }
}
