//! What is known of one log itself: how its lines were read, how far, and whether it is there.

/// The counters of one `--access-log`, and its present state.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogHealth {
    /// What the flag says.
    pub(crate) source: String,
    /// By [`LineResult`].
    pub(crate) lines: [u64; 4],
    pub(crate) read_bytes: u64,
    pub(crate) rotations: u64,
    pub(crate) truncations: u64,
    pub(crate) open_errors: u64,
    pub(crate) read_errors: u64,
    /// Those of the four above that are in the state file, where there is one.
    pub(crate) saved: Option<FileEventCounts>,
    /// Whether it is made of files, which have places to be behind at.
    pub(crate) is_file: bool,
    /// The number of its socket, if it is one for UDP.
    pub(crate) udp_inode: Option<u64>,
    /// Messages that the kernel dropped before they could be read, as it counts them for the socket.
    pub(crate) dropped: Option<u64>,
    /// Bytes that are in its files and were not read.
    pub(crate) lag: u64,
    /// When the last line that was read was written, in seconds since the epoch, where the log says so.
    pub(crate) last_time: Option<f64>,
    /// What is wrong with it at present.
    pub(crate) fault: Option<String>,
}

/// What happened to a log besides lines. After a restart lines are counted again that are not in the state file, these are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileEventCounts {
    pub(crate) rotations: u64,
    pub(crate) truncations: u64,
    pub(crate) open_errors: u64,
    pub(crate) read_errors: u64,
}

impl LogHealth {
    /// What happened, as it may be shown: with a state file no more than what the next process knows of, too, or else a
    /// counter would be seen to go down.
    pub(crate) fn incidents(&self) -> FileEventCounts {
        let &Self { rotations, truncations, open_errors, read_errors, .. } = self;
        self.saved.unwrap_or(FileEventCounts { rotations, truncations, open_errors, read_errors })
    }
}

/// How reading a line ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LineResult {
    /// It has the format.
    Matched,
    /// It has not.
    Unmatched,
    /// It is longer than what is read of a line.
    TooLong,
    /// It has the format, but where a number is due there is none. Its request counts.
    ValueError,
}

impl LineResult {
    /// Every outcome, in the order of [`LogHealth::lines`].
    pub(crate) const ALL: [Self; 4] = [Self::Matched, Self::Unmatched, Self::TooLong, Self::ValueError];

    /// The value of the label `result`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Unmatched => "unmatched",
            Self::TooLong => "too_long",
            Self::ValueError => "value_error",
        }
    }
}
