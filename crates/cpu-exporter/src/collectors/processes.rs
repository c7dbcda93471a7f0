//! Collector `processes`: CPU time by name of the process, of the busiest names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use exporter_common::{Collector, Family, Scrape, async_trait};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

use crate::busiest::Busiest;
use crate::settings::Settings;

/// CPU time of the host's processes.
pub(super) struct ProcessesCollector {
    settings: Settings,
    system: Arc<Mutex<Option<System>>>,
    groups: Mutex<Groups>,
}

impl ProcessesCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            system: Arc::default(),
            groups: Mutex::new(Groups::new(settings.processes_max)),
        }
    }
}

#[async_trait]
impl Collector for ProcessesCollector {
    fn name(&self) -> &'static str {
        "processes"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let system = self.system.clone();
        let processes = scrape.blocking(move || read(&system)).await?;
        // A panic cannot leave the groups inconsistent: only assignments happen under the lock.
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.add(processes);
        for family in families(&groups) {
            scrape.add(self.settings.names.apply(family));
        }
        Ok(())
    }
}

/// One process.
#[derive(Clone, Debug)]
struct Process {
    pid: u32,
    /// Seconds since the epoch; a later process with the same pid has another one.
    started: u64,
    name: String,
    milliseconds: u64,
}

fn read(system: &Mutex<Option<System>>) -> Result<Vec<Process>> {
    let mut system = system.lock().unwrap_or_else(PoisonError::into_inner);
    if system.is_none() {
        *system = System::new().ok();
    }
    let Some(system) = system.as_mut() else { bail!("cannot read the processes in /proc") };
    let kind = ProcessRefreshKind::nothing().with_cpu().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    let process = |process: &sysinfo::Process| Process {
        pid: process.pid().as_u32(),
        started: process.start_time(),
        name: process.name().to_string_lossy().into_owned(),
        milliseconds: process.accumulated_cpu_time(),
    };
    let processes: Vec<_> = system.processes().values().map(process).collect();
    if processes.is_empty() {
        bail!("no processes in /proc");
    }
    Ok(processes)
}

/// CPU time by name. What a process used after the last read before it exited is not counted.
struct Groups {
    busiest: Busiest<1>,
    /// Start and CPU time of each process in the last read.
    last: BTreeMap<u32, (u64, u64)>,
    /// Number of processes by name in the last read.
    count: BTreeMap<String, u64>,
}

impl Groups {
    fn new(max: usize) -> Self {
        // A name without processes, such as a job between two runs, is remembered, so that its counter continues.
        Self { busiest: Busiest::new(max, 10 * max), last: BTreeMap::new(), count: BTreeMap::new() }
    }

    fn add(&mut self, processes: Vec<Process>) {
        let mut increases = BTreeMap::<String, [u64; 1]>::new();
        let mut last = BTreeMap::new();
        self.count.clear();
        for Process { pid, started, name, milliseconds } in processes {
            let before = self.last.get(&pid).filter(|(start, _)| *start == started).map_or(0, |(_, before)| *before);
            let increase = milliseconds.saturating_sub(before);
            last.insert(pid, (started, milliseconds.max(before)));
            *self.count.entry(name.clone()).or_default() += 1;
            increases.entry(name).or_default()[0] += increase;
        }
        self.last = last;
        self.busiest.add(increases, true);
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 ms")]
fn families(groups: &Groups) -> [Family; 2] {
    let mut usage = Family::counter(
        "cpu_exporter_processes_cpu_seconds_total",
        "CPU time of all processes of each name in seconds.",
        &["name"],
    );
    let mut count = Family::gauge("cpu_exporter_processes", "Number of processes of each name.", &["name"]);
    for (name, [milliseconds]) in groups.busiest.exported() {
        usage.push(&[name], milliseconds as f64 / 1e3);
        count.push(&[name], groups.count.get(name).copied().unwrap_or(0));
    }
    if let Some([milliseconds]) = groups.busiest.others() {
        usage.push(&["_other"], milliseconds as f64 / 1e3);
    }
    [usage, count]
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;

    fn process(pid: u32, started: u64, name: &str, milliseconds: u64) -> Process {
        Process { pid, started, name: name.to_owned(), milliseconds }
    }

    /// The samples after a read.
    fn samples(groups: &mut Groups, processes: &[Process]) -> Vec<String> {
        groups.add(processes.to_vec());
        let text = to_text(families(groups));
        let samples = text.lines().filter_map(|line| line.strip_prefix("cpu_exporter_processes_cpu_seconds_total"));
        samples.map(|line| line.replace("{name=\"", "").replace("\"}", "")).collect()
    }

    #[test]
    fn a_counter_continues_when_processes_come_and_go() {
        let mut groups = Groups::new(9);
        assert_eq!(samples(&mut groups, &[process(1, 5, "sh", 1000), process(2, 5, "sh", 2000)]), ["sh 3"]);
        assert_eq!(samples(&mut groups, &[process(2, 5, "sh", 2500)]), ["sh 3.5"], "process 1 is gone");
        assert_eq!(samples(&mut groups, &[process(2, 9, "sh", 100)]), ["sh 3.6"], "another process 2");
        assert_eq!(samples(&mut groups, &[process(2, 9, "ls", 150)]), ["ls 0.05", "sh 3.6"], "which runs ls now");
        assert_eq!(samples(&mut groups, &[process(2, 9, "ls", 140)]), ["ls 0.05", "sh 3.6"], "never less");
    }

    #[test]
    fn only_the_busiest_names_are_exported() {
        let mut groups = Groups::new(1);
        assert_eq!(samples(&mut groups, &[process(1, 5, "a", 1000), process(2, 5, "b", 2000)]), ["_other 1", "b 2"]);
    }

    #[test]
    fn this_process_is_found_and_its_time_increases() {
        let system = Mutex::default();
        let own = || {
            let processes = read(&system).unwrap();
            processes.into_iter().find(|process| process.pid == std::process::id()).unwrap().milliseconds
        };
        let before = own();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while own() <= before {
            assert!(std::time::Instant::now() < deadline, "the CPU time does not increase");
        }
    }
}
