//! Files and paths of cgroups.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cpu_exporter::fuzzing::cgroup(data));
