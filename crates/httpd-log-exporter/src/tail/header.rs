//! Finds the line `#Fields:` that describes the lines after a position in the middle of a file.

use std::io::{self, ErrorKind, Read};
use std::time::Instant;

use crate::container::{Parts, Stream};
use crate::format::w3c::{self, Header};
use crate::lines::{Line, LineSplitter};
use crate::metrics::registry::SharedRegistry;
use crate::tail::log_file::LogFile;
use crate::tail::read_position::ReadPosition;

/// Sets the description of the lines after a position, if it is unknown.
pub(super) fn find(
    file: &LogFile,
    position: &mut ReadPosition,
    container: Option<Stream>,
    registry: &SharedRegistry,
    buffer: &mut [u8],
) -> io::Result<()> {
    if position.header.is_none() && !position.is_start() {
        let content = file.content_before(position.offset)?;
        position.header = Some(last(content, container, registry, buffer)?);
    }
    Ok(())
}

/// The last description in a content; empty without one. The content is read from its beginning, since a server that
/// restarts describes its lines again in the same file.
pub(super) fn last(
    mut content: impl Read,
    container: Option<Stream>,
    registry: &SharedRegistry,
    buffer: &mut [u8],
) -> io::Result<Header> {
    let mut found = Header::from(&b""[..]);
    let (mut lines, mut parts) = (LineSplitter::default(), Parts::default());
    loop {
        let read = match content.read(buffer) {
            Ok(0) => return Ok(found),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut each = |line: Line<'_>| match line {
            Line::Whole(line) if w3c::is_header(line) => found = line.into(),
            _ => {}
        };
        lines.feed(&buffer[..read], |line| match container {
            None => each(line),
            Some(stream) => parts.add(line, stream, &mut each),
        });
        registry.lock().last_pass = Some(Instant::now()); // a large file takes long
    }
}
