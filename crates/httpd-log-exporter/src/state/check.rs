//! Checks a state file for contradictions: a state that no exporter can have written is refused.

use anyhow::{Context, Result, ensure};

use super::limits::{countable, summable};
use super::saved_file::SavedFile;
use super::{SavedDurations, SavedSeries, SavedSource, SavedState};
use crate::format::request::{CacheStatus, Protocol};
use crate::lines::MAX_LINE;
use crate::metrics::counts::LabelGroup;
use crate::metrics::label::{MAX_VALUE, SEPARATOR};
use crate::nginxlog::SavedNamespace;

impl SavedState {
    /// Refuses contradictions, with the field that has them.
    pub(super) fn check(&self) -> Result<()> {
        for (at, source) in self.sources.iter().enumerate() {
            source.check().with_context(|| format!("sources[{at}]"))?;
        }
        for (at, SavedSeries { requests, sent, received, .. }) in self.series.iter().enumerate() {
            let some = *requests > 0 || (*sent, *received) == (0, 0);
            ensure!(some, "series[{at}]: {sent} bytes sent and {received} received, but no request");
        }
        for (at, durations) in self.durations.iter().enumerate() {
            durations.check().with_context(|| format!("durations[{at}]"))?;
        }
        let names = self.labels.len();
        for (at, SavedSeries { labels, .. }) in self.series.iter().enumerate() {
            labels_match(labels, names).with_context(|| format!("series[{at}]"))?;
        }
        for (at, SavedDurations { labels, .. }) in self.durations.iter().enumerate() {
            labels_match(labels, names).with_context(|| format!("durations[{at}]"))?;
        }
        for (at, field) in self.fields.iter().enumerate() {
            field.check().and_then(|()| labels_match(&field.labels, names)).with_context(|| format!("fields[{at}]"))?;
        }
        for (at, closed) in self.closed.iter().enumerate() {
            ensure!(closed.is_valid(), "closed[{at}]: its first or last bytes are not in the file");
        }
        self.namespaces.iter().try_for_each(SavedNamespace::check)?;
        known(&self.protocols, &Protocol::NAMES).context("protocols")?;
        known(&self.caches, &CacheStatus::NAMES).context("caches")?;
        let requests = self.series.iter().map(|series| series.requests);
        countable(requests.chain([self.overflowed])).context("series: requests")?;
        summable(self.series.iter().map(|series| series.sent)).context("series: sent")?;
        summable(self.series.iter().map(|series| series.received)).context("series: received")?;
        summable(self.fields.iter().map(|field| field.sum)).context("fields: sum")?;
        summable(self.durations.iter().map(|durations| durations.nanoseconds)).context("durations: nanoseconds")
    }
}

impl SavedSource {
    fn check(&self) -> Result<()> {
        let &Self { read_bytes, rotations, truncations, open_errors, read_errors, lost_bytes, .. } = self;
        let counts = [read_bytes, rotations, truncations, open_errors, read_errors, lost_bytes];
        countable(self.lines.into_iter().chain([self.dropped_lines]).chain(counts))?;
        for (at, file) in self.files.iter().enumerate() {
            file.check().with_context(|| format!("files[{at}]"))?;
        }
        Ok(())
    }
}

impl SavedFile {
    fn check(&self) -> Result<()> {
        let offset = self.offset;
        ensure!(i64::try_from(offset).is_ok(), "offset {offset} is beyond the end of any file");
        let size = self.size.unwrap_or(0);
        ensure!(i64::try_from(size).is_ok(), "size {size} is beyond the end of any file");
        for (what, length) in [("head", self.head.len()), ("anchor", self.anchor.len()), ("waiting", self.waiting)] {
            ensure!(length as u64 <= offset, "{what} has {length} bytes, but only {offset} were read");
        }
        let longest = self.parts.iter().flatten().map(|part| part.text.len()).max().unwrap_or(0);
        ensure!(longest <= MAX_LINE, "parts have a line of {longest} bytes (the maximum is {MAX_LINE})");
        // without a head every file would match
        ensure!(offset == 0 || !self.head.is_empty(), "{offset} bytes were read, but head has none");
        Ok(())
    }
}

impl SavedDurations {
    fn check(&self) -> Result<()> {
        ensure!(self.kind < LabelGroup::HISTOGRAMS, "unknown kind {}", self.kind);
        let (counts, bounds) = (self.counts.len(), self.bounds.len());
        ensure!(counts == bounds + 1, "{counts} counts do not match {bounds} bounds");
        countable(self.counts.iter().copied())?;
        if let Some(native) = &self.native {
            native.check(&self.counts)?;
        }
        Ok(())
    }
}

fn labels_match(values: &[String], names: usize) -> Result<()> {
    ensure!(values.len() == names, "{} values do not match {names} labels", values.len());
    let is_value = |value: &String| value.len() <= MAX_VALUE && !value.contains(SEPARATOR);
    ensure!(values.iter().all(is_value), "a value of a label is too long or has a line break");
    Ok(())
}

fn known(counts: &[(String, u64)], names: &[&str]) -> Result<()> {
    for (name, _) in counts {
        ensure!(names.contains(&name.as_str()), "unknown name {name:?}");
    }
    countable(counts.iter().map(|(_, count)| *count))
}
