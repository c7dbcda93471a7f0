//! Collector `cgroups`: CPU usage, limit, throttling and pressure of the busiest services, pods and containers.

mod hierarchy;
mod kubernetes;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use exporter_common::{Collector, Family, Scrape, async_trait};

use self::hierarchy::{Cgroup, Cgroups, Hierarchy, Identity};
use self::kubernetes::Pod;
use crate::busiest::{self, Busiest};
use crate::cgroup_files;
use crate::monotonic_counter::MonotonicCounter;
use crate::procfs::stalls;
use crate::settings::Settings;

/// The cgroups of the host.
pub(super) struct CgroupsCollector {
    settings: Settings,
    state: Mutex<State>,
}

struct State {
    busiest: Busiest<COUNTERS>,
    counters: BTreeMap<String, Counters>,
    /// The cgroups with children, and the last read of each.
    parents: BTreeMap<Identity, u64>,
    reads: u64,
}

/// Usage, user time, system time and usage of unknown mode in ns; periods, throttled periods, throttled time in ns.
const COUNTERS: usize = 7;
const PERIODS: usize = 4;

/// The kernel's counters of one cgroup.
struct Counters {
    /// It differs if the cgroup was recreated under the same name.
    identity: Identity,
    counts: [MonotonicCounter; COUNTERS],
    stalls: [MonotonicCounter; 2],
    /// The last read with this cgroup.
    read: u64,
}

/// The name of the sum of all other cgroups.
const OTHER: &str = "_other";

impl CgroupsCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        let busiest = Busiest::new(settings.cgroups.max, 0);
        let state = State { busiest, counters: BTreeMap::new(), parents: BTreeMap::new(), reads: 0 };
        Self { settings: settings.clone(), state: Mutex::new(state) }
    }
}

#[async_trait]
impl Collector for CgroupsCollector {
    fn name(&self) -> &'static str {
        "cgroups"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let (root, depth) = (self.settings.roots.sysfs.join("fs/cgroup"), self.settings.cgroups.depth);
        let read = move || Hierarchy::find(&root).map(|hierarchy| hierarchy.cgroups(depth));
        let (cgroups, faults) = scrape.blocking(read).await?;
        // A panic cannot leave the counters inconsistent: only assignments happen under the lock.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.add(&cgroups, faults.is_empty());
        for family in families(&state, &cgroups.by_path) {
            scrape.add(family);
        }
        faults.result()
    }
}

/// The counts of a cgroup in the order of [`COUNTERS`]. The usage of a cgroup with children includes its children,
/// so it only counts for the order.
fn counts(cgroup: &Cgroup) -> [Option<u64>; COUNTERS] {
    let [usage, periods, throttled_periods, throttled, user, system] = cgroup.counts;
    let (user, system) = user.zip(system).filter(|_| cgroup.leaf).unzip();
    let unknown = usage.filter(|_| user.is_none() && cgroup.leaf);
    let limited =
        |count: Option<u64>| count.filter(|_| cgroup.limit.is_some() || periods.is_some_and(|count| count > 0));
    [usage, user, system, unknown, limited(periods), limited(throttled_periods), limited(throttled)]
}

impl State {
    /// Adds a read. After an incomplete one, a missing cgroup may still exist.
    fn add(&mut self, cgroups: &Cgroups, is_complete: bool) {
        self.reads += 1;
        let mut increases = BTreeMap::new();
        for (name, cgroup) in &cgroups.by_path {
            let counters = self.counters.entry(name.clone()).or_insert(Counters {
                identity: cgroup.identity,
                counts: [MonotonicCounter::default(); COUNTERS],
                stalls: [MonotonicCounter::default(); 2],
                read: 0,
            });
            counters.read = self.reads;
            if counters.identity != cgroup.identity {
                counters.identity = cgroup.identity;
                counters.counts.iter_mut().chain(&mut counters.stalls).for_each(MonotonicCounter::restart);
            }
            // the usage of a cgroup that had children was counted as theirs
            if cgroup.leaf && self.parents.remove(&cgroup.identity).is_some() {
                for (counter, now) in counters.counts[..PERIODS].iter_mut().zip(counts(cgroup)) {
                    now.inspect(|now| counter.skip(*now));
                }
            }
            let mut increase = [0; COUNTERS];
            for ((counter, now), increase) in counters.counts.iter_mut().zip(counts(cgroup)).zip(&mut increase) {
                let before = counter.total();
                *increase = now.map_or(0, |now| counter.add(now) - before);
            }
            for (counter, now) in counters.stalls.iter_mut().zip(cgroup.stalls) {
                now.map(|now| counter.add(now));
            }
            increases.insert(name.clone(), increase);
        }
        self.parents.extend(cgroups.parents.iter().map(|identity| (*identity, self.reads)));
        let oldest = self.reads.saturating_sub(if is_complete { 0 } else { busiest::PATIENCE });
        self.counters.retain(|_, counters| counters.read >= oldest);
        self.parents.retain(|_, read| *read >= oldest);
        self.busiest.add(increases, is_complete);
    }
}

