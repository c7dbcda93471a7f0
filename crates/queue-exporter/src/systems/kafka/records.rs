//! Batches of records: the time of a record, without decompression.

use anyhow::{Context, Result, ensure};

use super::wire::Reader;

/// The result of a search for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The time of the first record at or after an offset in milliseconds since the Unix epoch; negative if it has none.
    Record(i64),
    /// There is no such record before this offset, at which the data ends.
    NoneBefore(i64),
}

/// A batch, or in the old format one message.
struct RecordBatch<'a> {
    last_offset: i64,
    /// Whether it contains more than the marker of a transaction, or the header that compaction leaves of a batch.
    has_records: bool,
    /// The time of records whose own time is not read.
    time: i64,
    records: Option<Records<'a>>,
}

/// Records that are not compressed.
struct Records<'a> {
    data: &'a [u8],
    is_complete: bool,
    first_offset: i64,
    /// The time to which record times are relative; none if all records have the time of the batch.
    first_time: Option<i64>,
}

/// The header of a batch after its length, and the smallest message of the old format.
const HEADER: usize = 49;
const MESSAGE: usize = 14;

/// Finds the first record at or after an offset. In a compressed batch it has the time of the batch's first record,
/// which is earlier by the time in which the producer collected the batch. Markers of transactions are not records.
pub(super) fn find_record(mut data: &[u8], offset: i64) -> Found {
    let mut end = offset;
    while let Ok((batch, rest)) = read_batch(data) {
        if let Some(time) = batch.time(offset) {
            return Found::Record(time);
        }
        end = end.max(batch.last_offset.saturating_add(1));
        data = rest;
    }
    Found::NoneBefore(end)
}

impl RecordBatch<'_> {
    /// The time of the first record at or after an offset.
    fn time(&self, offset: i64) -> Option<i64> {
        if !self.has_records || self.last_offset < offset {
            return None;
        }
        let Some(records) = &self.records else { return Some(self.time) };
        match time_delta(records.data, offset.saturating_sub(records.first_offset)) {
            Some(delta) => Some(records.first_time.map_or(self.time, |first| first.saturating_add(delta))),
            None => (!records.is_complete).then_some(self.time),
        }
    }
}

/// The header of a batch with as much of its records as the data contains, and the data after the batch.
fn read_batch(data: &[u8]) -> Result<(RecordBatch<'_>, &[u8])> {
    let mut from = Reader(data);
    let (offset, length) = (from.i64()?, usize::try_from(from.i32()?)?);
    ensure!(length >= MESSAGE, "a batch without a header");
    let rest = from.0.get(length..).unwrap_or_default();
    let (_epoch_or_checksum, format) = (from.i32()?, from.i8()?);
    let batch = if format < 2 { read_message(&mut from, offset, format)? } else { read_v2(&mut from, offset, length)? };
    Ok((batch, rest))
}

/// A message in the format before Kafka 0.11. A compressed one contains others, and has the offset and the time of the
/// last of them.
fn read_message<'a>(from: &mut Reader<'_>, offset: i64, format: i8) -> Result<RecordBatch<'a>> {
    let _attributes = from.i8()?;
    let time = if format == 0 { -1 } else { from.i64()? };
    Ok(RecordBatch { last_offset: offset, has_records: true, time, records: None })
}

fn read_v2<'a>(from: &mut Reader<'a>, first_offset: i64, length: usize) -> Result<RecordBatch<'a>> {
    let (_checksum, attributes) = (from.i32()?, from.i16()?);
    let last_offset = first_offset.saturating_add(from.i32()?.into());
    let (first_time, last_time) = (from.i64()?, from.i64()?);
    let _producer = (from.i64()?, from.i16()?, from.i32()?);
    let count = from.i32()?;
    let is_compressed = attributes & 0b111 != 0;
    let (has_append_time, is_control) = (attributes & 0b1000 != 0, attributes & 0b10_0000 != 0);
    // in a compacted batch, the first time may be the time at which a tombstone is deleted
    let is_other_time = attributes & 0b100_0000 != 0;
    let length = length.checked_sub(HEADER).context("a batch without a header")?;
    let data = from.0.get(..length).unwrap_or(from.0);
    let first = (!has_append_time).then_some(first_time);
    let records = Records { data, is_complete: data.len() == length, first_offset, first_time: first };
    Ok(RecordBatch {
        last_offset,
        has_records: !is_control && count > 0,
        time: if has_append_time || is_other_time { last_time } else { first_time },
        records: (!is_compressed).then_some(records),
    })
}

/// The time of the first record at or after an offset, both relative to the batch; `None` if the data ends before.
fn time_delta(records: &[u8], offset: i64) -> Option<i64> {
    let mut from = Reader(records);
    loop {
        let (delta, record_offset) = read_record(&mut from).ok()?;
        if record_offset >= offset {
            return Some(delta);
        }
    }
}

