//! Collector `rapl`: energy used by packages, cores and memory, from /sys/class/powercap.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use crate::procfs::{is_denied, number, read};
use crate::settings::Settings;

/// Energy counters of the host.
pub(super) struct RaplCollector {
    settings: Settings,
    counters: Mutex<BTreeMap<PathBuf, EnergyCounter>>,
}

impl RaplCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), counters: Mutex::default() }
    }
}

#[async_trait]
impl Collector for RaplCollector {
    fn name(&self) -> &'static str {
        "rapl"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let directory = self.settings.roots.sysfs.join("class/powercap");
        let (zones, faults) = scrape.blocking(move || zones(&directory)).await;
        // A panic cannot leave the counters inconsistent: only assignments happen under the lock.
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for zone in zones {
            let microjoules = counters.entry(zone.path.clone()).or_default().add(zone.microjoules, zone.range);
            scrape.add(self.settings.names.apply(family(&zone, microjoules, self.settings.rapl_zone_label)));
        }
        faults.result()
    }
}

/// The energy counter of a package, or of a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Zone {
    /// Without the index: `package`, `core`, `dram`.
    name: String,
    index: u64,
    path: PathBuf,
    microjoules: u64,
    /// The counter restarts at 0 after this value.
    range: Option<u64>,
}

/// The zones with a readable counter. The kernel allows only root to read it, since it reveals what a CPU computes.
fn zones(directory: &Path) -> (Vec<Zone>, Faults) {
    let mut faults = Faults::default();
    let mut zones = Vec::new();
    let mut uses = BTreeMap::<String, u64>::new();
    for path in faults.keep(entries(directory)).unwrap_or_default() {
        let Some(name) = faults.keep(read(&path.join("name"))).flatten() else { continue };
        let (name, index) = name_and_index(name.trim(), &mut uses);
        let microjoules = match number(&path.join("energy_uj")) {
            Err(error) if is_denied(&error) => None,
            microjoules => faults.keep(microjoules).flatten(),
        };
        let range = faults.keep(number(&path.join("max_energy_range_uj"))).flatten();
        zones.extend(microjoules.map(|microjoules| Zone { name, index, path, microjoules, range }));
    }
    (zones, faults)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot list {}", directory.display())),
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort_unstable();
    Ok(paths)
}

/// `package-1` is package 1. Zones without a number are counted, like in node_exporter.
fn name_and_index(name: &str, uses: &mut BTreeMap<String, u64>) -> (String, u64) {
    if let Some((name, index)) = name.split_once('-')
        && let Ok(index) = index.parse()
    {
        return (name.to_owned(), index);
    }
    let uses = uses.entry(name.to_owned()).or_default();
    *uses += 1;
    (name.to_owned(), *uses - 1)
}

/// Continues an energy counter that restarts at 0 after its range.
#[derive(Debug, Default)]
struct EnergyCounter {
    last: Option<u64>,
    total: u64,
}

impl EnergyCounter {
    fn add(&mut self, now: u64, range: Option<u64>) -> u64 {
        let increase = match (self.last, range) {
            (Some(last), Some(range)) if now < last && last <= range => (range - last).saturating_add(now),
            (Some(last), _) => now.saturating_sub(last),
            (None, _) => now,
        };
        self.last = Some(now);
        self.total = self.total.saturating_add(increase);
        self.total
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 microjoules")]
fn family(zone: &Zone, microjoules: u64, zone_label: bool) -> Family {
    let (index, path) = (zone.index.to_string(), zone.path.to_string_lossy());
    let joules = microjoules as f64 / 1e6;
    if zone_label {
        let labels = &["index", "path", "rapl_zone"];
        return Family::counter("cpu_exporter_rapl_joules_total", "Current RAPL value in joules", labels)
            .with(&[&index, &*path, &zone.name], joules);
    }
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let name = format!("cpu_exporter_rapl_{}_joules_total", zone.name.chars().map(letter).collect::<String>());
    Family::counter(name, format!("Current RAPL {} value in joules", zone.name), &["index", "path"])
        .with(&[&index, &*path], joules)
}

#[cfg(fuzzing)]
pub(super) fn fuzz(names: &str) {
    let mut uses = BTreeMap::new();
    for name in names.lines() {
        let _ = name_and_index(name, &mut uses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_a_name_and_an_index() {
        let mut uses = BTreeMap::new();
        let names = ["package-1", "core", "core", "psys", "package-x"].map(|name| name_and_index(name, &mut uses));
        let expected = [("package", 1), ("core", 0), ("core", 1), ("psys", 0), ("package-x", 0)];
        assert_eq!(names, expected.map(|(name, index)| (name.to_owned(), index)));
    }

    #[test]
    fn a_counter_continues_after_its_range() {
        let mut counter = EnergyCounter::default();
        let readings = [(90, Some(99)), (95, Some(99)), (5, Some(99)), (2, None), (3, None)];
        assert_eq!(readings.map(|(now, range)| counter.add(now, range)), [90, 95, 104, 104, 105]);
    }

    #[test]
    fn a_zone_without_a_counter_and_one_with_garbage_are_absent() {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("a/name", "package-0\n"),
            ("a/energy_uj", "12\n"),
            ("b/name", "core\n"),
            ("c/name", "dram\n"),
            ("c/energy_uj", "x\n"),
            ("d/enabled", "1\n"),
        ] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let (zones, faults) = zones(root.path());
        assert!(faults.result().unwrap_err().to_string().contains("c/energy_uj"));
        let path = root.path().join("a");
        assert_eq!(zones, [Zone { name: "package".into(), index: 0, path, microjoules: 12, range: None }]);
    }
}
