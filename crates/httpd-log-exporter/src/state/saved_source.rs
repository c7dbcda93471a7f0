//! The state of one log, as it is in the state file.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::metrics::health::LogHealth;
use crate::state::moment::Moment;
use crate::state::saved_file::SavedFile;
use crate::tail::Tail;

/// State of one `--access-log`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSource {
    pub(super) source: String,
    /// Indexed by [`LineResult`](crate::metrics::health::LineResult); without the dropped ones.
    pub(super) lines: [u64; 4],
    #[serde(default)]
    pub(super) dropped_lines: u64,
    pub(super) read_bytes: u64,
    pub(super) rotations: u64,
    pub(super) truncations: u64,
    pub(super) open_errors: u64,
    pub(super) read_errors: u64,
    #[serde(default)]
    pub(super) lost_bytes: u64,
    pub(super) last_time: Option<f64>,
    pub(super) last_look: Moment,
    /// Since when a running search covers files that appeared.
    #[serde(default)]
    pub(super) searched_since: Option<Moment>,
    pub(crate) files: Vec<SavedFile>,
}

impl SavedSource {
    /// A source that has not counted anything.
    pub(super) fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            lines: [0; 4],
            dropped_lines: 0,
            read_bytes: 0,
            rotations: 0,
            truncations: 0,
            open_errors: 0,
            read_errors: 0,
            lost_bytes: 0,
            last_time: None,
            last_look: Moment(UNIX_EPOCH),
            searched_since: None,
            files: Vec::new(),
        }
    }

    pub(super) fn of(index: usize, log: &LogHealth, tails: &[Tail]) -> Self {
        let [lines @ .., dropped_lines] = log.lines;
        let tail = tails.iter().find(|tail| tail.index == index);
        Self {
            source: log.source.clone(),
            lines,
            dropped_lines,
            read_bytes: log.read_bytes,
            rotations: log.rotations,
            truncations: log.truncations,
            open_errors: log.open_errors,
            read_errors: log.read_errors,
            lost_bytes: log.lost_bytes,
            last_time: log.last_time,
            last_look: Moment(tail.map_or(UNIX_EPOCH, Tail::last_look)),
            searched_since: tail.and_then(Tail::searched_since).map(Moment),
            files: tail.map(Tail::saved_files).unwrap_or_default(),
        }
    }

    pub(super) fn restore(&self, log: &mut LogHealth) {
        let lines = self.lines.into_iter().chain([self.dropped_lines]);
        log.lines.iter_mut().zip(lines).for_each(|(there, count)| *there += count);
        log.read_bytes += self.read_bytes;
        log.rotations += self.rotations;
        log.truncations += self.truncations;
        log.open_errors += self.open_errors;
        log.read_errors += self.read_errors;
        log.lost_bytes += self.lost_bytes;
        log.last_time = self.last_time;
    }

    /// When the source's paths were last looked up.
    pub(crate) fn last_look(&self) -> SystemTime {
        self.last_look.0
    }

    /// Since when files may have been rotated unseen.
    pub(crate) fn searched_since(&self) -> SystemTime {
        self.searched_since.map_or(self.last_look.0, |since| since.0)
    }
}
