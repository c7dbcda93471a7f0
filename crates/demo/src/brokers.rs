//! Producers and workers for the brokers RabbitMQ, NATS and beanstalkd.

pub(crate) mod amqp;
mod beanstalkd;
mod client;
mod connection;
mod nats;
mod session;
pub(crate) mod workers;
