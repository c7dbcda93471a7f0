//! What the demo's queues carry: three kinds of jobs, which take time and now and then fail.

use std::time::Duration;

/// A queue's name, and how its jobs behave.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Jobs that come in a second, on average.
    pub(crate) rate: f64,
    /// How many jobs are worked on at once.
    pub(crate) workers: u16,
    /// How long the work on a job takes, on average.
    pub(crate) work: Duration,
    /// The share of jobs that fail.
    pub(crate) failing: f64,
}

/// Every queue.
pub(crate) const KINDS: [Kind; 3] = [
    Kind { name: "orders", rate: 5.0, workers: 2, work: Duration::from_millis(300), failing: 0.02 },
    Kind { name: "notifications", rate: 10.0, workers: 1, work: Duration::from_millis(70), failing: 0.05 },
    Kind { name: "analytics", rate: 1.0, workers: 3, work: Duration::from_millis(1500), failing: 0.1 },
];

impl Kind {
    /// Waits until the next job comes: at random, `rate` in a second.
    pub(crate) async fn next(&self) {
        crate::load::pause(self.rate).await;
    }

    /// The same, so many times as fast.
    pub(crate) fn times(self, speed: u32) -> Self {
        Self { rate: self.rate * f64::from(speed), work: self.work / speed, ..self }
    }

    /// Works on a job: takes its time, and tells whether it went well.
    pub(crate) async fn work(&self) -> bool {
        tokio::time::sleep(self.work.mul_f64(2.0 * fastrand::f64())).await;
        fastrand::f64() >= self.failing
    }
}
