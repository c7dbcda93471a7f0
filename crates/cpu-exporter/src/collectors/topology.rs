//! Collector `topology`: present, online and isolated CPUs, from the masks in /sys/devices/system/cpu.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use crate::procfs::{Online, Roots, nonempty_cpu_list, read_cpu_list, read_nonempty_cpu_list};
use crate::settings::{Names, Settings};

/// Online and isolated CPUs.
pub(super) struct TopologyCollector(Settings);

impl TopologyCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self(settings.clone())
    }
}

#[async_trait]
impl Collector for TopologyCollector {
    fn name(&self) -> &'static str {
        "topology"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let roots = self.0.roots.clone();
        let online = roots.online.read().await;
        let (masks, faults) = scrape.blocking(move || Masks::read(&roots, online)).await;
        for family in families(&masks, &self.0) {
            scrape.add(self.0.names.apply(family));
        }
        faults.result()
    }
}

/// The masks; `None` for one that this host lacks.
#[derive(Clone, Debug, Default)]
struct Masks {
    present: Option<BTreeSet<u32>>,
    online: Option<BTreeSet<u32>>,
    offline: Option<BTreeSet<u32>>,
    isolated: Option<BTreeSet<u32>>,
}

impl Masks {
    fn read(roots: &Roots, online: Result<Online>) -> (Self, Faults) {
        let mut faults = Faults::default();
        let directory = roots.sys_cpu();
        let parse = |list: Arc<Vec<u8>>| nonempty_cpu_list(roots.online.path(), &list);
        let mut masks = Self {
            present: faults.keep(read_nonempty_cpu_list(&directory.join("present"))).flatten(),
            online: faults.keep(online.and_then(|list| list.map(parse).transpose())).flatten(),
            offline: None,
            isolated: faults.keep(read_cpu_list(&directory.join("isolated"))).flatten(),
        };
        if masks.present.is_none() {
            masks.offline = faults.keep(read_cpu_list(&directory.join("offline"))).flatten();
        }
        (masks, faults)
    }
}

fn families(masks: &Masks, settings: &Settings) -> Vec<Family> {
    // The mask is used instead of each CPU's file `online`, which cpu0 lacks if it cannot be taken offline. Without the
    // mask the state of every CPU is unknown.
    let present: Option<BTreeSet<u32>> = masks.online.as_ref().map(|running| {
        // `offline` also lists CPUs that a virtual machine could get by hotplug, so it is used only if `present` is
        // missing.
        let others = masks.present.as_ref().or(masks.offline.as_ref());
        running.iter().chain(others.into_iter().flatten()).copied().collect()
    });
    let mut families = match settings.names {
        Names::Own => counts(masks),
        Names::Node => Vec::new(),
    };
    let cpus = present.as_ref().or(masks.isolated.as_ref()).map_or(0, BTreeSet::len);
    if settings.exports_each_of(cpus) {
        families.extend(each(masks, present.as_ref()));
    }
    families
}

