//! Replies of beanstalkd, several in turn: no counter falls.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue_exporter::fuzzing::beanstalkd(data));
