//! Reads the body of a response or a file, up to a size limit.

use std::path::Path;

use reqwest::Response;

use super::client::root_cause;
use super::file::FileReads;
use crate::metrics::failures::{FailureReason, ReadError};

/// The body of a response.
pub(super) async fn read_response(mut response: Response, limit: usize) -> Result<Vec<u8>, ReadError> {
    let length = usize::try_from(response.content_length().unwrap_or_default()).unwrap_or(usize::MAX);
    if length > limit {
        return Err(too_large(limit));
    }
    let mut body = Vec::with_capacity(length);
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => return Err(too_large(limit)),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) => {
                let message = format!("the response is truncated: {}", root_cause(&error));
                return Err(ReadError::new(FailureReason::Answer, message));
            }
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

fn too_large(limit: usize) -> ReadError {
    let size = if limit.is_multiple_of(1 << 20) { format!("{} MiB", limit >> 20) } else { format!("{limit} bytes") };
    ReadError::new(FailureReason::TooLarge, format!("the page is larger than {size}"))
}
