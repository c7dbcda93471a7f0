//! Collector `cpufreq`: CPU frequencies and governors, from cpu*/cpufreq in sysfs.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use exporter_common::duration::human;
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::sync::Semaphore;

use crate::procfs::{Roots, excerpt, read, read_cpu_list};

/// Frequencies and governors of the host's CPUs.
pub(super) struct CpufreqCollector {
    roots: Roots,
    running: Arc<RunningReads>,
}

impl CpufreqCollector {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { roots: roots.clone(), running: Arc::default() }
    }
}

#[async_trait]
impl Collector for CpufreqCollector {
    fn name(&self) -> &'static str {
        "cpufreq"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let roots = self.roots.clone();
        let (mut directories, mut faults) = scrape.blocking(move || directories(&roots)).await;
        let stuck = self.running.cpus();
        directories.retain(|(cpu, _)| !stuck.contains(cpu));
        if let Some(first) = stuck.first() {
            let count = stuck.len();
            faults.note(anyhow!("reads of {count} CPUs still hang since an earlier scrape, the first is cpu{first}"));
        }
        let cpus: BTreeSet<_> = directories.iter().map(|(cpu, _)| *cpu).collect();
        // A read may take the kernel 50 ms for each CPU, so several CPUs are read concurrently.
        let reads: FuturesUnordered<_> =
            directories.into_iter().map(|(cpu, path)| self.running.clone().read(cpu, path)).collect();
        let add = |cpu: &_| families(cpu).into_iter().for_each(|family| scrape.add(family));
        faults.keep(each(cpus, reads, scrape.time_left().mul_f64(WAIT_FRACTION), add).await);
        faults.result()
    }
}

/// Number of concurrent reads, including reads that hang. The other collectors need some of the 64 threads too.
const THREADS: usize = 16;

/// Fraction of the scrape timeout to wait for reads that hang; the rest is left for reporting them.
const WAIT_FRACTION: f64 = 0.9;

/// The reads in progress. One that hangs stays here, so that later scrapes neither wait for its CPU nor start another
/// read of it. They do not use [`Scrape::blocking`], which would delay the whole collector.
struct RunningReads {
    cpus: Mutex<BTreeSet<u32>>,
    permits: Arc<Semaphore>,
}

impl Default for RunningReads {
    fn default() -> Self {
        Self { cpus: Mutex::default(), permits: Arc::new(Semaphore::new(THREADS)) }
    }
}

impl RunningReads {
    fn cpus(&self) -> BTreeSet<u32> {
        self.cpus.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads one CPU on another thread.
    async fn read(self: Arc<Self>, cpu: u32, directory: PathBuf) -> (Frequencies, Faults) {
        let permit = self.permits.clone().acquire_owned().await;
        self.cpus.lock().unwrap_or_else(PoisonError::into_inner).insert(cpu);
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let result = Frequencies::read(cpu, &directory);
            self.cpus.lock().unwrap_or_else(PoisonError::into_inner).remove(&cpu);
            result
        });
        read.await.unwrap_or_else(|error| {
            let mut faults = Faults::default();
            faults.note(anyhow!("the read of cpu{cpu} panicked: {error}"));
            (Frequencies { cpu, ..Frequencies::default() }, faults)
        })
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

/// The directory `cpufreq` of each online CPU that has one. The files of an offline CPU contain old values.
fn directories(roots: &Roots) -> (Vec<(u32, PathBuf)>, Faults) {
    let mut faults = Faults::default();
    let offline = faults.keep(read_cpu_list(&roots.sys_cpu().join("offline"))).flatten().unwrap_or_default();
    let mut cpus = faults.keep(roots.sys_cpus()).unwrap_or_default();
    cpus.retain_mut(|(cpu, path)| {
        path.push("cpufreq");
        let exists = path.try_exists().with_context(|| format!("cannot read {}", path.display()));
        !offline.contains(cpu) && faults.keep(exists) == Some(true)
    });
    (cpus, faults)
}

/// File (in kHz), metric name and HELP of each frequency.
const FREQUENCIES: [(&str, &str, &str); 7] = [
    ("cpuinfo_cur_freq", "cpu_exporter_cpu_frequency_hertz", "Current CPU thread frequency in hertz."),
    ("cpuinfo_avg_freq", "cpu_exporter_cpu_frequency_avg_hertz", "Average CPU thread frequency in hertz."),
    ("cpuinfo_min_freq", "cpu_exporter_cpu_frequency_min_hertz", "Minimum CPU thread frequency in hertz."),
    ("cpuinfo_max_freq", "cpu_exporter_cpu_frequency_max_hertz", "Maximum CPU thread frequency in hertz."),
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
];

/// The values of one CPU's directory; each file may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Frequencies {
    cpu: u32,
    /// In the order of [`FREQUENCIES`].
    kilohertz: [Option<u64>; FREQUENCIES.len()],
    governor: Option<String>,
    governors: Vec<String>,
}

impl Frequencies {
    fn read(cpu: u32, directory: &Path) -> (Self, Faults) {
        let mut faults = Faults::default();
        let mut frequencies = Self { cpu, ..Self::default() };
        for ((file, ..), kilohertz) in FREQUENCIES.iter().zip(&mut frequencies.kilohertz) {
            *kilohertz = faults.keep(frequency(&directory.join(file))).flatten();
        }
        let mut names = |file| faults.keep(governors(&directory.join(file))).flatten();
        frequencies.governor = names("scaling_governor").and_then(|names| names.into_iter().next());
        frequencies.governors = names("scaling_available_governors").unwrap_or_default();
        (frequencies, faults)
    }
}

/// The governors listed in a file; `None` if this CPU does not have the file.
fn governors(path: &Path) -> Result<Option<Vec<String>>> {
    let Some(text) = read(path)? else { return Ok(None) };
    // They become label values, so other characters are refused.
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_- \n".contains(&byte)) {
        bail!("{}: not a list of governors: {:?}", path.display(), excerpt(&text));
    }
    Ok(Some(text.split_ascii_whitespace().map(str::to_owned).collect()))
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

fn is_denied(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
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
    for ((_, name, help), kilohertz) in FREQUENCIES.iter().zip(cpu.kilohertz) {
        if let Some(kilohertz) = kilohertz {
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
        let unlisted = Some(current).filter(|current| !cpu.governors.contains(current));
        for governor in cpu.governors.iter().chain(unlisted) {
            governors.push(&[&number, governor], f64::from(u8::from(governor == current)));
        }
    }
    families.push(governors);
    families
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ops::Range;

    use exporter_common::to_text;
    use futures_util::stream;

    use super::*;

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
        let cpu = |governor: &str, governors: &[&str]| Frequencies {
            governor: Some(governor.to_owned()),
            governors: governors.iter().map(|&governor| governor.to_owned()).collect(),
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
        let (found, faults) = directories(&roots);
        assert!(faults.result().is_ok());
        assert_eq!(found, [(0, cpus.join("cpu0/cpufreq"))]);
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
        let (frequencies, faults) = Frequencies::read(0, root.path());
        assert!(faults.result().is_err());
        assert_eq!(
            to_text(families(&frequencies)).lines().last(),
            Some("cpu_exporter_cpu_frequency_max_hertz{cpu=\"0\"} 3.3e+09")
        );
    }
}
