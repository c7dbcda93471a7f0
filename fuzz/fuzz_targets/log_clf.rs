//! Lines of the common log format, compared with regular expressions.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| httpd_log_exporter::fuzzing::clf(data));
