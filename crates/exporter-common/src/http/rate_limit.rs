//! Limits the rate of requests with a token bucket.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The limit of `rate_limit`, which all listeners share.
#[derive(Debug)]
pub(crate) struct RateLimit {
    interval: Duration,
    burst: u32,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl RateLimit {
    /// A full bucket. A bucket of size 0 allows no requests.
    #[cfg_attr(not(feature = "yaml"), expect(dead_code, reason = "set by the web configuration file"))]
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        let bucket = Bucket { tokens: f64::from(burst), filled: Instant::now() };
        Self { interval, burst, bucket: Mutex::new(bucket) }
    }

    /// Takes a token for one request, if one is available.
    pub(crate) fn allows(&self) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner); // always consistent
        let now = Instant::now();
        let gained = (now - bucket.filled).as_secs_f64() / self.interval.as_secs_f64();
        bucket.tokens = (bucket.tokens + gained).min(f64::from(self.burst));
        bucket.filled = now;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_allows_a_burst_and_then_one_request_per_interval() {
        let limit = RateLimit::new(Duration::from_secs(2), 3);
        let allowed = |times: usize| (0..times).filter(|_| limit.allows()).count();
        assert_eq!(allowed(10), 3);
        tokio::time::advance(Duration::from_millis(1900)).await;
        assert_eq!(allowed(10), 0);
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(allowed(10), 1);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(allowed(10), 3, "the burst is limited");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_of_size_0_allows_no_requests() {
        let limit = RateLimit::new(Duration::from_secs(1), 0);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!limit.allows());
    }
}
