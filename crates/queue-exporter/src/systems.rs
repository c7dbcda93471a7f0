//! The queue systems this exporter knows.

pub(crate) mod beanstalkd;
mod bullmq;
mod celery;
pub(crate) mod http;
pub(crate) mod nats;
pub(crate) mod rabbitmq;
mod redis_streams;
mod rq;
mod sidekiq;
mod sidekiq_times;

use anyhow::Result;

use crate::Connection;
use crate::system::System;

/// A queue system by name.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// The value of `--queue.system`.
    pub(crate) name: &'static str,
    /// Schemes that a URL of this system may have. The first system in the list with the scheme of
    /// `--queue.url` is meant where `--queue.system` is not set.
    pub(crate) schemes: &'static [&'static str],
    pub(crate) connect: fn(Connection) -> Result<Box<dyn System>>,
}

/// Every queue system.
pub(crate) const SYSTEMS: &[Kind] = &[
    http::KIND,
    rabbitmq::KIND,
    redis_streams::KIND,
    bullmq::KIND,
    rq::KIND,
    celery::KIND,
    sidekiq::KIND,
    beanstalkd::KIND,
    nats::KIND,
];
