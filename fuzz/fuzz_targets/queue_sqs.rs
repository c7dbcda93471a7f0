//! Responses of Amazon SQS in sequence.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue_exporter::fuzzing::sqs(data));
