//! The kinds of jobs in the demo's queues, with their rate, duration and error rate.

use std::time::Duration;

use crate::arrivals::arrival;

/// A kind of job; its name is the name of its queue.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Average number of new jobs per second.
    pub(crate) rate: f64,
    /// Number of jobs processed concurrently.
    pub(crate) workers: u16,
    /// Average processing time of a job.
    pub(crate) work: Duration,
    /// Fraction of jobs that fail.
    pub(crate) error_rate: f64,
}

/// Every kind.
pub(crate) const KINDS: [Kind; 3] = [
    Kind { name: "orders", rate: 5.0, workers: 2, work: Duration::from_millis(300), error_rate: 0.02 },
    Kind { name: "notifications", rate: 10.0, workers: 1, work: Duration::from_millis(70), error_rate: 0.05 },
    Kind { name: "analytics", rate: 1.0, workers: 3, work: Duration::from_millis(1500), error_rate: 0.1 },
];

impl Kind {
    /// Waits for the random arrival of the next job.
    pub(crate) async fn wait_for_next(&self) {
        arrival(self.rate).await;
    }

    /// The same kind with rate and processing time accelerated by a factor.
    pub(crate) fn accelerated(self, speed: u32) -> Self {
        Self { rate: self.rate * f64::from(speed), work: self.work / speed, ..self }
    }

    /// Processes a job and returns whether it succeeded.
    pub(crate) async fn process(&self) -> bool {
        tokio::time::sleep(self.work.mul_f64(2.0 * fastrand::f64())).await;
        fastrand::f64() >= self.error_rate
    }
}
