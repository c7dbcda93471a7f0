//! Pages of RabbitMQ's list of queues, several in turn: no counter falls.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue_exporter::fuzzing::rabbitmq(data));
