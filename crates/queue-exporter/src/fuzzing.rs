//! The parsers of what brokers reply, and the counters made of it, for the fuzz targets. Built by `cargo fuzz` only.

use std::collections::HashMap;

use anyhow::Result;

use crate::memory::Memory;
use crate::system::{Listed, Queue, Statistics};
use crate::systems::{beanstalkd, http, nats, rabbitmq};

/// Pages of RabbitMQ's list of queues.
pub fn rabbitmq(data: &[u8]) {
    replies(data, rabbitmq::fuzz);
}

/// What NATS says of JetStream.
pub fn nats(data: &[u8]) {
    replies(data, nats::fuzz);
}

/// Documents of the system `http`: of one queue, or a list of names.
pub fn http(data: &[u8]) {
    replies(data, http::fuzz);
}

/// Replies of beanstalkd as they come over the wire.
pub fn beanstalkd(data: &[u8]) {
    replies(data, beanstalkd::fuzz);
}

/// Several replies, one after the other, with a line of dashes between them: whatever they say, no counter falls.
fn replies(data: &[u8], parse: impl Fn(&[u8]) -> Vec<Result<Listed>>) {
    let mut memory = Memory::default();
    let mut last: HashMap<(Queue, usize), u64> = HashMap::new();
    let mut observed: HashMap<Queue, u64> = HashMap::new();
    for reply in split(data) {
        for listed in parse(reply).into_iter().flatten() {
            let (queue, Some(Ok(mut statistics))) = (listed.queue, listed.statistics) else { continue };
            memory.follow(&queue, &mut statistics);
            for (at, counter) in statistics.counters_mut().into_iter().enumerate() {
                if let Some(now) = counter.value() {
                    let before = last.insert((queue.clone(), at), now).unwrap_or(0);
                    assert!(before <= now, "{queue}: counter {at} fell from {before} to {now}");
                }
            }
            if let Some(processing) = &statistics.processing {
                let before = observed.insert(queue.clone(), processing.count).unwrap_or(0);
                assert!(before <= processing.count, "{queue}: observations fell");
                assert!(processing.buckets.is_sorted_by_key(|(_, count)| *count), "{queue}: {processing:?}");
                assert!(processing.buckets.last().is_none_or(|(_, last)| *last <= processing.count), "{processing:?}");
            }
            let Statistics { oldest, oldest_in_flight, .. } = statistics;
            assert!(oldest.into_iter().chain(oldest_in_flight).all(|age| age >= 0.0), "{queue}: an age below 0");
        }
        memory.end_of_list();
    }
}

fn split(mut data: &[u8]) -> Vec<&[u8]> {
    const BETWEEN: &[u8] = b"\n--\n";
    let mut parts = Vec::new();
    while let Some(at) = data.windows(BETWEEN.len()).position(|part| part == BETWEEN) {
        parts.push(&data[..at]);
        data = &data[at + BETWEEN.len()..];
    }
    parts.push(data);
    parts
}
