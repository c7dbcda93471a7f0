//! Collector `cpufreq`: CPU frequencies and governors, from cpu*/cpufreq in sysfs, or clock rates from /proc/cpuinfo.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use exporter_common::duration::human;
use exporter_common::{Collector, Family, Faults, Scrape, async_trait, blocking};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::sync::Semaphore;

use crate::procfs::{CpuInfo, Facts, OnlineCache, Roots, excerpt, is_denied, read, read_cpu_list};
use crate::settings::{Names, Settings};

/// Frequencies and governors of the host's CPUs.
pub(super) struct CpufreqCollector {
    settings: Settings,
    cpus: Arc<OnlineCache<Vec<Arc<Cpu>>>>,
    running: Arc<RunningReads>,
}

impl CpufreqCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), cpus: Arc::default(), running: Arc::default() }
    }
}

#[async_trait]
impl Collector for CpufreqCollector {
    fn name(&self) -> &'static str {
        "cpufreq"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let roots = self.settings.roots.clone();
        let online = roots.online().await;
        let (cpus, mut faults) = self.cpus.get(scrape, &online, move |faults| cpus(&roots, faults)).await;
        if cpus.is_empty() && faults.is_empty() && self.settings.clock_rates {
            let (info, faults) = self.settings.roots.cpuinfo.clock_rates(scrape, &online).await;
            scrape.add(self.settings.names.apply(clock_rates(&info.cpus, &self.settings)));
            return faults.result();
        }
        if !self.settings.exports_each_of(cpus.len()) {
            return faults.result();
        }
        let stuck = self.running.hanging();
        if let Some(first) = stuck.first() {
            let count = stuck.len();
            faults.note(anyhow!("reads of {count} CPUs still hang since an earlier scrape, the first is cpu{first}"));
        }
        let free = || cpus.iter().filter(|cpu| !stuck.contains(&cpu.number));
        // A read may take the kernel 50 ms for each CPU, so several CPUs are read concurrently.
        let reads: FuturesUnordered<_> = free().map(|cpu| self.running.clone().read(cpu.clone())).collect();
        let waiting = free().map(|cpu| cpu.number).collect();
        let names = self.settings.names;
        let add = |cpu: &_| families(cpu).into_iter().for_each(|family| scrape.add(names.apply(family)));
        faults.keep(each(waiting, reads, scrape.time_left().mul_f64(WAIT_FRACTION), add).await);
        faults.result()
    }
}

/// Number of concurrent reads, including reads that hang. The other collectors need some of the 64 threads too.
const THREADS: usize = 16;

/// After this time, a read hangs. The kernel needs at most 50 ms.
const HANGS: Duration = Duration::from_millis(200);

/// Fraction of the scrape timeout to wait for reads that hang; the rest is left for reporting them.
const WAIT_FRACTION: f64 = 0.9;

/// The reads in progress. One that hangs stays here, so that later scrapes neither wait for its CPU nor start another
/// read of it. They do not use [`Scrape::blocking`], which would delay the whole collector.
struct RunningReads {
    /// When the first read of each CPU started.
    cpus: Mutex<BTreeMap<u32, Instant>>,
    permits: Arc<Semaphore>,
}

impl Default for RunningReads {
    fn default() -> Self {
        Self { cpus: Mutex::default(), permits: Arc::new(Semaphore::new(THREADS)) }
    }
}

impl RunningReads {
    /// The CPUs whose reads hang, and not only run since another scrape that is in progress.
    fn hanging(&self) -> BTreeSet<u32> {
        let cpus = self.cpus.lock().unwrap_or_else(PoisonError::into_inner);
        cpus.iter().filter(|(_, began)| began.elapsed() > HANGS).map(|(cpu, _)| *cpu).collect()
    }

    /// Reads one CPU on another thread.
    async fn read(self: Arc<Self>, cpu: Arc<Cpu>) -> (Frequencies, Faults) {
        let number = cpu.number;
        let permit = self.permits.clone().acquire_owned().await;
        blocking(move || {
            let _permit = permit;
            self.cpus.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_insert_with(Instant::now);
            let result = Frequencies::read(&cpu);
            self.cpus.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
            result
        })
        .await
    }
}

