//! A JSONPath template, and the JSON document that it is walked over.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| app_status_exporter::fuzzing::template(data));
