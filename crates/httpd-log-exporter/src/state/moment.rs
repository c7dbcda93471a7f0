//! A time in the state file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A time in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Eq, Ord, Serialize, Deserialize)]
#[serde(into = "f64", try_from = "f64")]
pub(super) struct Moment(pub(super) SystemTime);

impl From<Moment> for f64 {
    fn from(Moment(time): Moment) -> Self {
        time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }
}

impl TryFrom<f64> for Moment {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        let since = Duration::try_from_secs_f64(seconds).ok();
        let time = since.and_then(|since| UNIX_EPOCH.checked_add(since));
        time.map(Self).ok_or_else(|| format!("{seconds} is not a time in seconds since the epoch"))
    }
}