/// Adds the frequencies of each CPU as soon as they are read, so that a read that hangs affects only its own CPU.
///
/// # Errors
/// The first read that failed, or the CPUs whose reads did not finish in time.
async fn each(
    mut waiting: BTreeSet<u32>,
    reads: impl Stream<Item = (Frequencies, Faults)>,
    timeout: Duration,
    add: impl Fn(&Frequencies),
) -> Result<()> {
    let mut faults = Faults::default();
    let mut reads = pin!(reads);
    let all = async {
        while let Some((frequencies, read)) = reads.next().await {
            waiting.remove(&frequencies.cpu);
            add(&frequencies);
            faults.keep(read.result());
        }
    };
    let in_time = tokio::time::timeout(timeout, all).await;
    if let (Err(_), Some(first)) = (in_time, waiting.first()) {
        let (count, timeout) = (waiting.len(), human(timeout));
        faults.note(anyhow!("reads of {count} CPUs did not finish within {timeout}, the first is cpu{first}"));
    }
    faults.result()
}

/// An online CPU with frequencies.
#[derive(Debug)]
struct Cpu {
    number: u32,
    /// Its directory `cpufreq`.
    directory: PathBuf,
    /// Its static facts, as soon as they were read completely.
    limits: OnceLock<HardwareLimits>,
}

/// The facts of a CPU that depend only on its hardware and its driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct HardwareLimits {
    /// `cpuinfo_min_freq` and `cpuinfo_max_freq`.
    kilohertz: [Option<u64>; 2],
    governors: Vec<String>,
}

/// Each online CPU that has the directory `cpufreq`. The files of an offline CPU contain old values.
fn cpus(roots: &Roots, faults: &mut Faults) -> Vec<Arc<Cpu>> {
    let offline = faults.keep(read_cpu_list(&roots.sys_cpu().join("offline"))).flatten().unwrap_or_default();
    let cpus = faults.keep(roots.sys_cpus()).unwrap_or_default();
    let cpu = |(number, path): (u32, PathBuf)| {
        let directory = path.join("cpufreq");
        let exists = directory.try_exists().with_context(|| format!("cannot read {}", directory.display()));
        let usable = !offline.contains(&number) && faults.keep(exists) == Some(true);
        usable.then(|| Arc::new(Cpu { number, directory, limits: OnceLock::new() }))
    };
    cpus.into_iter().filter_map(cpu).collect()
}

/// File (in kHz), metric name and HELP of each frequency.
const FREQUENCIES: [(&str, &str, &str); 7] = [
    ("cpuinfo_cur_freq", "cpu_exporter_cpu_frequency_hertz", "Current CPU thread frequency in hertz."),
    ("cpuinfo_avg_freq", "cpu_exporter_cpu_frequency_avg_hertz", "Average CPU thread frequency in hertz."),
    ("scaling_cur_freq", "cpu_exporter_cpu_scaling_frequency_hertz", "Current scaled CPU thread frequency in hertz."),
    (
        "scaling_min_freq",
        "cpu_exporter_cpu_scaling_frequency_min_hertz",
        "Minimum scaled CPU thread frequency in hertz.",
    ),
    (
        "scaling_max_freq",
        "cpu_exporter_cpu_scaling_frequency_max_hertz",
        "Maximum scaled CPU thread frequency in hertz.",
    ),
    ("cpuinfo_min_freq", "cpu_exporter_cpu_frequency_min_hertz", "Minimum CPU thread frequency in hertz."),
    ("cpuinfo_max_freq", "cpu_exporter_cpu_frequency_max_hertz", "Maximum CPU thread frequency in hertz."),
];

/// The number of frequencies that change; the others are part of [`HardwareLimits`].
const CHANGING: usize = 5;

/// The values of one CPU's directory; each file may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Frequencies {
    cpu: u32,
    /// The first [`FREQUENCIES`]; `limits` has the others.
    kilohertz: [Option<u64>; CHANGING],
    governor: Option<String>,
    limits: HardwareLimits,
}

impl Frequencies {
    fn read(cpu: &Cpu) -> (Self, Faults) {
        let mut faults = Faults::default();
        let limits = match cpu.limits.get() {
            Some(limits) => limits.clone(),
            None => {
                let limits = HardwareLimits::read(&cpu.directory, &mut faults);
                if faults.is_empty() {
                    let _ = cpu.limits.set(limits.clone()); // a concurrent read has set the same
                }
                limits
            }
        };
        let mut frequencies = Self { cpu: cpu.number, limits, ..Self::default() };
        for ((file, ..), kilohertz) in FREQUENCIES.iter().zip(&mut frequencies.kilohertz) {
            *kilohertz = faults.keep(frequency(&cpu.directory.join(file))).flatten();
        }
        let governor = faults.keep(governors(&cpu.directory.join("scaling_governor"))).flatten();
        frequencies.governor = governor.and_then(|names| names.into_iter().next());
        (frequencies, faults)
    }
}

