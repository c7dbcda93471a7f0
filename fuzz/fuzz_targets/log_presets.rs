//! Lines in every preset: JSON, HAProxy, Envoy and so on.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| httpd_log_exporter::fuzzing::presets(data));
