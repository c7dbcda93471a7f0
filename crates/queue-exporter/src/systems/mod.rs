//! The supported queue systems: one module each, and one line in the list.

pub(crate) mod beanstalkd;
pub(crate) mod bullmq;
pub(crate) mod celery;
pub(crate) mod http;
mod job_times;
pub(crate) mod kafka;
mod listing;
pub(crate) mod nats;
pub(crate) mod postgres;
mod prefix_hint;
pub(crate) mod rabbitmq;
pub(crate) mod redis_lists;
pub(crate) mod redis_streams;
mod remembered;
pub(crate) mod rq;
pub(crate) mod sidekiq;
pub(crate) mod sqs;

use crate::queue_system::SystemKind;

/// Every queue system.
pub(crate) const SYSTEMS: &[SystemKind] = &[
    http::KIND,
    rabbitmq::KIND,
    redis_streams::KIND,
    redis_lists::KIND,
    bullmq::KIND,
    rq::KIND,
    celery::KIND,
    sidekiq::KIND,
    beanstalkd::KIND,
    nats::KIND,
    kafka::KIND,
    postgres::KIND,
    sqs::KIND,
];
