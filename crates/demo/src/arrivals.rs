//! Random arrival times.

use std::time::Duration;

/// Waits for the next of events that arrive at random, on average `rate` per second.
pub(crate) async fn arrival(rate: f64) {
    let seconds = -(1.0 - fastrand::f64()).ln() / rate;
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}
