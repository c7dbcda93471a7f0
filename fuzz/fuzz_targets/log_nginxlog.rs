//! A configuration of prometheus-nginxlog-exporter, and the lines that are counted with it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| httpd_log_exporter::fuzzing::nginxlog(data));
