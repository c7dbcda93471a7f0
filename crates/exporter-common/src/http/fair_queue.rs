//! A fair queue for a limited number of slots: of scrapes in progress, and of password checks.
//!
//! A free slot goes to the address whose last turn is the oldest, and there to the connection whose last turn is the
//! oldest. A new one starts at the current turn. So neither many requests, nor many connections, nor new connections get
//! more than their share. If the queue is full, the address with the most waiting requests loses one.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The slots, and the requests that wait for one.
pub(super) struct FairQueue {
    /// The limits of waiting requests, in total and per address.
    max_waiting: usize,
    max_per_address: usize,
    state: Mutex<QueueState>,
}

/// A connection in a queue.
pub(super) struct QueueClient {
    /// The [`network`] of its address.
    address: Option<IpAddr>,
    /// The turn of its last slot.
    last: AtomicU64,
    /// The number of its requests that were denied or refused.
    denied: AtomicU32,
}

#[derive(Default)]
struct QueueState {
    free: usize,
    /// The number of slots that were given.
    turn: u64,
    arrivals: u64,
    /// Empty while a slot is free.
    waiting: Vec<Waiter>,
}

struct Waiter {
    client: Arc<QueueClient>,
    /// The turn of the last slot of its address.
    address_last: u64,
    preferred: bool,
    arrival: u64,
    grant: oneshot::Sender<Slot>,
}

/// A slot, which the next request gets when this is dropped.
pub(super) struct Slot(Option<Arc<FairQueue>>);

/// The position of a waiting request, which leaves the queue when this is dropped.
struct QueuePosition<'a> {
    queue: &'a FairQueue,
    arrival: u64,
}

/// The network of an address: of IPv6 64 bits, since a host may use all of them.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

