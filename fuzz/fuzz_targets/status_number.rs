//! Converts numbers, quantities, durations and timestamps of status pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| app_status_exporter::fuzzing::number(data));
