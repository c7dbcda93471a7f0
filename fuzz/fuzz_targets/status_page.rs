//! Parses pages of applications in every format.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| app_status_exporter::fuzzing::page(data));
