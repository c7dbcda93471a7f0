//! Several responses of NATS JetStream in sequence: no counter decreases.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue_exporter::fuzzing::nats(data));
