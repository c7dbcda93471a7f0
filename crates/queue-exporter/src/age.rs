//! How long ago something was, by a clock that counts from the epoch.

use std::time::SystemTime;

/// Seconds since the epoch by this host's clock.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// How many seconds ago a time was; 0 where another clock is ahead of ours. `None` for what cannot be a
/// time of a message: a number that began to count somewhere else than at the epoch.
pub(crate) fn seconds_since(then: f64, now: f64) -> Option<f64> {
    const EARLIEST: f64 = 1e9; // in 2001
    const AHEAD: f64 = 86_400.0;
    (then >= EARLIEST && then <= now + AHEAD).then(|| (now - then).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_has_no_age() {
        assert_eq!(seconds_since(1.6e9, 1.6e9 + 5.0), Some(5.0));
        assert_eq!(seconds_since(1.6e9 + 1.0, 1.6e9), Some(0.0));
        assert_eq!([seconds_since(7.0, 1.6e9), seconds_since(1.6e12, 1.6e9)], [None, None]);
        assert!(now() > 1.7e9);
    }
}
