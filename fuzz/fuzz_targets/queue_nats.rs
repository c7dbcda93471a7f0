<<<<<<< HEAD
//! Several NATS responses about JetStream in sequence: no counter decreases.
=======
//! Several responses of NATS JetStream in sequence: no counter decreases.
>>>>>>> 438ec88 (tidy: all crates and documents are checked, without exceptions; httpd-log-exporter uses the shared calendar and strsim)
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue_exporter::fuzzing::nats(data));
