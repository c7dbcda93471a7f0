//! Other files of /proc: cpuinfo, interrupts, schedstat, pressure, lists of CPUs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cpu_exporter::fuzzing::procfs(data));
