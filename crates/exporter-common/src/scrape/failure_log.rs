//! Logs each change between success and failure of a collector once, with a rate limit.

use std::time::Duration;

use tokio::time::Instant;

/// The burst of log lines, and the interval until another one is allowed, so that an unstable source does not fill the
/// disk.
const BURST: u32 = 100;
const REFILL: Duration = Duration::from_secs(30);

/// The last logged state, and the remaining burst.
#[derive(Debug)]
pub(crate) struct FailureLog {
    /// The logged reason of the current failure, without digits.
    logged: Option<String>,
    lines_left: u32,
    refilled: Instant,
}

/// The change to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    None,
    Failed,
    ReasonChanged,
    Recovered,
}

impl Default for FailureLog {
    fn default() -> Self {
        Self { logged: None, lines_left: BURST, refilled: Instant::now() }
    }
}

impl FailureLog {
    /// The change after a read. A failure that exceeds the rate limit is logged later, if it persists.
    pub(crate) fn transition(&mut self, error: Option<&str>) -> Transition {
        // reasons that differ only in numbers are the same
        let reason = error.map(|error| error.replace(|character: char| character.is_ascii_digit(), ""));
        let transition = match (&self.logged, &reason) {
            (None, None) => return Transition::None,
            (Some(logged), Some(reason)) if logged == reason => return Transition::None,
            (Some(_), None) => Transition::Recovered,
            (None, Some(_)) => Transition::Failed,
            (Some(_), Some(_)) => Transition::ReasonChanged,
        };
        if transition != Transition::Recovered && !self.may_log() {
            return Transition::None;
        }
        self.logged = reason;
        transition
    }

    /// Whether the last logged state is a failure.
    pub(crate) fn fails(&self) -> bool {
        self.logged.is_some()
    }

    fn may_log(&mut self) -> bool {
        let refill = (self.refilled.elapsed().as_secs() / REFILL.as_secs()).min(u64::from(BURST)) as u32;
        if refill > 0 {
            self.lines_left = (self.lines_left + refill).min(BURST);
            self.refilled = Instant::now();
        }
        let may = self.lines_left > 0;
        self.lines_left = self.lines_left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_and_a_new_reason_are_logged_once() {
        let mut log = FailureLog::default();
        for (error, expected) in [
            (None, Transition::None),
            (Some("no answer within 475ms"), Transition::Failed),
            (Some("no answer within 950ms"), Transition::None),
            (Some("refused"), Transition::ReasonChanged),
            (Some("refused"), Transition::None),
            (None, Transition::Recovered),
            (None, Transition::None),
            (Some("refused"), Transition::Failed),
        ] {
            assert_eq!(log.transition(error), expected, "{error:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unstable_source_does_not_flood_the_log() {
        let mut log = FailureLog::default();
        let mut logged = 0;
        for _ in 0..1000 {
            logged += u32::from(log.transition(Some("refused")) == Transition::Failed);
            logged += u32::from(log.transition(None) == Transition::Recovered);
        }
        assert_eq!(logged, 2 * BURST);
        assert_eq!(log.transition(Some("refused")), Transition::None);
        tokio::time::sleep(REFILL).await;
        assert_eq!(log.transition(Some("refused")), Transition::Failed, "a persistent failure is logged");
    }
}
