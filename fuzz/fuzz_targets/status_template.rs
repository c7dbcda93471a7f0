//! Evaluates a JSONPath template on a JSON document.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| app_status_exporter::fuzzing::template(data));
