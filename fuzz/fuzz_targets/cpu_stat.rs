//! Contents of /proc/stat in turn: no sum and no CPU decreases.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cpu_exporter::fuzzing::stat(data));
