//! Responses of Kafka, batches of records, and messages of SCRAM.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue_exporter::fuzzing::kafka(data));
