//! Responses about the health of brokers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue_exporter::fuzzing::broker_health(data));
