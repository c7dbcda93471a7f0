//! A file of rules, and lines that are counted with them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| httpd_log_exporter::fuzzing::rules(data));
