//! The web configuration file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| exporter_common::fuzzing::config(data));
