//! Counters and health of one log: results of its lines, unread data, errors.

/// The counters and health of one `--access-log`.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogHealth {
    /// The value of the flag.
    pub(crate) source: String,
    /// Indexed by [`LineResult`].
    pub(crate) lines: [u64; 5],
    pub(crate) read_bytes: u64,
    pub(crate) rotations: u64,
    pub(crate) truncations: u64,
    pub(crate) open_errors: u64,
    pub(crate) read_errors: u64,
    /// Bytes that were seen in files, and are gone without being counted.
    pub(crate) lost_bytes: u64,
    /// Whether it consists of files, whose unread bytes are known.
    pub(crate) is_file: bool,
    /// The inode of its UDP socket.
    pub(crate) udp_inode: Option<u64>,
    /// Messages that the kernel dropped because the socket's buffer was full.
    pub(crate) dropped: Option<u64>,
    /// Syslog connections that were closed to make room for others; `None` without syslog over TCP.
    pub(crate) evicted_connections: Option<u64>,
    /// Unread bytes in its files.
    pub(crate) lag: u64,
    /// The timestamp of the last line read, in seconds since the epoch.
    pub(crate) last_time: Option<f64>,
    /// The current error.
    pub(crate) fault: Option<String>,
}

/// The result of parsing a line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LineResult {
    /// The line matches the format.
    Matched,
    /// The line does not match the format.
    Unmatched,
    /// The line is longer than the limit.
    TooLong,
    /// The line matches, but a numeric field is not a number. Its request is counted.
    ValueError,
    /// A flag excludes the line.
    Dropped,
}

impl LineResult {
    /// All results, in the order of [`LogHealth::lines`].
    pub(crate) const ALL: [Self; 5] = [Self::Matched, Self::Unmatched, Self::TooLong, Self::ValueError, Self::Dropped];

    /// The result of a line that matches, by whether its numbers are valid.
    #[inline]
    pub(crate) fn of(valid: bool) -> Self {
        if valid { Self::Matched } else { Self::ValueError }
    }

    /// The value of the label `result`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Unmatched => "unmatched",
            Self::TooLong => "too_long",
            Self::ValueError => "value_error",
            Self::Dropped => "dropped",
        }
    }
}
