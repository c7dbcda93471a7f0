//! Bounds the memory of responses that are encoded while they are sent: a scrape is admitted, waits for room, or is
//! refused.
//!
//! Such a response holds the families of its scrape. Concurrent scrapes share a read, so shared families count once.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::connection_limits::Connections;
use crate::exposition::Exposition;
use crate::exposition::family::Family;

/// The limit of memory for all responses that are being sent, in bytes. A single response may be larger.
const MAX_HELD: usize = 32 * 1024 * 1024;
/// The time limit of waiting for room.
const PATIENCE: Duration = Duration::from_secs(3);
/// The interval of looking for clients that have become too slow.
const RECHECK: Duration = Duration::from_millis(250);

/// The memory of the responses that are being sent.
pub(crate) struct Admission {
    held: Mutex<HeldFamilies>,
    freed: Notify,
    connections: Arc<Connections>,
}

#[derive(Default)]
struct HeldFamilies {
    bytes: usize,
    /// For each held family, by its address: the number of responses that hold it, and its size.
    families: HashMap<usize, (usize, usize)>,
    /// The size of the last admitted exposition, which the next one probably has, too.
    last_size: usize,
}

/// An exposition that is being sent.
pub(super) struct HeldExposition {
    exposition: Exposition,
    /// The memory that it does not share.
    unshared_bytes: usize,
    admission: Arc<Admission>,
}

impl Admission {
    pub(crate) fn new(connections: Arc<Connections>) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), freed: Notify::new(), connections })
    }

    /// Waits until there is memory for one more response of the usual size; disconnects slow clients to free it. Returns
    /// false if there is none in time.
    pub(super) async fn room(&self, time_limit: Duration) -> bool {
        let deadline = Instant::now() + PATIENCE.min(time_limit / 2);
        loop {
            let freed = self.freed.notified();
            if self.lock().has_room(|held| held.last_size) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            self.connections.evict_slow();
            let _ = tokio::time::timeout_at(deadline.min(Instant::now() + RECHECK), freed).await; // checked again in either case
        }
    }

    /// Holds an exposition with buffers of this size until it is sent, if it has room.
    pub(super) fn hold(self: &Arc<Self>, exposition: Exposition, buffers: usize) -> Option<HeldExposition> {
        let unshared_bytes = buffers + exposition.order_memory();
        let mut held = self.lock();
        let sizes: Vec<_> = exposition.families().map(|family| (address(family), family.memory())).collect();
        let new = |held: &HeldFamilies| {
            let new = sizes.iter().filter(|(family, _)| !held.families.contains_key(family));
            unshared_bytes + new.map(|(_, size)| size).sum::<usize>()
        };
        if !held.has_room(new) {
            return None;
        }
        held.last_size = unshared_bytes + sizes.iter().map(|(_, size)| size).sum::<usize>();
        held.bytes += new(&held);
        for (family, size) in sizes {
            held.families.entry(family).or_insert((0, size)).0 += 1;
        }
        drop(held);
        Some(HeldExposition { exposition, unshared_bytes, admission: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HeldFamilies> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner) // always consistent
    }
}

impl HeldFamilies {
    fn has_room(&self, needed: impl Fn(&Self) -> usize) -> bool {
        self.bytes == 0 || self.bytes + needed(self) <= MAX_HELD
    }
}

impl Borrow<Exposition> for HeldExposition {
    fn borrow(&self) -> &Exposition {
        &self.exposition
    }
}

impl Drop for HeldExposition {
    fn drop(&mut self) {
        let mut held = self.admission.lock();
        held.bytes -= self.unshared_bytes;
        for family in self.exposition.families().map(address) {
            let Some((holders, size)) = held.families.get_mut(&family) else { continue };
            *holders -= 1;
            if *holders == 0 {
                held.bytes -= *size;
                held.families.remove(&family);
            }
        }
        drop(held);
        self.admission.freed.notify_waiters();
    }
}

/// The identity of a family while it is held.
fn address(family: &Arc<Family>) -> usize {
    Arc::as_ptr(family).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(bytes: usize) -> Arc<Family> {
        Arc::new(Family::gauge("g", "", &["l"]).with(&["x".repeat(bytes)], 1.0))
    }

    fn exposition(family: &Arc<Family>) -> Exposition {
        Exposition::merge(vec![family.clone()])
    }

    #[test]
    fn shared_families_count_once_and_others_are_refused_beyond_the_limit() {
        let admission = Admission::new(Connections::new());
        let (first, other) = (family(MAX_HELD / 2), family(MAX_HELD / 2));
        let responses: Vec<_> = (0..100).map(|_| admission.hold(exposition(&first), 1000).unwrap()).collect();
        assert!(admission.hold(exposition(&other), 1000).is_none());
        drop(responses);
        assert_eq!(admission.lock().bytes, 0);
        assert!(admission.hold(exposition(&other), 1000).is_some());
    }

    #[test]
    fn one_response_may_be_larger_than_the_limit() {
        let admission = Admission::new(Connections::new());
        let large = family(2 * MAX_HELD);
        let response = admission.hold(exposition(&large), 1000).unwrap();
        assert!(admission.hold(exposition(&family(1)), 1000).is_none());
        drop(response);
    }

    #[tokio::test(start_paused = true)]
    async fn a_scrape_waits_for_room_but_not_longer_than_its_time_limit() {
        let admission = Admission::new(Connections::new());
        let response = admission.hold(exposition(&family(MAX_HELD)), 1000).unwrap();
        let started = Instant::now();
        assert!(!admission.room(Duration::MAX).await);
        assert_eq!(started.elapsed(), PATIENCE);
        assert!(!admission.room(Duration::from_secs(1)).await);
        assert_eq!(started.elapsed(), PATIENCE + Duration::from_millis(500));
        let waiting = tokio::spawn({
            let admission = admission.clone();
            async move { admission.room(Duration::MAX).await }
        });
        tokio::task::yield_now().await;
        drop(response);
        assert!(waiting.await.unwrap());
        assert_eq!(started.elapsed(), PATIENCE + Duration::from_millis(500), "as soon as there is room");
    }
}
