//! Accept and Accept-Encoding.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| exporter_common::fuzzing::negotiation(data));
