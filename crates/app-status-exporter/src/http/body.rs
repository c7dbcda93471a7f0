//! Reads the body of a response, a file or a socket, up to a size limit.

use std::path::Path;
use std::sync::atomic::AtomicUsize;

use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;

use super::client::root_cause;
use super::content::{Content, ContentError};
use super::file::FileReads;
use super::stream::{self, StreamAddress};
use crate::metrics::failures::{FailureReason, ReadError};

/// The body of a response, decompressed if it is `gzip`.
pub(super) async fn read_response(mut response: Response, limit: usize) -> Result<Vec<u8>, ReadError> {
    let gzip = is_gzip(&response)?;
    let length = usize::try_from(response.content_length().unwrap_or_default()).unwrap_or(usize::MAX);
    if length > limit {
        return Err(too_large(limit));
    }
    let mut content = Content::new(length, limit, gzip);
    let invalid = |error| match error {
        ContentError::TooLarge => too_large(limit),
        ContentError::Gzip(error) => {
            ReadError::new(FailureReason::Answer, format!("the response is not valid gzip: {error}"))
        }
    };
    loop {
        match response.chunk().await {
            Ok(None) => return content.finish().map_err(invalid),
            Ok(Some(chunk)) => content.add(&chunk).map_err(invalid)?,
            Err(error) => {
                let message = format!("the response is truncated: {}", root_cause(&error));
                return Err(ReadError::new(FailureReason::Answer, message));
            }
        }
    }
}

/// Whether a response is compressed with gzip. Some applications compress, although no request asks for it.
fn is_gzip(response: &Response) -> Result<bool, ReadError> {
    let Some(encoding) = response.headers().get(CONTENT_ENCODING) else { return Ok(false) };
    match encoding.as_bytes().to_ascii_lowercase().as_slice() {
        b"identity" | b"" => Ok(false),
        b"gzip" | b"x-gzip" => Ok(true),
        _ => {
            let message = format!("the response has the content encoding {encoding:?}, but none was requested");
            Err(ReadError::new(FailureReason::Answer, message))
        }
    }
}

/// The content of a file.
pub(super) async fn read_file(reads: &FileReads, path: &Path, limit: usize) -> Result<Vec<u8>, ReadError> {
    match &*reads.read(path, limit).await {
        Ok(content) if content.len() > limit => Err(too_large(limit)),
        Ok(content) => Ok(content.clone()),
        Err(error) => Err(ReadError::new(FailureReason::Connect, format!("cannot read the file: {error}"))),
    }
}

/// What a socket without HTTP sends, after a request if there is one. `arrived` counts its bytes.
pub(super) async fn read_stream(
    address: &StreamAddress,
    request: Option<&str>,
    limit: usize,
    arrived: &AtomicUsize,
) -> Result<Vec<u8>, ReadError> {
    let connected = address.connect().await;
    let mut stream =
        connected.map_err(|error| ReadError::new(FailureReason::Connect, format!("cannot connect: {error}")))?;
    let truncated = |error: std::io::Error| {
        let reset = error.kind() == std::io::ErrorKind::ConnectionReset && request.is_some();
        let hint = if reset { "; if the application expects no request, remove body" } else { "" };
        ReadError::new(FailureReason::Answer, format!("the response is truncated: {error}{hint}"))
    };
    if let Some(request) = request {
        let sent = stream::send(&mut stream, request).await;
        sent.map_err(|error| ReadError::new(FailureReason::Answer, format!("cannot send the request: {error}")))?;
    }
    match stream::receive(stream, limit, arrived).await.map_err(truncated)? {
        content if content.len() > limit => Err(too_large(limit)),
        content => Ok(content),
    }
}

fn too_large(limit: usize) -> ReadError {
    let size = if limit.is_multiple_of(1 << 20) { format!("{} MiB", limit >> 20) } else { format!("{limit} bytes") };
    ReadError::new(FailureReason::TooLarge, format!("the page is larger than {size}"))
}
