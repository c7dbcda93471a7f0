//! Names: the words of a key, and the words for units, types and states.

/// The words of a key in lower case, without characters that a metric's name cannot have: `heapUsed` is `heap`, `used`.
pub(super) fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous = ' ';
    let mut characters = key.chars().peekable();
    while let Some(character) = characters.next() {
        let ends_acronym = previous.is_ascii_uppercase() && characters.peek().is_some_and(char::is_ascii_lowercase);
        let in_kilobytes = words.last().is_some_and(|word| word == "k");
        let starts = character.is_ascii_uppercase()
            && (previous.is_ascii_lowercase() || previous.is_ascii_digit() || ends_acronym)
            && !in_kilobytes;
        if starts || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if character.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(character.to_ascii_lowercase());
        }
        previous = character;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether any of the words is in a list.
pub(super) fn any(words: &[String], list: &[&str]) -> bool {
    words.iter().any(|word| list.contains(&word.as_str()))
}

/// The words for a unit, with the base unit and the factor to it.
const UNITS: &[(&[&str], &str, f64)] = &[
    (&["seconds", "second", "secs", "sec"], "seconds", 1.0),
    (&["ms", "msec", "msecs", "millis", "milliseconds"], "seconds", 1e-3),
    (&["us", "usec", "micros", "microseconds"], "seconds", 1e-6),
    (&["ns", "nsec", "nanos", "nanoseconds"], "seconds", 1e-9),
    (&["minutes", "mins"], "seconds", 60.0),
    (&["hours"], "seconds", 3600.0),
    (&["days"], "seconds", 86_400.0),
    (&["bytes", "byte"], "bytes", 1.0),
    (&["kb", "kib", "kbytes", "kilobytes"], "bytes", 1024.0),
    (&["mb", "mib", "mbytes", "megabytes"], "bytes", 1_048_576.0),
    (&["gb", "gib", "gbytes", "gigabytes"], "bytes", 1_073_741_824.0),
    (&["percent", "pct", "percentage"], "ratio", 0.01),
];

/// The position of the word for a unit, the base unit, and the factor to it. `bytes_per_second` has none.
pub(super) fn unit(words: &[String]) -> Option<(usize, &'static str, f64)> {
    if any(words, &["per"]) {
        return None;
    }
    words.iter().enumerate().rev().find_map(|(at, word)| {
        let (_, unit, factor) = UNITS.iter().find(|(names, ..)| names.contains(&word.as_str()))?;
        Some((at, *unit, *factor))
    })
}

/// Words for a time since 1970, if the value is in its range.
pub(super) const TIMES: &[&str] = &[
    "time",
    "timestamp",
    "ts",
    "at",
    "since",
    "date",
    "start",
    "started",
    "updated",
    "created",
    "modified",
    "expires",
    "expiry",
    "last",
    "epoch",
    "now",
];

/// Words for a duration.
pub(super) const DURATIONS: &[&str] =
    &["uptime", "duration", "age", "elapsed", "interval", "timeout", "latency", "delay", "time"];

/// Words for a size in bytes, if the value is large.
pub(super) const SIZES: &[&str] =
    &["memory", "mem", "heap", "rss", "size", "disk", "storage", "space", "swap", "buffer", "buffers"];

/// Words for a number of events since the start.
pub(super) const COUNTERS: &[&str] = &[
    "total",
    "accepted",
    "accepts",
    "handled",
    "processed",
    "completed",
    "succeeded",
    "failed",
    "failures",
    "errors",
    "hits",
    "misses",
    "served",
    "received",
    "sent",
    "restarts",
    "evictions",
    "evicted",
    "accesses",
    "requests",
    "retries",
    "dropped",
    "rejected",
    "timeouts",
    "crashes",
    "reconnects",
    "published",
    "delivered",
    "executed",
];

/// Words for a value that can fall.
pub(super) const GAUGES: &[&str] = &[
    "current",
    "active",
    "pending",
    "idle",
    "waiting",
    "queue",
    "queued",
    "open",
    "busy",
    "running",
    "free",
    "used",
    "available",
    "max",
    "min",
    "avg",
    "average",
    "mean",
    "median",
    "limit",
    "size",
    "len",
    "length",
    "capacity",
    "percent",
    "ratio",
    "load",
    "load1",
    "load5",
    "load15",
    "temperature",
    "usage",
    "per",
    "rate",
    "lag",
    "depth",
    "backlog",
    "uptime",
    "age",
    "processes",
    "workers",
    "threads",
    "peak",
];

/// Words for one of several states.
pub(super) const STATES: &[&str] = &["status", "state", "health", "phase", "condition"];

/// Words for a text that seldom changes.
pub(super) const INFOS: &[&str] = &[
    "version",
    "revision",
    "commit",
    "build",
    "built",
    "release",
    "environment",
    "env",
    "hostname",
    "host",
    "region",
    "zone",
    "pool",
    "node",
    "name",
    "runtime",
    "mpm",
    "manager",
    "edition",
    "branch",
    "platform",
    "os",
    "arch",
];

/// Words for the label that identifies an element.
pub(super) const IDENTIFIERS: &[&str] = &[
    "name", "id", "key", "pxname", "svname", "queue", "worker", "host", "hostname", "instance", "pool", "pid", "uuid",
];

/// Groups of states: the states that one value can have.
pub(super) const STATE_GROUPS: &[&[&str]] = &[
    &["healthy", "unhealthy"],
    &["healthy", "degraded", "unhealthy"],
    &["up", "down"],
    &["up", "down", "out_of_service", "unknown"],
    &["ok", "error"],
    &["ok", "warning", "critical", "unknown"],
    &["pass", "warn", "fail"],
    &["green", "yellow", "red"],
    &["active", "inactive"],
    &["online", "offline"],
    &["enabled", "disabled"],
    &["connected", "disconnected"],
    &["open", "half_open", "closed"],
    &["running", "stopped"],
    &["idle", "running"],
    &["idle", "busy"],
    &["leader", "follower", "candidate"],
    &["primary", "replica"],
    &["master", "slave"],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_split_into_words() {
        for (key, expected) in [
            ("total_uptime", "total uptime"),
            ("heapUsedMB", "heap used mb"),
            ("Total kBytes", "total kbytes"),
            ("CPUChildrenUser", "cpu children user"),
            ("jobsPerS", "jobs per s"),
            ("jvm.memory-used", "jvm memory used"),
            ("größe", "gr e"),
            ("5xx", "5xx"),
            ("", ""),
        ] {
            assert_eq!(words(key).join(" "), expected, "{key}");
        }
    }

    #[test]
    fn a_word_for_a_unit_gives_the_base_unit() {
        let of = |key: &str| unit(&words(key));
        assert_eq!(of("latency_ms"), Some((1, "seconds", 1e-3)));
        assert_eq!(of("ms_since_start"), Some((0, "seconds", 1e-3)));
        assert_eq!(of("heap_mb"), Some((1, "bytes", 1_048_576.0)));
        assert_eq!(of("cpuPercent"), Some((1, "ratio", 0.01)));
        assert_eq!((of("BytesPerSec"), of("queue")), (None, None));
    }
}
