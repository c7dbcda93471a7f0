//! Syslog messages, globs of paths, and lines truncated at any position.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| httpd_log_exporter::fuzzing::sources(data));