#[expect(clippy::cast_precision_loss, reason = "a list has at most 65,536 CPUs")]
fn counts(masks: &Masks) -> Vec<Family> {
    let count =
        |name, help, cpus: Option<&BTreeSet<u32>>| Some(Family::gauge(name, help, &[]).value(cpus?.len() as f64));
    [
        count("cpu_exporter_cpus_present", "Number of CPUs, online and offline.", masks.present.as_ref()),
        count("cpu_exporter_cpus_online", "Number of CPUs that are online and being scheduled.", masks.online.as_ref()),
        count("cpu_exporter_cpus_isolated", "Number of CPUs isolated from the scheduler.", masks.isolated.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn each(masks: &Masks, present: Option<&BTreeSet<u32>>) -> [Family; 2] {
    let mut online = Family::gauge("cpu_exporter_cpu_online", "CPUs that are online and being scheduled.", &["cpu"]);
    for cpu in present.into_iter().flatten() {
        let running = masks.online.as_ref().is_some_and(|running| running.contains(cpu));
        online.push(&[cpu.to_string()], f64::from(u8::from(running)));
    }
    let mut isolated = Family::gauge(
        "cpu_exporter_cpu_isolated",
        "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.",
        &["cpu"],
    );
    for cpu in masks.isolated.iter().flatten() {
        isolated.push(&[cpu.to_string()], 1.0);
    }
    [online, isolated]
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;

    fn samples(masks: &Masks) -> Vec<String> {
        let settings = Settings::new(Roots::new("/nowhere", "/nowhere", None));
        let text = to_text(families(masks, &settings));
        let samples = text.lines().filter_map(|line| line.strip_prefix("cpu_exporter_cpu"));
        samples.map(|line| line.trim_start_matches("s_").trim_start_matches('_').to_owned()).collect()
    }

    fn mask(cpus: impl IntoIterator<Item = u32>) -> Option<BTreeSet<u32>> {
        Some(cpus.into_iter().collect())
    }

    #[test]
    fn every_present_cpu_has_a_series() {
        let masks = Masks { present: mask(0..3), online: mask([0, 2]), offline: mask([1, 3, 4]), isolated: mask([2]) };
        assert_eq!(
            samples(&masks),
            [
                "isolated{cpu=\"2\"} 1",
                "online{cpu=\"0\"} 1",
                "online{cpu=\"1\"} 0",
                "online{cpu=\"2\"} 1",
                "isolated 1",
                "online 2",
                "present 3"
            ]
        );
    }

    #[test]
    fn the_cpus_of_a_large_host_are_only_counted() {
        let masks = Masks { present: mask(0..4096), online: mask(0..4000), isolated: mask([3]), ..Masks::default() };
        assert_eq!(samples(&masks), ["isolated 1", "online 4000", "present 4096"]);
        let mut settings = Settings::new(Roots::new("/nowhere", "/nowhere", None));
        settings.per_cpu = true;
        assert_eq!(families(&masks, &settings).iter().map(Family::len).sum::<usize>(), 3 + 4096 + 1);
    }

    #[test]
    fn offline_is_used_if_present_is_missing() {
        let masks = Masks { online: mask([0]), offline: mask([1]), ..Masks::default() };
        assert_eq!(samples(&masks), ["online{cpu=\"0\"} 1", "online{cpu=\"1\"} 0", "online 1"]);
    }

    #[tokio::test]
    async fn an_empty_present_or_online_mask_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::new("/nowhere", root.path(), None);
        std::fs::create_dir_all(roots.sys_cpu()).unwrap();
        let write = |name, text| std::fs::write(roots.sys_cpu().join(name), text).unwrap();
        for (name, whole) in [("present", "0-1\n"), ("online", "0\n"), ("offline", "\n"), ("isolated", "\n")] {
            write(name, whole);
        }
        let (masks, faults) = Masks::read(&roots, roots.online.read().await);
        assert!(faults.result().is_ok());
        let expected = ["online{cpu=\"0\"} 1", "online{cpu=\"1\"} 0", "isolated 0", "online 1", "present 2"];
        assert_eq!(samples(&masks), expected);

        for (name, whole, left) in [("present", "0-1\n", 3), ("online", "0\n", 2)] {
            for empty in ["", "\n"] {
                write(name, empty);
                let (masks, faults) = Masks::read(&roots, roots.online.read().await);
                assert!(
                    faults.result().unwrap_err().to_string().contains(&format!("{name}: the list of CPUs is empty"))
                );
                assert_eq!(samples(&masks).len(), left, "{name}: {empty:?}");
            }
            write(name, whole);
        }
    }

    #[test]
    fn without_masks_there_are_no_series() {
        assert_eq!(samples(&Masks::default()), [""; 0]);
        assert_eq!(samples(&Masks { present: mask(0..3), ..Masks::default() }), ["present 3"]);
    }
}
