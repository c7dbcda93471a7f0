//! The supported queue systems: one file each, and one line in the list.

pub(crate) mod beanstalkd;
mod bullmq;
mod celery;
pub(crate) mod http;
mod listing;
pub(crate) mod nats;
mod postgres;
mod prefix_hint;
pub(crate) mod rabbitmq;
mod redis_lists;
mod redis_streams;
mod remembered;
mod rq;
mod sidekiq;

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
    postgres::KIND,
];
