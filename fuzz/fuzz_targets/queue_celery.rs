//! Bindings, messages and events of Celery.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue_exporter::fuzzing::celery_messages(data));
