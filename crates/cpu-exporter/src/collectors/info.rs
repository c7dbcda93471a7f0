//! Collector `info`: vendor and model of the CPUs in /proc/cpuinfo.

use std::collections::BTreeSet;

use anyhow::Result;
use exporter_common::{Collector, Family, Scrape, async_trait};

use crate::procfs::Facts;
use crate::settings::Settings;

/// Vendor, model and package of every CPU.
pub(super) struct InfoCollector(Settings);

impl InfoCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self(settings.clone())
    }
}

#[async_trait]
impl Collector for InfoCollector {
    fn name(&self) -> &'static str {
        "info"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let online = self.0.roots.online().await;
        let (info, faults) = self.0.roots.cpuinfo.facts(scrape, &online).await;
        scrape.add(self.0.names.apply(family(&info.cpus, self.0.exports_each_of(info.cpus.len()))));
        faults.result()
    }
}

const LABELS: [&str; 10] =
    ["package", "core", "cpu", "vendor", "family", "model", "model_name", "microcode", "stepping", "cachesize"];

/// The labels that differ between the CPUs of a package.
const OF_ONE_CPU: [&str; 2] = ["core", "cpu"];

/// An unknown fact becomes an empty label, which Prometheus treats as a missing one. Without a series for each CPU,
/// equal CPUs of a package share one without the labels of a CPU.
fn family(cpus: &[Facts], each: bool) -> Family {
    let mut info = Family::info("cpu_exporter_cpu_info", "CPU information from /proc/cpuinfo.", &LABELS);
    let exported = LABELS.map(|label| each || !OF_ONE_CPU.contains(&label));
    let labels = |cpu: &Facts| -> [String; LABELS.len()] {
        std::array::from_fn(|at| cpu.get(LABELS[at]).filter(|_| exported[at]).cloned().unwrap_or_default())
    };
    for labels in cpus.iter().map(labels).collect::<BTreeSet<_>>() {
        info.push(&labels, 1.0);
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(package: &str, cpu: &str) -> Facts {
        Facts::from([("package", package.to_owned()), ("cpu", cpu.to_owned()), ("vendor", "x".to_owned())])
    }

    #[test]
    fn equal_cpus_of_a_package_share_a_series_if_there_are_many() {
        let cpus = [cpu("0", "0"), cpu("0", "1"), cpu("1", "2")];
        assert_eq!((family(&cpus, true).len(), family(&cpus, false).len()), (3, 2));
    }
}
