//! Rows of queries in sequence: an invalid row fails its queue only.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue_exporter::fuzzing::postgres(data));
