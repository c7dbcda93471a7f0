//! Parses the configuration file of app-status-exporter.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| app_status_exporter::fuzzing::configuration(data));
