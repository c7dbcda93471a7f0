//! What is logged of a collector: each change between success and failure once, and no flood of them.

use std::time::Duration;

use tokio::time::Instant;

/// How many lines may come at once, and how long it takes until there may be one more. A source that
/// fails every other second fills no disk.
const BURST: u32 = 100;
const REFILL: Duration = Duration::from_secs(30);

/// The last state that was logged, and how many lines may still be.
#[derive(Debug)]
pub(crate) struct Changes {
    /// The reason that was told, while failing, without its numbers.
    told: Option<String>,
    lines_left: u32,
    refilled: Instant,
}

/// A line that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Failed,
    FailsOtherwise,
    Recovered,
}

impl Default for Changes {
    fn default() -> Self {
        Self { told: None, lines_left: BURST, refilled: Instant::now() }
    }
}

impl Changes {
    /// What is to be said of a read that has ended so. A failure that was not told because there were
    /// too many lines is told later, if it lasts.
    pub(crate) fn due(&mut self, error: Option<&str>) -> Due {
        // a reason is the same whatever number of milliseconds or bytes it names
        let reason = error.map(|error| error.replace(|character: char| character.is_ascii_digit(), ""));
        let due = match (&self.told, &reason) {
            (None, None) => return Due::Nothing,
            (Some(told), Some(reason)) if told == reason => return Due::Nothing,
            (Some(_), None) => Due::Recovered,
            (None, Some(_)) => Due::Failed,
            (Some(_), Some(_)) => Due::FailsOtherwise,
        };
        if due != Due::Recovered && !self.may_say() {
            return Due::Nothing;
        }
        self.told = reason;
        due
    }

    fn may_say(&mut self) -> bool {
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
    async fn a_change_is_told_once_and_a_new_reason_too() {
        let mut changes = Changes::default();
        for (error, expected) in [
            (None, Due::Nothing),
            (Some("no answer within 475ms"), Due::Failed),
            (Some("no answer within 950ms"), Due::Nothing),
            (Some("refused"), Due::FailsOtherwise),
            (Some("refused"), Due::Nothing),
            (None, Due::Recovered),
            (None, Due::Nothing),
            (Some("refused"), Due::Failed),
        ] {
            assert_eq!(changes.due(error), expected, "{error:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_flaps_does_not_flood_the_log() {
        let mut changes = Changes::default();
        let mut told = 0;
        for _ in 0..1000 {
            told += u32::from(changes.due(Some("refused")) == Due::Failed);
            told += u32::from(changes.due(None) == Due::Recovered);
        }
        assert_eq!(told, 2 * BURST);
        assert_eq!(changes.due(Some("refused")), Due::Nothing);
        tokio::time::sleep(REFILL).await;
        assert_eq!(changes.due(Some("refused")), Due::Failed, "a failure that lasts is told");
    }
}