impl HardwareLimits {
    fn read(directory: &Path, faults: &mut Faults) -> Self {
        let kilohertz = [FREQUENCIES[CHANGING].0, FREQUENCIES[CHANGING + 1].0]
            .map(|file| faults.keep(frequency(&directory.join(file))).flatten());
        let governors = faults.keep(governors(&directory.join("scaling_available_governors"))).flatten();
        Self { kilohertz, governors: governors.unwrap_or_default() }
    }
}

/// The governors listed in a file; `None` if this CPU does not have the file.
fn governors(path: &Path) -> Result<Option<Vec<String>>> {
    let Some(text) = read(path)? else { return Ok(None) };
    governor_names(&text).map(Some).with_context(|| path.display().to_string())
}

fn governor_names(text: &str) -> Result<Vec<String>> {
    // They become label values, so other characters are refused.
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_- \n".contains(&byte)) {
        bail!("not a list of governors: {:?}", excerpt(text));
    }
    Ok(text.split_ascii_whitespace().map(str::to_owned).collect())
}

/// The frequency in a file in kHz; `None` if this CPU does not have the file or its driver does not know the value.
fn frequency(path: &Path) -> Result<Option<u64>> {
    let text = match read(path) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        // Only root may read this file, which queries the hardware. For other users it is treated as missing.
        Err(error) if path.ends_with(FREQUENCIES[0].0) && is_denied(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    kilohertz(&text).with_context(|| format!("{}", path.display()))
}

fn kilohertz(text: &str) -> Result<Option<u64>> {
    match text.trim() {
        "<unknown>" => Ok(None), // the value if the CPU's driver does not know the frequency
        number => number.parse().map(Some).with_context(|| format!("not a number: {:?}", excerpt(text))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 kHz")]
fn families(cpu: &Frequencies) -> Vec<Family> {
    let number = cpu.cpu.to_string();
    let mut families = Vec::new();
    for ((_, name, help), kilohertz) in FREQUENCIES.iter().zip(cpu.kilohertz.iter().chain(&cpu.limits.kilohertz)) {
        if let Some(kilohertz) = *kilohertz {
            families.push(Family::gauge(*name, *help, &["cpu"]).with(&[&number], kilohertz as f64 * 1000.0));
        }
    }
    let mut governors = Family::gauge(
        "cpu_exporter_cpu_scaling_governor",
        "Current enabled CPU frequency governor.",
        &["cpu", "governor"],
    );
    if let Some(current) = &cpu.governor {
        // The current governor is exported even if it is not listed.
        let unlisted = Some(current).filter(|current| !cpu.limits.governors.contains(current));
        for governor in cpu.limits.governors.iter().chain(unlisted) {
            governors.push(&[&number, governor], f64::from(u8::from(governor == current)));
        }
    }
    families.push(governors);
    families
}

/// The clock rates in /proc/cpuinfo, for hosts without frequencies in sysfs, such as virtual machines. node_exporter has
/// them with more labels, and only with its flag for the facts of this file.
fn clock_rates(cpus: &[Facts], settings: &Settings) -> Family {
    let (help, labels): (_, &[&'static str]) = match settings.names {
        Names::Own => (FREQUENCIES[0].2, &["cpu"]),
        Names::Node => ("CPU frequency in hertz from /proc/cpuinfo.", &["package", "core", "cpu"]),
    };
    let mut family = Family::gauge(FREQUENCIES[0].1, help, labels);
    if settings.exports_each_of(cpus.len()) {
        for cpu in cpus {
            let Some(megahertz) = CpuInfo::megahertz(cpu) else { continue };
            let values: Vec<_> = labels.iter().map(|label| cpu.get(label).map_or("", String::as_str)).collect();
            family.push(&values, megahertz * 1e6);
        }
    }
    family
}

#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    let _ = kilohertz(text);
    let _ = governor_names(text);
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ops::Range;

    use exporter_common::to_text;
    use futures_util::stream;

    use super::*;

    fn cpu(directory: &Path) -> Cpu {
        Cpu { number: 0, directory: directory.to_owned(), limits: OnceLock::new() }
    }

    #[test]
    fn the_range_of_the_hardware_is_read_once_if_it_is_complete() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(root.path().join(file), text).unwrap();
        let cpu = cpu(root.path());
        let maximum = || Frequencies::read(&cpu).0.limits.kilohertz[1];
        write("cpuinfo_max_freq", "x\n");
        assert_eq!(maximum(), None);
        write("cpuinfo_max_freq", "3300000\n");
        assert_eq!(maximum(), Some(3_300_000));
        write("cpuinfo_max_freq", "1\n");
        assert_eq!(maximum(), Some(3_300_000));
    }

    #[test]
    fn clock_rates_have_the_labels_of_the_names() {
        let cpu = Facts::from(
            [("cpu", "1"), ("core", "0"), ("package", "2"), ("_megahertz", "2445.412")]
                .map(|(label, value)| (label, value.to_owned())),
        );
        let mut settings = Settings::new(Roots::new("/nowhere", "/nowhere", None));
        for (names, labels) in [(Names::Own, "cpu=\"1\""), (Names::Node, "core=\"0\",cpu=\"1\",package=\"2\"")] {
            settings.names = names;
            let text = to_text([clock_rates(std::slice::from_ref(&cpu), &settings)]);
            assert!(text.ends_with(&format!("{{{labels}}} 2.445412e+09\n")), "{text}");
        }
        assert!(clock_rates(&vec![cpu; 65], &Settings { names: Names::Own, ..settings }).is_empty());
    }

    #[test]
    fn a_frequency_is_a_number_or_unknown() {
        assert_eq!(kilohertz("1699981\n").unwrap(), Some(1_699_981));
        assert_eq!(kilohertz("<unknown>\n").unwrap(), None);
        for text in ["", "\n", "x", "-1", "1.5"] {
            assert!(kilohertz(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_current_governor_is_1_and_all_others_are_0() {
        let limits = |governors: &[&str]| HardwareLimits {
            governors: governors.iter().map(|&governor| governor.to_owned()).collect(),
            ..HardwareLimits::default()
        };
        let cpu = |governor: &str, governors: &[&str]| Frequencies {
            governor: Some(governor.to_owned()),
            limits: limits(governors),
            ..Frequencies::default()
        };
        let listed = to_text(families(&cpu("powersave", &["performance", "powersave"])));
        assert!(listed.contains("governor=\"performance\"} 0\n") && listed.contains("governor=\"powersave\"} 1\n"));
        let unlisted = to_text(families(&cpu("userspace", &[])));
        assert!(unlisted.contains("governor=\"userspace\"} 1\n"), "{unlisted}");
    }

    #[test]
    fn an_offline_cpu_and_one_without_frequencies_are_skipped() {
        let root = tempfile::tempdir().unwrap();
        let cpus = root.path().join("devices/system/cpu");
        for directory in ["cpu0/cpufreq", "cpu1/cpufreq", "cpu2", "cpufreq", "cpuidle"] {
            std::fs::create_dir_all(cpus.join(directory)).unwrap();
        }
        std::fs::write(cpus.join("offline"), "1\n").unwrap();
        let roots = Roots::new("/nowhere", root.path(), None);
        let mut faults = Faults::default();
        let found = super::cpus(&roots, &mut faults);
        assert!(faults.result().is_ok());
        assert_eq!((found.len(), found[0].number, &found[0].directory), (1, 0, &cpus.join("cpu0/cpufreq")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cpu_whose_read_hangs_is_named_and_the_others_are_exported() {
        let read = |cpu| async move {
            if cpu == 1 {
                std::future::pending::<()>().await;
            }
            (Frequencies { cpu, ..Frequencies::default() }, Faults::default())
        };
        let added = RefCell::new(Vec::new());
        let each = |cpus: Range<u32>, concurrency| {
            let reads = stream::iter(cpus.clone().map(read)).buffer_unordered(concurrency);
            each(cpus.collect(), reads, Duration::from_secs(9), |frequencies| added.borrow_mut().push(frequencies.cpu))
        };
        let started = tokio::time::Instant::now();
        let error = each(0..100, 2).await.unwrap_err();
        assert_eq!(error.to_string(), "reads of 1 CPUs did not finish within 9s, the first is cpu1");
        assert_eq!(started.elapsed(), Duration::from_secs(9));
        assert_eq!(added.take(), (0..100).filter(|cpu| *cpu != 1).collect::<Vec<_>>());
        each(2..4, 2).await.unwrap();
        assert_eq!((added.take(), started.elapsed()), (vec![2, 3], Duration::from_secs(9)), "no read hangs");
    }

    #[test]
    fn an_unreadable_file_loses_only_its_own_value() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("scaling_cur_freq")).unwrap(); // reading it gives EISDIR
        std::fs::write(root.path().join("cpuinfo_max_freq"), "3300000\n").unwrap();
        let (frequencies, faults) = Frequencies::read(&cpu(root.path()));
        assert!(faults.result().is_err());
        assert_eq!(
            to_text(families(&frequencies)).lines().last(),
            Some("cpu_exporter_cpu_frequency_max_hertz{cpu=\"0\"} 3.3e+09")
        );
    }
}
