//! Entry points of the fuzz targets: the parsers of replies and the counters. Built only by `.ci/fuzz`.

use std::collections::HashMap;

use anyhow::Result;

use crate::collector::counter_memory::CounterMemory;
use crate::queue_system::{ListedQueue, QueueId, Statistics};
use crate::redis::{decode, fuzz_health};
use crate::systems::{
    beanstalkd, bullmq, celery, http, kafka, nats, postgres, rabbitmq, redis_lists, redis_streams, rq, sidekiq, sqs,
};

/// Pages of RabbitMQ's list of queues.
pub fn rabbitmq(data: &[u8]) {
    replies(data, rabbitmq::fuzz);
}

/// Responses of NATS's `/jsz`.
pub fn nats(data: &[u8]) {
    replies(data, nats::fuzz);
}

/// Documents of the system `http`: statistics of one queue, or a list of names.
pub fn http(data: &[u8]) {
    replies(data, http::fuzz);
}

/// Replies of Redis as raw bytes, in turn, to every system that reads them.
pub fn redis_replies(data: &[u8]) {
    for reply in split(data) {
        let Ok(Some(reply)) = decode(reply) else { continue };
        bullmq::fuzz(&reply);
        redis_streams::fuzz(&reply);
        rq::fuzz(&reply);
        sidekiq::fuzz(&reply);
    }
}

/// Bindings, messages and events of Celery.
pub fn celery_messages(data: &[u8]) {
    celery::fuzz(data);
}

/// Responses about the health of brokers: RabbitMQ, NATS, Redis.
pub fn broker_health(data: &[u8]) {
    rabbitmq::fuzz_health(data);
    nats::fuzz_server(data);
    if let Ok(info) = std::str::from_utf8(data) {
        fuzz_health(info);
    }
}

/// Replies of beanstalkd as raw bytes.
pub fn beanstalkd(data: &[u8]) {
    replies(data, beanstalkd::fuzz);
}

/// Rows of a query: lines of fields separated by tabs.
pub fn postgres(data: &[u8]) {
    replies(data, postgres::fuzz);
}

/// Responses of Kafka, batches of records, and messages of SCRAM.
pub fn kafka(data: &[u8]) {
    kafka::fuzz(data);
}

/// Responses of SQS.
pub fn sqs(data: &[u8]) {
    replies(data, sqs::fuzz);
}

/// The query of a URL of `redis-lists`, and keys.
pub fn redis_lists(data: &[u8]) {
    redis_lists::fuzz(data);
}

/// Parses several replies in turn, which are separated by a line of dashes. No counter may decrease.
fn replies(data: &[u8], parse: impl Fn(&[u8]) -> Vec<Result<ListedQueue>>) {
    let mut memory = CounterMemory::default();
    let mut last: HashMap<(QueueId, usize), u64> = HashMap::new();
    let mut observed: HashMap<QueueId, u64> = HashMap::new();
    for reply in split(data) {
        for listed in parse(reply).into_iter().flatten() {
            let (queue, Some(Ok(mut statistics))) = (listed.queue, listed.statistics) else { continue };
            memory.update(&queue, &mut statistics);
            for (at, counter) in statistics.counters_mut().into_iter().enumerate() {
                if let Some(now) = counter.value() {
                    let before = last.insert((queue.clone(), at), now).unwrap_or(0);
                    assert!(before <= now, "{queue}: counter {at} decreased from {before} to {now}");
                }
            }
            if let Some(processing) = &statistics.processing {
                let before = observed.insert(queue.clone(), processing.count).unwrap_or(0);
                assert!(before <= processing.count, "{queue}: the number of observations decreased");
                assert!(processing.buckets.is_sorted_by_key(|(_, count)| *count), "{queue}: {processing:?}");
                assert!(processing.buckets.last().is_none_or(|(_, last)| *last <= processing.count), "{processing:?}");
            }
            let Statistics { oldest_age, oldest_in_flight_age, .. } = statistics;
            assert!(
                oldest_age.into_iter().chain(oldest_in_flight_age).all(|age| age >= 0.0),
                "{queue}: a negative age"
            );
        }
        memory.complete_list();
    }
}

fn split(mut data: &[u8]) -> Vec<&[u8]> {
    const SEPARATOR: &[u8] = b"\n--\n";
    let mut parts = Vec::new();
    while let Some(at) = data.windows(SEPARATOR.len()).position(|part| part == SEPARATOR) {
        parts.push(&data[..at]);
        data = &data[at + SEPARATOR.len()..];
    }
    parts.push(data);
    parts
}