const LABELS: [&str; 3] = ["cgroup", "pod_uid", "container_id"];

/// Usage, limit, periods, throttled periods, throttled time, waiting time, stalled time.
fn empty_families() -> [Family; 7] {
    [
        Family::counter(
            "cpu_exporter_cgroups_cpu_usage_seconds_total",
            "CPU time used by each cgroup in seconds, by mode.",
            &["cgroup", "pod_uid", "container_id", "mode"],
        ),
        Family::gauge("cpu_exporter_cgroups_cpu_limit_cores", "CPU limit of each limited cgroup in CPUs.", &LABELS),
        Family::counter(
            "cpu_exporter_cgroups_cpu_periods_total",
            "Total number of enforcement periods of the CPU limit in which each cgroup was runnable.",
            &LABELS,
        ),
        Family::counter(
            "cpu_exporter_cgroups_cpu_throttled_periods_total",
            "Total number of enforcement periods in which each cgroup was throttled.",
            &LABELS,
        ),
        Family::counter(
            "cpu_exporter_cgroups_cpu_throttled_seconds_total",
            "Time each cgroup was throttled in seconds, summed over CPUs.",
            &LABELS,
        ),
        Family::counter(
            "cpu_exporter_cgroups_pressure_cpu_waiting_seconds_total",
            "Time in which some process of each cgroup waited for a CPU in seconds, from cpu.pressure.",
            &LABELS,
        ),
        Family::counter(
            "cpu_exporter_cgroups_pressure_cpu_stalled_seconds_total",
            "Time in which all processes of each cgroup waited for a CPU in seconds, from cpu.pressure.",
            &LABELS,
        ),
    ]
}

fn families(state: &State, cgroups: &BTreeMap<String, Cgroup>) -> [Family; 7] {
    let mut families = empty_families();
    for (name, totals) in state.busiest.exported() {
        let Some(cgroup) = cgroups.get(name) else { continue };
        let Pod { uid, container } = Pod::of(name);
        let labels = [name, uid.as_deref().unwrap_or_default(), container.unwrap_or_default()];
        let present = counts(cgroup);
        push(&mut families, labels, std::array::from_fn(|at| present[at].map(|_| totals[at])));
        if let Some(limit) = cgroup.limit {
            families[1].push(&labels, limit);
        }
        let Some(counters) = state.counters.get(name) else { continue };
        for ((family, counter), present) in families[5..].iter_mut().zip(&counters.stalls).zip(cgroup.stalls) {
            if present.is_some() {
                family.push(&labels, stalls::seconds(counter.total()));
            }
        }
    }
    if let Some(others) = state.busiest.others() {
        push(&mut families, [OTHER, "", ""], others.map(|count| Some(count).filter(|count| *count > 0)));
    }
    families
}

fn push(families: &mut [Family; 7], labels: [&str; 3], counts: [Option<u64>; COUNTERS]) {
    let [cgroup, pod, container] = labels;
    for (mode, count) in ["user", "system", ""].into_iter().zip(&counts[1..PERIODS]) {
        if let Some(count) = count {
            families[0].push(&[cgroup, pod, container, mode], cgroup_files::seconds(*count));
        }
    }
    let [.., periods, throttled_periods, throttled] = counts;
    if let Some(periods) = periods {
        families[2].push(&labels, periods);
    }
    if let Some(periods) = throttled_periods {
        families[3].push(&labels, periods);
    }
    if let Some(throttled) = throttled {
        families[4].push(&labels, cgroup_files::seconds(throttled));
    }
}

