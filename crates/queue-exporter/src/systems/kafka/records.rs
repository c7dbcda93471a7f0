//! Batches of records: the time of a record, without decompression.

use anyhow::{Result, ensure};

use super::wire::Reader;

/// A batch, or in the old format one message.
struct Batch<'a> {
    last_offset: i64,
    is_control: bool,
    time: BatchTime,
    first_offset: i64,
    /// The records, if they are not compressed; possibly truncated.
    records: Option<&'a [u8]>,
}

#[derive(Clone, Copy)]
enum BatchTime {
    /// Of all records.
    Fixed(i64),
    /// Of the first record; the others count from it.
    First(i64),
}

/// Milliseconds since the Unix epoch of the first record at or after an offset. In a compressed batch it is the time of
/// the batch's first record, which is earlier by the time in which the producer collected the batch. Markers of
/// transactions are not records.
pub(super) fn record_time(mut data: &[u8], offset: i64) -> Option<i64> {
    loop {
        let mut from = Reader(data);
        let batch = read_batch(&mut from).ok()?;
        data = from.0;
        if batch.is_control || batch.last_offset < offset {
            continue;
        }
        let time = match (batch.time, batch.records) {
            (BatchTime::First(first), Some(records)) => {
                let delta = time_delta(records, offset.saturating_sub(batch.first_offset));
                first.checked_add(delta.unwrap_or(0))
            }
            (BatchTime::First(time) | BatchTime::Fixed(time), _) => Some(time),
        };
        return time.filter(|time| *time >= 0); // -1: the producer is too old to send times
    }
}

/// The header of a batch, and as much of its records as the data contains.
fn read_batch<'a>(from: &mut Reader<'a>) -> Result<Batch<'a>> {
    let (offset, length) = (from.i64()?, usize::try_from(from.i32()?)?);
    let rest = from.0;
    let (_epoch_or_checksum, format) = (from.i32()?, from.i8()?);
    let batch = if format < 2 { read_message(from, offset, format)? } else { read_header(from, offset)? };
    let batch = Batch { records: batch.records.map(|records| records.get(..length).unwrap_or(records)), ..batch };
    from.0 = rest.get(length..).unwrap_or_default();
    Ok(batch)
}

/// A message in the format before Kafka 0.11. A compressed one contains others, and has the offset and the time of the
/// last of them.
fn read_message<'a>(from: &mut Reader<'_>, offset: i64, format: i8) -> Result<Batch<'a>> {
    let _attributes = from.i8()?;
    let time = if format == 0 { -1 } else { from.i64()? };
    let time = BatchTime::Fixed(time);
    Ok(Batch { last_offset: offset, is_control: false, time, first_offset: offset, records: None })
}

fn read_header<'a>(from: &mut Reader<'a>, first_offset: i64) -> Result<Batch<'a>> {
    let (_checksum, attributes) = (from.i32()?, from.i16()?);
    let last_offset = first_offset.saturating_add(from.i32()?.into());
    let (first_time, last_time) = (from.i64()?, from.i64()?);
    let _producer = (from.i64()?, from.i16()?, from.i32()?);
    let _count = from.i32()?;
    let is_compressed = attributes & 0b111 != 0;
    let (has_append_time, is_control) = (attributes & 0b1000 != 0, attributes & 0b10_0000 != 0);
    // in a compacted batch, the first time may be the time at which a tombstone is deleted
    let is_other_time = attributes & 0b100_0000 != 0;
    let time = match has_append_time || is_other_time && is_compressed {
        true => BatchTime::Fixed(last_time),
        false => BatchTime::First(first_time),
    };
    Ok(Batch { last_offset, is_control, time, first_offset, records: (!is_compressed).then_some(from.0) })
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
            assert_eq!(record_time(&both, offset), Some(time), "{offset}");
        }
        assert_eq!(record_time(&both, 10), None);
        assert_eq!(record_time(&one[..61], 7), Some(1000), "only the header of the batch was sent");
        assert_eq!(record_time(&one[..60], 7), None);
        let untimed = batch(&[record(5, -1)]);
        assert_eq!(record_time(&untimed, 5), None);
    }

    #[test]
    fn markers_of_transactions_are_not_records() {
        let marker = batch(&[Record { control: true, transactional: true, ..record(5, 1000) }]);
        let both = [marker.clone(), batch(&[record(6, 2000)])].concat();
        assert_eq!(record_time(&both, 5), Some(2000));
        assert_eq!(record_time(&marker, 5), None);
    }

    #[test]
    fn the_log_append_time_is_that_of_all_records() {
        let appended = TimestampType::LogAppend;
        let records = [5, 6].map(|offset| Record { timestamp_type: appended, ..record(offset, 3000) });
        assert_eq!(record_time(&batch(&records), 6), Some(3000));
    }

    #[test]
    fn a_compressed_batch_has_the_time_of_its_first_record() {
        let mut compressed = batch(&[record(5, 1000), record(6, 1500)]);
        compressed[22] = 1; // the low byte of the attributes: gzip
        assert_eq!(record_time(&compressed, 6), Some(1000));
        compressed[22] |= 0b100_0000; // the first time is another one
        assert_eq!(record_time(&compressed, 6), Some(1500));
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
        assert_eq!([5, 6, 7].map(|offset| record_time(&messages, offset)), [Some(1000), Some(1500), None]);
        assert_eq!(record_time(&message(5, 0, 0), 5), None);
    }

    #[test]
    fn garbage_has_no_time() {
        for byte in [0, 0x7f, 0xff] {
            assert_eq!(record_time(&[byte; 300], 0), None, "{byte}");
        }
        let valid = batch(&[record(5, 1000), record(6, 1500)]);
        for end in 0..valid.len() {
            let _ = record_time(&valid[..end], 6);
        }
    }
}
