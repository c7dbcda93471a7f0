//! A format as a server's configuration has it, and lines that it reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| httpd_log_exporter::fuzzing::format(data));
