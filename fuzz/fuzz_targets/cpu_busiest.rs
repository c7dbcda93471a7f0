//! Sources that come and go: the sum of the sources that are not exported never decreases.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cpu_exporter::fuzzing::busiest(data));
