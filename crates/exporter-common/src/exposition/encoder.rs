//! Encodes an exposition piece by piece, so that a response of any size needs little memory.

use std::borrow::Borrow;

use super::family::Family;
use super::merge::{Exposition, Group};

/// One format: the text or bytes of each group and each of its series.
pub(crate) trait Encode: Send + Sync {
    /// Writes what precedes the series of a group. `index` is its position in the exposition.
    fn header(&mut self, index: usize, group: &Group, out: &mut Vec<u8>);

    /// Writes one series.
    fn series(&mut self, family: &Family, series: usize, out: &mut Vec<u8>);

    /// Writes the end of the exposition, after the last group.
    fn end(&mut self, _out: &mut Vec<u8>) {}
}

/// The encoding of an exposition, which continues where the last piece ended.
pub(crate) struct Encoder<E> {
    exposition: E,
    format: Box<dyn Encode>,
    group: usize,
    /// Whether the header of the group is written.
    header: bool,
    series: usize,
    finished: bool,
}

impl<E: Borrow<Exposition>> Encoder<E> {
    pub(crate) fn new(exposition: E, format: Box<dyn Encode>) -> Self {
        Self { exposition, format, group: 0, header: false, series: 0, finished: false }
    }

    /// Appends to `out` until it has `limit` bytes or slightly more, or until the exposition is complete. Returns
    /// whether it is complete.
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        while !self.finished && out.len() < limit {
            let Some(group) = self.exposition.borrow().groups.get(self.group) else {
                self.format.end(out);
                self.finished = true;
                break;
            };
            if !self.header {
                self.header = true;
                self.format.header(self.group, group, out);
            }
            while self.series < group.len() && out.len() < limit {
                let (family, series) = group.at(self.series);
                self.format.series(family, series, out);
                self.series += 1;
            }
            if self.series == group.len() {
                (self.group, self.header, self.series) = (self.group + 1, false, 0);
            }
        }
        self.finished
    }

    /// The same encoding of an exposition that is owned in another way, unless `own` fails.
    pub(crate) fn try_map<F>(self, own: impl FnOnce(E) -> Option<F>) -> Option<Encoder<F>> {
        let Self { exposition, format, group, header, series, finished } = self;
        Some(Encoder { exposition: own(exposition)?, format, group, header, series, finished })
    }
}

/// Writes a complete exposition.
pub(crate) fn encode(exposition: &Exposition, format: Box<dyn Encode>, out: &mut Vec<u8>) {
    Encoder::new(exposition, format).fill(out, usize::MAX);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::exposition::family::Histogram;
    use crate::exposition::negotiation;

    #[test]
    fn pieces_of_any_size_are_the_same_as_the_whole() {
        let mut many = Family::counter("many_total", "Many.", &["l"]);
        let mut times = Family::histogram("times_seconds", "", &["l"]);
        for number in 0..50_u64 {
            many.push(&[format!("{number:02}")], number);
            let histogram = Histogram::new([(0.1, number), (0.5, number)], Some(1.0), number);
            times.push(&[number.to_string()], histogram); // not sorted
        }
        let families = [many.clone(), times, many, Family::info("x_info", "", &["v"]).with(&["1"], 1.0)];
        let exposition = Exposition::merge(families.into_iter().map(Arc::new).collect());
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        let compact = protobuf.replace("delimited", "compact-text");
        for accept in ["text/plain", "application/openmetrics-text", protobuf, &compact] {
            let format = negotiation::format(accept).0;
            let mut whole = Vec::new();
            encode(&exposition, format.encoder(&exposition, true), &mut whole);
            for limit in [1, 2, 63, 64, 1000, whole.len(), whole.len() + 1] {
                let mut encoder = Encoder::new(&exposition, format.encoder(&exposition, true));
                let mut joined = Vec::new();
                loop {
                    let mut piece = Vec::new();
                    let finished = encoder.fill(&mut piece, limit);
                    assert!(finished || piece.len() >= limit, "{accept}: {} of {limit}", piece.len());
                    joined.extend(piece);
                    if finished {
                        break;
                    }
                }
                assert_eq!(joined, whole, "{accept}, {limit}");
            }
        }
    }
}