/// The time and the offset of a record, relative to its batch.
fn read_record(from: &mut Reader<'_>) -> Result<(i64, i64)> {
    let length = usize::try_from(from.varint()?)?;
    let rest = from.0;
    let _attributes = from.i8()?;
    let read = (from.varint()?, from.varint()?);
    ensure!(length > 0, "an empty record");
    from.0 = rest.get(length..).unwrap_or_default();
    Ok(read)
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

    use super::*;

    fn record(offset: i64, timestamp: i64) -> Record {
        Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 0,
            producer_id: -1,
            producer_epoch: -1,
            timestamp_type: TimestampType::Creation,
            offset,
            sequence: i32::try_from(offset).unwrap(),
            timestamp,
            key: None,
            value: Some("message".into()),
            headers: Default::default(),
        }
    }

    /// A batch of consecutive records as another implementation writes it.
    fn batch(records: &[Record]) -> Vec<u8> {
        let mut batch = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        RecordBatchEncoder::encode(&mut batch, records, &options).unwrap();
        batch.to_vec()
    }

    #[test]
    fn the_time_is_that_of_the_first_record_at_or_after_the_offset() {
        let one = batch(&[record(5, 1000), record(6, 1500), record(7, 1400)]);
        let two = batch(&[record(8, 2000), record(9, 2600)]);
        let both = [one.clone(), two].concat();
        for (offset, time) in [(3, 1000), (5, 1000), (6, 1500), (7, 1400), (8, 2000), (9, 2600)] {
            assert_eq!(find_record(&both, offset), Found::Record(time), "{offset}");
        }
        assert_eq!(find_record(&both, 10), Found::NoneBefore(10));
        assert_eq!(find_record(&one[..61], 7), Found::Record(1000), "only the header of the batch was sent");
        assert_eq!(find_record(&one[..60], 7), Found::NoneBefore(7));
        let untimed = batch(&[record(5, -1)]);
        assert_eq!(find_record(&untimed, 5), Found::Record(-1));
    }

    #[test]
    fn markers_of_transactions_are_not_records() {
        let marker = batch(&[Record { control: true, transactional: true, ..record(5, 1000) }]);
        let both = [marker.clone(), batch(&[record(6, 2000)])].concat();
        assert_eq!(find_record(&both, 5), Found::Record(2000));
        assert_eq!(find_record(&marker, 5), Found::NoneBefore(6));
    }

    #[test]
    fn records_that_compaction_removed_are_skipped() {
        let mut compacted = batch(&[record(5, 1000), record(6, 1500)]);
        compacted[26] = 4; // the offset of the last record, which was removed, counted from the first
        let both = [compacted.clone(), batch(&[record(10, 2000)])].concat();
        assert_eq!(find_record(&both, 6), Found::Record(1500));
        assert_eq!(find_record(&both, 7), Found::Record(2000));
        assert_eq!(find_record(&compacted, 7), Found::NoneBefore(10));
        let truncated = compacted.len() - 1;
        assert_eq!(find_record(&compacted[..truncated], 7), Found::Record(1000), "the rest was not sent");
        compacted[22] |= 0b100_0000; // the first time is the time at which a tombstone is deleted
        assert_eq!(find_record(&compacted[..truncated], 7), Found::Record(1500));
        compacted[57..61].fill(0); // all were removed
        assert_eq!(find_record(&compacted[..61], 5), Found::NoneBefore(10));
    }

    #[test]
    fn the_log_append_time_is_that_of_all_records() {
        let appended = TimestampType::LogAppend;
        let records = [5, 6].map(|offset| Record { timestamp_type: appended, ..record(offset, 3000) });
        assert_eq!(find_record(&batch(&records), 6), Found::Record(3000));
    }

    #[test]
    fn a_compressed_batch_has_the_time_of_its_first_record() {
        let mut compressed = batch(&[record(5, 1000), record(6, 1500)]);
        compressed[22] = 1; // the low byte of the attributes: gzip
        assert_eq!(find_record(&compressed, 6), Found::Record(1000));
        compressed[22] |= 0b100_0000; // the first time is another one
        assert_eq!(find_record(&compressed, 6), Found::Record(1500));
    }

    #[test]
    fn messages_of_old_formats_are_read() {
        let message = |offset: i64, format: i8, time: i64| {
            let mut bytes = BytesMut::new();
            bytes.put_i64(offset);
            bytes.put_i32(if format == 0 { 14 } else { 22 });
            bytes.put_i32(0); // checksum
            bytes.put_i8(format);
            bytes.put_i8(0);
            if format == 1 {
                bytes.put_i64(time);
            }
            bytes.put_slice(&[0xff; 8]); // no key, no value
            bytes.to_vec()
        };
        let messages = [message(5, 1, 1000), message(6, 1, 1500)].concat();
        let found = [Found::Record(1000), Found::Record(1500), Found::NoneBefore(7)];
        assert_eq!([5, 6, 7].map(|offset| find_record(&messages, offset)), found);
        assert_eq!(find_record(&message(5, 0, 0), 5), Found::Record(-1));
    }

    #[test]
    fn garbage_has_no_time() {
        for byte in [0, 0x7f, 0xff] {
            assert!(matches!(find_record(&[byte; 300], 0), Found::NoneBefore(_)), "{byte}");
        }
        let valid = batch(&[record(5, 1000), record(6, 1500)]);
        for end in 0..valid.len() {
            let _ = find_record(&valid[..end], 6);
        }
    }
}
