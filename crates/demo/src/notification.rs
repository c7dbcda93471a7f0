//! Reads notifications that are posted, with bounds on their size, memory and time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use exporter_common::{Family, to_text};
use futures_util::{Stream, StreamExt};
use serde_json::Value;
use tokio::sync::Semaphore;
use warp::http::StatusCode;
use warp::{Buf, Filter, Rejection};

/// Size limit of a notification; one with a thousand alerts is smaller.
pub(crate) const MAX_BODY: usize = 4 << 20;
/// The limit of the buffers of all notifications that are being received.
const MAX_MEMORY: usize = 32 << 20;
/// The time limit for receiving one.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

static MEMORY: Semaphore = Semaphore::const_new(MAX_MEMORY);
static REFUSED: [AtomicU64; Refusal::ALL.len()] = [const { AtomicU64::new(0) }; Refusal::ALL.len()];

/// Why a notification is not accepted.
#[derive(Clone, Copy)]
enum Refusal {
    TooLarge,
    /// The notifications that are being received use all memory.
    Memory,
    Timeout,
    /// The body is not JSON, or ends early.
    Invalid,
}

impl Refusal {
    const ALL: [Self; 4] = [Self::TooLarge, Self::Memory, Self::Timeout, Self::Invalid];

    /// The value of the label `reason`, and the status of the response. Alertmanager repeats a notification after 503.
    fn label_and_status(self) -> (&'static str, StatusCode) {
        match self {
            Self::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::Memory => ("memory", StatusCode::SERVICE_UNAVAILABLE),
            Self::Timeout => ("timeout", StatusCode::REQUEST_TIMEOUT),
            Self::Invalid => ("invalid", StatusCode::BAD_REQUEST),
        }
    }
}

/// The notification of a request, or the status that refuses it.
pub(crate) fn notification() -> impl Filter<Extract = (Result<Value, StatusCode>,), Error = Rejection> + Copy {
    warp::body::stream().then(async |body| {
        let received = tokio::time::timeout(READ_TIMEOUT, read(body)).await;
        received.unwrap_or(Err(Refusal::Timeout)).map_err(|refusal| {
            REFUSED[refusal as usize].fetch_add(1, Ordering::Relaxed);
            refusal.label_and_status().1
        })
    })
}

async fn read<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>>) -> Result<Value, Refusal> {
    let (mut text, mut memory) = (Vec::new(), MEMORY.try_acquire_many(0).map_err(|_| Refusal::Memory)?);
    tokio::pin!(body);
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|_| Refusal::Invalid)?;
        if text.len() + piece.remaining() > MAX_BODY {
            return Err(Refusal::TooLarge);
        }
        let missing = (text.len() + piece.remaining()).saturating_sub(text.capacity());
        if missing > 0 {
            // Doubled, so that a body is not copied for each of its pieces.
            let growth = missing.max(text.capacity()).min(MAX_BODY - text.capacity());
            memory.merge(MEMORY.try_acquire_many(growth as u32).map_err(|_| Refusal::Memory)?);
            text.reserve_exact(text.capacity() - text.len() + growth);
        }
        while piece.has_remaining() {
            let part = piece.chunk();
            text.extend_from_slice(part);
            piece.advance(part.len());
        }
    }
    serde_json::from_slice(&text).map_err(|_| Refusal::Invalid)
}

/// The metrics of the refused notifications, in the text format.
pub(crate) fn metrics() -> String {
    let mut refused = Family::counter(
        "demo_notifications_refused_total",
        "Total number of notifications that were not accepted, by reason.",
        &["reason"],
    );
    for refusal in Refusal::ALL {
        refused.push(&[refusal.label_and_status().0], REFUSED[refusal as usize].load(Ordering::Relaxed));
    }
    to_text([refused])
}
