//! The query of a scrape, and addresses to listen on.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| exporter_common::fuzzing::query(data));
