//! Adds the counters of an earlier process.

use super::{RequestCounts, RequestTotals};
use crate::format::request::{Method, StatusCode};
use crate::metrics::label::OTHER;
use crate::metrics::label_sets::LabelSets;

/// The saved values of the labels that depend on the format and the flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct SavedLabels<'a> {
    pub(crate) vhost: Option<&'a str>,
    pub(crate) route: Option<&'a str>,
    /// In the order of the current labels.
    pub(crate) fields: Vec<&'a str>,
}

impl RequestCounts {
    /// Adds the saved counters of a label set.
    pub(crate) fn restore(
        &mut self,
        labels: &SavedLabels<'_>,
        method: Method,
        status: StatusCode,
        cell: RequestTotals,
    ) {
        let group = self.restored_group(labels);
        let number = self.combinations.number(method, status);
        let is_new = self.groups[group].cells.get(number).is_none_or(|cell| cell.requests == 0);
        if is_new && group > self.routes.len() {
            self.series += self.series_of(!self.groups[group].has_requests(), 1);
        }
        let cells = &mut self.groups[group].cells;
        if number >= cells.len() {
            cells.resize(number + 1, RequestTotals::default());
        }
        let totals = &mut cells[number];
        totals.requests += cell.requests;
        totals.sent += cell.sent;
        totals.received += cell.received;
    }

    /// The index of the group for saved counters. Routes that the flags no longer define become `other`.
    pub(crate) fn restored_group(&mut self, labels: &SavedLabels<'_>) -> usize {
        let &SavedLabels { vhost, route, ref fields } = labels;
        let route = self.routes.index_of(route);
        if self.has_optional_fields && !self.has.vhost && vhost.is_some_and(|vhost| vhost != "-") {
            self.add_vhost_label();
        }
        if !self.has_label_sets() || self.labels.is_empty() && vhost.is_none() {
            return route;
        }
        let key = self.saved_key(vhost, fields);
        let room = self.series + self.series_of(true, 1) <= self.max_series;
        let Some(sets) = &mut self.sets else { return route };
        let known = sets.id(key.as_bytes());
        let id = known.unwrap_or_else(|| if room { sets.insert(key.as_bytes()) } else { LabelSets::OTHER });
        if known.is_none() && id != LabelSets::OTHER {
            self.add_groups();
        }
        id * (self.routes.len() + 1) + route
    }

    /// The label set of saved values. A request that was counted without a virtual host keeps it unknown.
    fn saved_key(&self, vhost: Option<&str>, fields: &[&str]) -> String {
        let unknown = if self.has.vhost || fields.iter().all(|value| *value == OTHER) { OTHER } else { "-" };
        let vhost = self.format_has_vhost.then(|| vhost.unwrap_or(unknown));
        vhost.iter().chain(fields).copied().collect::<Vec<_>>().join("\n")
    }
}
