//! The query of a URL of redis-lists, and keys: a key belongs to a queue that has it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue_exporter::fuzzing::redis_lists(data));
