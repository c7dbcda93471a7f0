//! Kafka's primitive types: big-endian numbers, and strings and arrays after their length.
//!
//! The crates for this protocol allocate as many elements as a response announces, which ends the process if a server
//! announces 2^31 of them. Here memory is only allocated for data that was received.

use anyhow::{Context, Result, ensure};

/// The unread rest of a response.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).context("the response is truncated")?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().context("the response is truncated")?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    pub(super) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    /// A signed number of variable length.
    pub(super) fn varint(&mut self) -> Result<i64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.fixed()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        anyhow::bail!("a number has more than 64 bits")
    }

    /// A string, or `None` for null.
    pub(super) fn string(&mut self) -> Result<Option<&'a str>> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Ok(None) };
        let text = self.take(length)?;
        Ok(Some(std::str::from_utf8(text).context("a string is not UTF-8")?))
    }

    /// A string that must not be null.
    pub(super) fn name(&mut self) -> Result<String> {
        self.string()?.map(str::to_owned).context("a string is null")
    }

    /// Bytes; none for null.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.i32()?;
        self.take(usize::try_from(length).unwrap_or(0))
    }

    /// The same, or as many of them as the data has.
    pub(super) fn available_bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.i32()?).unwrap_or(0);
        self.take(length.min(self.0.len()))
    }

    /// The elements of an array that the data has completely.
    pub(super) fn available<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        Ok((0..count).map_while(|_| element(self).ok()).collect())
    }

    /// An array; no elements for null.
    pub(super) fn array<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        ensure!(count <= self.0.len(), "the response is truncated: it announces {count} elements");
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }
}

/// A request that is written.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn i8(&mut self, value: i8) {
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.0.extend(value.to_be_bytes());
    }

    /// A string of at most 32,767 bytes, as names in responses are.
    pub(super) fn string(&mut self, text: &str) {
        let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
        self.i16(length);
        self.0.extend(text.bytes().take(length.unsigned_abs().into()));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend(bytes);
    }

    pub(super) fn array<T>(&mut self, elements: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.count(elements.len());
        for element in elements {
            write(self, element);
        }
    }

    /// The array null.
    pub(super) fn null(&mut self) {
        self.i32(-1);
    }

    fn count(&mut self, count: usize) {
        self.i32(i32::try_from(count).unwrap_or(i32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length_are_read() {
        for (bytes, value) in [
            (&[0][..], 0),
            (&[1], -1),
            (&[2], 1),
            (&[0xd8, 4], 300),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], i64::MIN),
            (&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], i64::MAX),
        ] {
            assert_eq!(Reader(bytes).varint().unwrap(), value);
        }
        assert!(Reader(&[0xff; 11]).varint().is_err());
        assert!(Reader(&[0x80]).varint().is_err());
    }

    #[test]
    fn a_length_beyond_the_response_is_refused_before_memory_is_allocated() {
        let mut announced = Writer::default();
        announced.i32(i32::MAX);
        announced.i64(0);
        assert!(Reader(&announced.0).array(|from| from.i8()).is_err());
        assert!(Reader(&announced.0).bytes().is_err());
        assert!(Reader(&[0x7f, 0xff, b'a']).name().is_err());
        assert!(Reader(&[0xff, 0xff]).name().is_err());
        assert_eq!(Reader(&[0xff, 0xff]).string().unwrap(), None);
        assert_eq!(Reader(&[0xff, 0xff, 0xff, 0xff]).array(|from| from.i8()).unwrap(), Vec::<i8>::new());
    }
}