impl FairQueue {
    pub(super) fn new(slots: usize, max_waiting: usize, max_per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            max_waiting,
            max_per_address,
            state: Mutex::new(QueueState { free: slots, ..QueueState::default() }),
        })
    }

    pub(super) fn client(&self, address: Option<IpAddr>) -> Arc<QueueClient> {
        let address = address.map(network);
        Arc::new(QueueClient { address, last: AtomicU64::new(self.lock().turn), denied: AtomicU32::new(0) })
    }

    /// Waits for a slot; `None` if the queue is full. Among requests of equal rank, preferred ones go first.
    pub(super) async fn slot(self: &Arc<Self>, client: &Arc<QueueClient>, preferred: bool) -> Option<Slot> {
        let (position, granted) = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                state.serve(client);
                return Some(Slot(Some(self.clone())));
            }
            let (grant, granted) = oneshot::channel();
            state.enter(client.clone(), preferred, grant);
            let position = QueuePosition { queue: self, arrival: state.arrivals };
            let of_address = state.waiting_of(client).count();
            if state.waiting.len() > self.max_waiting || of_address > self.max_per_address {
                state.displace();
            }
            (position, granted)
        };
        let slot = granted.await.ok();
        drop(position);
        slot
    }

    /// Gives a slot that has become free to the next request.
    fn release(self: &Arc<Self>) {
        loop {
            let mut state = self.lock();
            let Some(next) = state.next() else {
                state.free += 1;
                return;
            };
            drop(state);
            match next.grant.send(Slot(Some(self.clone()))) {
                Ok(()) => return,
                Err(mut slot) => slot.0 = None, // it has just left the queue
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // always consistent
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }
}

impl QueueState {
    fn enter(&mut self, client: Arc<QueueClient>, preferred: bool, grant: oneshot::Sender<Slot>) {
        let address_last = self.waiting_of(&client).map(|waiter| waiter.address_last).next().unwrap_or(self.turn);
        self.arrivals += 1;
        self.waiting.push(Waiter { client, address_last, preferred, arrival: self.arrivals, grant });
    }

    /// The waiting requests of a client's address.
    fn waiting_of(&self, client: &QueueClient) -> impl Iterator<Item = &Waiter> {
        self.waiting.iter().filter(|waiter| waiter.client.address == client.address)
    }

    fn next(&mut self) -> Option<Waiter> {
        let ranks = self.waiting.iter().enumerate().map(|(at, waiter)| ((waiter.address_last, waiter.rank()), at));
        let (_, at) = ranks.min()?;
        let next = self.waiting.swap_remove(at);
        self.serve(&next.client);
        Some(next)
    }

    fn serve(&mut self, client: &QueueClient) {
        self.turn += 1;
        client.last.store(self.turn, Ordering::Relaxed);
        for waiter in self.waiting.iter_mut().filter(|waiter| waiter.client.address == client.address) {
            waiter.address_last = self.turn;
        }
    }

    /// Removes the last request of the address with the most of them.
    fn displace(&mut self) {
        let ranks = self.waiting.iter().enumerate();
        let ranks = ranks.map(|(at, waiter)| ((self.waiting_of(&waiter.client).count(), waiter.rank()), at));
        if let Some((_, at)) = ranks.max() {
            self.waiting.swap_remove(at);
        }
    }
}

impl Waiter {
    /// The order among the requests of one address.
    fn rank(&self) -> (bool, u32, u64, u64) {
        let client = &self.client;
        (!self.preferred, client.denied.load(Ordering::Relaxed), client.last.load(Ordering::Relaxed), self.arrival)
    }
}

#[cfg(feature = "basic-auth")]
impl QueueClient {
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Records a denied or refused request. Later requests of this connection are served after other connections.
    pub(super) fn deny(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for QueuePosition<'_> {
    fn drop(&mut self) {
        self.queue.lock().waiting.retain(|waiter| waiter.arrival != self.arrival);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt;

    use super::*;

    type Waiting<'a> = Pin<Box<dyn Future<Output = Option<Slot>> + 'a>>;

    /// A request that waits.
    fn wait<'a>(queue: &'a Arc<FairQueue>, client: &'a Arc<QueueClient>) -> Waiting<'a> {
        let mut slot: Waiting = Box::pin(queue.slot(client, false));
        assert!(slot.as_mut().now_or_never().is_none());
        slot
    }

    fn client(queue: &FairQueue, host: u8) -> Arc<QueueClient> {
        queue.client(Some(IpAddr::from([192, 0, 2, host])))
    }

    #[test]
    fn slots_go_to_addresses_and_their_connections_in_turn() {
        let queue = FairQueue::new(1, 100, 100);
        let (flood, other) = ([1, 1].map(|host| client(&queue, host)), client(&queue, 2));
        let mut slot = queue.slot(&flood[0], false).now_or_never().flatten();
        let clients = [&flood[0], &flood[0], &flood[0], &flood[1], &other, &other];
        let mut waiting: Vec<_> = clients.iter().map(|client| Some(wait(&queue, client))).collect();
        let mut order = Vec::new();
        while order.len() < clients.len() {
            drop(slot.take());
            for (at, waiting) in waiting.iter_mut().enumerate() {
                if let Some(granted) = waiting.as_mut().and_then(|waiting| waiting.now_or_never()) {
                    slot = granted;
                    order.push(at);
                    *waiting = None;
                    break;
                }
            }
        }
        assert_eq!(order, [3, 4, 0, 5, 1, 2], "the other connection is not behind the flood");
        drop(slot);
        assert_eq!(queue.lock().free, 1);
    }

    #[test]
    fn the_address_with_the_most_requests_loses_one_when_the_queue_is_full() {
        let queue = FairQueue::new(1, 3, 3);
        let (flood, other) = (client(&queue, 1), client(&queue, 2));
        let slot = queue.slot(&flood, false).now_or_never().flatten();
        let mut flooding: Vec<_> = (0..3).map(|_| wait(&queue, &flood)).collect();
        assert!(matches!(queue.slot(&flood, false).now_or_never(), Some(None)), "it is refused");
        let mut rightful = wait(&queue, &other);
        assert_eq!(flooding.iter_mut().filter_map(|waiting| waiting.now_or_never()).count(), 1, "one makes room");
        drop(slot);
        assert!(rightful.as_mut().now_or_never().flatten().is_some() || queue.waiting() == 2);
    }

    #[test]
    fn a_request_that_gives_up_leaves_the_queue_and_its_slot() {
        let queue = FairQueue::new(1, 3, 3);
        let client = client(&queue, 1);
        let slot = queue.slot(&client, false).now_or_never().flatten();
        drop(wait(&queue, &client));
        assert_eq!(queue.waiting(), 0);
        let granted = wait(&queue, &client);
        drop(slot);
        drop(granted); // it has the slot, but does not know it
        assert_eq!(queue.lock().free, 1);
    }

    #[test]
    fn all_addresses_of_a_network_of_ipv6_are_one() {
        let queue = FairQueue::new(1, 1, 1);
        let addresses = ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"];
        let [first, second, other] =
            addresses.map(|address| queue.client(Some(address.parse().unwrap())).address().unwrap());
        assert!(first == second && first != other);
    }
}
