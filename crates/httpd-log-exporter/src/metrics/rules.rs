//! The rules that flags define for the lines of a log.

use anyhow::{Result, bail};

use crate::metrics::drop_rule::DropRule;
use crate::metrics::field_metric::FieldMetric;
use crate::metrics::label::Label;
use crate::metrics::route::Route;

/// Labels, routes, metrics of fields, and the lines that are not counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) labels: Vec<Label>,
    pub(crate) routes: Vec<Route>,
    pub(crate) drops: Vec<DropRule>,
    pub(crate) counters: Vec<FieldMetric>,
    pub(crate) histograms: Vec<FieldMetric>,
}

impl Rules {
    /// The counters, then the histograms.
    pub(crate) fn metrics(&self) -> Vec<FieldMetric> {
        self.counters.iter().chain(&self.histograms).cloned().collect()
    }

    /// Appends other rules.
    pub(crate) fn extend(&mut self, other: Self) {
        self.labels.extend(other.labels);
        self.routes.extend(other.routes);
        self.drops.extend(other.drops);
        self.counters.extend(other.counters);
        self.histograms.extend(other.histograms);
    }

    /// Refuses two labels or metrics with the same name.
    pub(crate) fn check(&self) -> Result<()> {
        let labels: Vec<_> = self.labels.iter().map(|label| label.name.as_str()).collect();
        if let Some(name) = duplicate(&labels) {
            bail!("--metrics.label: two labels have the same name ({name})");
        }
        let metrics = self.metrics();
        let families: Vec<_> = metrics.iter().map(FieldMetric::family).collect();
        if let Some(name) = duplicate(&families) {
            bail!("--metrics.counter, --metrics.histogram: two metrics have the same name ({name})");
        }
        Ok(())
    }
}

/// The first name that is in a list twice.
fn duplicate<'a>(names: &[&'a str]) -> Option<&'a str> {
    names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)).map(|(_, name)| *name)
}
