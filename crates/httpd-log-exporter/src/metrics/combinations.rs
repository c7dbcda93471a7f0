//! Numbers the pairs of method and status, so that counters are found by index.

use crate::format::request::{Method, StatusCode};

/// Numbers the pairs of method and status that occurred, from 0.
#[derive(Debug)]
pub(crate) struct Combinations {
    /// Indexed by method, then status; [`UNSEEN`] for most.
    numbers: Box<[u16]>,
    pub(crate) seen: Vec<(Method, StatusCode)>,
}

const UNSEEN: u16 = u16::MAX;

/// Common methods and statuses. Their series exist from the start, so that `rate()` includes the first request.
const COMMON_METHODS: [&[u8]; 3] = [b"GET", b"HEAD", b"POST"];
const COMMON_STATUSES: [&[u8]; 12] =
    [b"200", b"204", b"301", b"302", b"304", b"400", b"403", b"404", b"500", b"502", b"503", b"504"];

impl Combinations {
    /// The number of common pairs.
    pub(crate) const COMMON: usize = COMMON_METHODS.len() * COMMON_STATUSES.len();

    /// The common pairs.
    pub(crate) fn new() -> Self {
        let mut combinations =
            Self { numbers: vec![UNSEEN; Method::NAMES.len() * StatusCode::COUNT].into(), seen: Vec::new() };
        for method in COMMON_METHODS {
            for status in COMMON_STATUSES.into_iter().filter_map(StatusCode::parse) {
                combinations.number(Method::from_request_line(method), status);
            }
        }
        combinations
    }

    /// The number of a pair.
    #[inline]
    pub(crate) fn number(&mut self, method: Method, status: StatusCode) -> usize {
        let number = &mut self.numbers[method.index() * StatusCode::COUNT + status.index()];
        if *number == UNSEEN {
            *number = u16::try_from(self.seen.len()).unwrap_or(0); // at most 10,010 pairs exist
            self.seen.push((method, status));
        }
        usize::from(*number)
    }
}
