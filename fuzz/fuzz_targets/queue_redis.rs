//! Replies of Redis to every queue system that reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue_exporter::fuzzing::redis_replies(data));
