//! A state file of the log exporter, and a start by it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| httpd_log_exporter::fuzzing::state(data));
