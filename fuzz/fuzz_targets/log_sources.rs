//! Messages of syslog, patterns of paths, and lines cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| httpd_log_exporter::fuzzing::sources(data));
