//! The keys of a queue: their contents, and their names, which contain the queue's name.

use crate::redis::escape_glob;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Ready,
    /// A sorted set by due time: messages whose time has come are ready, the others delayed.
    Scheduled,
    /// Ready messages and those in flight.
    Unfinished,
    InFlight,
    Delayed,
    Retry,
    Dead,
    Blocked,
    Completed,
    /// A counter of successful messages: a string, or the field `count` of a hash.
    Success,
    Failure,
    /// A counter of successful and failed messages.
    Processed,
    /// Exists while the queue is paused.
    Pause,
    Workers,
    /// Belongs to the queue, and is not counted.
    Other,
}

/// The key of a queue: the text before and after the queue's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    before: String,
    /// `None` for a key of all queues together.
    after: Option<String>,
}

impl KeyPattern {
    /// A prefix, and a key with `*` in place of the queue's name, or of all queues together.
    pub(super) fn new(prefix: &str, text: &str) -> Self {
        let (before, after) = text.split_once('*').map_or((text, None), |(before, after)| (before, Some(after)));
        Self { before: format!("{prefix}{before}"), after: after.map(str::to_owned) }
    }

    pub(super) fn with_prefix(self, prefix: &str) -> Self {
        Self { before: format!("{prefix}{}", self.before), ..self }
    }

    pub(super) fn is_of_one_queue(&self) -> bool {
        self.after.is_some()
    }

    pub(super) fn key(&self, queue: &str) -> String {
        match &self.after {
            Some(after) => format!("{}{queue}{after}", self.before),
            None => self.before.clone(),
        }
    }

    /// The queue of a key.
    pub(super) fn queue<'a>(&self, key: &'a str) -> Option<&'a str> {
        let name = key.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_deref()?)?;
        (!name.is_empty()).then_some(name)
    }

    /// The length without the name: of several patterns that match a key, the longest is the right one.
    pub(super) fn literal_length(&self) -> usize {
        self.before.len() + self.after.as_ref().map_or(0, String::len)
    }

    /// The pattern for a scan.
    pub(super) fn glob(&self) -> String {
        format!("{}*{}", escape_glob(&self.before), escape_glob(self.after.as_deref().unwrap_or_default()))
    }
}