/// Finds the pod of a path, for the fuzz targets.
#[cfg(fuzzing)]
pub(super) fn fuzz(path: &str) {
    let Pod { uid, container } = Pod::of(path);
    assert!(uid.is_none_or(|uid| uid.len() >= 32) && container.is_none_or(|id| id.len() == 64), "{path:?}");
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;

    fn cgroup(leaf: bool, limit: Option<f64>, usage: u64, inode: u64) -> Cgroup {
        let counts = [usage, 10, 4, 2_000_000_000, usage - 1, 1].map(Some);
        Cgroup { leaf, limit, counts, stalls: [Some(3_000_000), None], identity: (0, inode) }
    }

    /// The samples after each of some reads.
    fn samples(state: &mut State, cgroups: &[(&str, Cgroup)]) -> Vec<String> {
        let by_path = cgroups.iter().map(|(name, cgroup)| ((*name).to_owned(), cgroup.clone())).collect();
        let parents = cgroups.iter().filter(|(_, cgroup)| !cgroup.leaf).map(|(_, cgroup)| cgroup.identity).collect();
        let cgroups = Cgroups { by_path, parents };
        state.add(&cgroups, true);
        let text = to_text(families(state, &cgroups.by_path));
        let samples = text.lines().filter_map(|line| line.strip_prefix("cpu_exporter_cgroups_"));
        samples
            .map(|line| line.replace("container_id=\"\",", "").replace(",pod_uid=\"\"", ""))
            .map(|line| line.replace("container_id=\"\",", ""))
            .collect()
    }

    fn state(limit: usize) -> State {
        State { busiest: Busiest::new(limit, 0), counters: BTreeMap::new(), parents: BTreeMap::new(), reads: 0 }
    }

    #[test]
    fn a_slice_with_a_limit_has_no_usage_which_its_services_have() {
        let found =
            samples(&mut state(9), &[("/a", cgroup(false, Some(0.5), 5, 1)), ("/a/b", cgroup(true, None, 5, 2))]);
        let usage: Vec<_> = found.iter().filter(|line| line.starts_with("cpu_usage")).collect();
        assert!(usage.len() == 2 && usage.iter().all(|line| line.contains("/a/b")), "{found:?}");
        assert!(found.contains(&"cpu_limit_cores{cgroup=\"/a\"} 0.5".to_owned()), "{found:?}");
        assert!(found.contains(&"pressure_cpu_waiting_seconds_total{cgroup=\"/a/b\"} 3".to_owned()), "{found:?}");
        assert!(!found.iter().any(|line| line.contains("stalled") || line.contains(OTHER)), "{found:?}");
    }

    #[test]
    fn a_recreated_cgroup_continues_and_one_that_returns_later_restarts() {
        let mut state = state(9);
        let user = |found: Vec<String>| found.into_iter().find(|line| line.contains("mode=\"user\"")).unwrap();
        for (seconds, inode, expected) in [(5, 1, "5"), (6, 1, "6"), (2, 2, "8")] {
            let found = samples(&mut state, &[("/a", cgroup(true, None, seconds * 1_000_000_000 + 1, inode))]);
            assert!(user(found).ends_with(&format!("}} {expected}")), "{seconds} {inode}");
        }
        assert!(samples(&mut state, &[]).is_empty());
        let found = samples(&mut state, &[("/a", cgroup(true, None, 1_000_000_001, 3))]);
        assert!(user(found).ends_with("} 1"));
    }

    #[test]
    fn usage_of_children_that_are_gone_is_not_counted_again_as_their_slices() {
        let mut state = state(9);
        let user = |found: Vec<String>| found.into_iter().find(|line| line.contains("mode=\"user\"")).unwrap();
        let slice = |leaf, seconds: u64| ("/a", cgroup(leaf, Some(0.5), seconds * 1_000_000_000 + 1, 1));
        samples(&mut state, &[slice(false, 50), ("/a/b", cgroup(true, None, 50_000_000_001, 2))]);
        assert!(user(samples(&mut state, &[slice(true, 60)])).ends_with("} 0"));
        assert!(user(samples(&mut state, &[slice(true, 63)])).ends_with("} 3"));
    }

    #[test]
    fn a_cgroup_that_is_missing_from_an_incomplete_read_is_not_counted_again() {
        let mut state = state(1);
        let read = |cgroups: &[(&str, u64)]| Cgroups {
            by_path: cgroups
                .iter()
                .map(|(name, seconds)| {
                    ((*name).to_owned(), cgroup(true, None, seconds * 1_000_000_000 + 1, *seconds % 10))
                })
                .collect(),
            ..Cgroups::default()
        };
        state.add(&read(&[("/a", 101), ("/b", 52)]), true);
        state.add(&read(&[("/a", 111)]), false);
        state.add(&read(&[("/a", 121), ("/b", 62)]), true);
        let seconds = |counts: [u64; COUNTERS]| counts[0] / 1_000_000_000;
        assert_eq!(state.busiest.others().map(seconds), Some(62));
        let mut state = self::state(2);
        for (cgroups, is_complete) in [(&[("/a", 5), ("/b", 52)][..], true), (&[("/a", 5)], false)] {
            state.add(&read(cgroups), is_complete);
        }
        state.add(&read(&[("/a", 5), ("/b", 62)]), true);
        let exported: Vec<_> = state.busiest.exported().map(|(name, counts)| (name, seconds(counts))).collect();
        assert_eq!(exported, [("/a", 5), ("/b", 62)]);
    }

    #[test]
    fn cgroups_beyond_the_limit_are_summed() {
        let cgroups: Vec<_> = [("/a", 5), ("/b", 3), ("/c", 2)]
            .map(|(name, seconds)| (name, cgroup(true, Some(1.0), seconds * 1_000_000_000 + 1, seconds)))
            .into();
        let found = samples(&mut state(1), &cgroups);
        assert!(found.contains(&"cpu_usage_seconds_total{cgroup=\"_other\",mode=\"user\"} 5".to_owned()), "{found:?}");
        assert!(found.contains(&"cpu_throttled_seconds_total{cgroup=\"_other\"} 4".to_owned()), "{found:?}");
        assert!(!found.iter().any(|line| line.contains("/b") || line.contains("/c")), "{found:?}");
    }
}
