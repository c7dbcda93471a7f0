//! /proc/cpuinfo: vendor, model and clock rate of the CPUs. Its format depends on the architecture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail, ensure};
use exporter_common::{Faults, Scrape};

use super::file::read_lines;
use super::online::{Online, OnlineCache};

/// The file. It is read again only if its content may have changed.
#[derive(Debug)]
pub(crate) struct CpuInfoFile {
    path: PathBuf,
    /// Whether the file describes the machine on which this process runs.
    this_machine: bool,
    cache: Arc<OnlineCache<CpuInfo>>,
    /// Names by CPU for which the file has only numbers; read once, when a CPU lacks them.
    names: OnceLock<BTreeMap<String, CpuNames>>,
}

/// The facts of all CPUs.
#[derive(Debug, Default)]
pub(crate) struct CpuInfo {
    pub(crate) cpus: Vec<Facts>,
    /// Whether the clock rates are measured when the file is read.
    measured: bool,
}
/// The facts of one CPU by label. Labels that start with `_` are not exported, but complete other labels that are
/// missing.
pub(crate) type Facts = BTreeMap<&'static str, String>;

/// Names of an ARM CPU, for which /proc/cpuinfo has only numbers.
#[derive(Clone, Debug)]
struct CpuNames {
    vendor: String,
    model_name: String,
}

impl CpuInfoFile {
    pub(super) fn new(procfs: &Path, this_machine: bool) -> Self {
        Self { path: procfs.join("cpuinfo"), this_machine, cache: Arc::default(), names: OnceLock::new() }
    }

    /// The CPUs; none if this host does not have the file.
    pub(crate) async fn facts(self: &Arc<Self>, scrape: &Scrape, online: &Online) -> (Arc<CpuInfo>, Faults) {
        let file = self.clone();
        self.cache.get(scrape, online, move |faults| faults.keep(file.read()).unwrap_or_default()).await
    }

    /// [`CpuInfoFile::facts`] with current clock rates. Kernels that measure them need up to 20 ms for it.
    pub(crate) async fn clock_rates(self: &Arc<Self>, scrape: &Scrape, online: &Online) -> (Arc<CpuInfo>, Faults) {
        let (info, faults) = self.facts(scrape, online).await;
        if !info.measured {
            return (info, faults);
        }
        let file = self.clone();
        let mut faults = Faults::default();
        let info = faults.keep(scrape.blocking(move || file.read()).await);
        (Arc::new(info.unwrap_or_default()), faults)
    }

    fn read(&self) -> Result<CpuInfo> {
        let Some(text) = read_lines(LIMIT, &self.path)? else { return Ok(CpuInfo::default()) };
        ensure!(!text.contains(char::REPLACEMENT_CHARACTER), "{} is not UTF-8", self.path.display());
        let mut info = parse(&text).with_context(|| format!("{}", self.path.display()))?;
        let nameless = |cpu: &Facts| cpu.contains_key(IMPLEMENTER) && !cpu.contains_key("model_name");
        let names =
            (self.this_machine && info.cpus.iter().any(nameless)).then(|| self.names.get_or_init(names_from_sysinfo));
        for cpu in &mut info.cpus {
            complete(cpu, names);
        }
        Ok(info)
    }
}

impl CpuInfo {
    /// Clock rate of a CPU in MHz, from the line `cpu MHz`.
    pub(crate) fn megahertz(cpu: &Facts) -> Option<f64> {
        cpu.get(MEGAHERTZ)?.parse().ok().filter(|megahertz: &f64| megahertz.is_finite() && *megahertz > 0.0)
    }
}

/// Size limit: up to 2 kB for each CPU.
const LIMIT: u64 = 16 << 20;

fn names_from_sysinfo() -> BTreeMap<String, CpuNames> {
    let Ok(mut system) = sysinfo::System::new() else { return BTreeMap::new() }; // keep the numbers
    system.refresh_cpu_list(sysinfo::CpuRefreshKind::nothing());
    let names = |cpu: &sysinfo::Cpu| {
        let number = cpu.name().strip_prefix("cpu")?.to_owned();
        Some((number, CpuNames { vendor: cpu.vendor_id().to_owned(), model_name: cpu.brand().to_owned() }))
    };
    system.cpus().iter().filter_map(names).collect()
}

const IMPLEMENTER: &str = "_implementer";
const VARIANT: &str = "_variant";
const REVISION: &str = "_revision";
const MEGAHERTZ: &str = "_megahertz";

/// The label for a key of cpuinfo. The keys of x86, ARM, PowerPC, LoongArch, MIPS and RISC-V do not conflict.
fn label(key: &str) -> Option<&'static str> {
    Some(match key {
        "physical id" | "package" => "package",
        "core id" | "core" => "core",
        "vendor_id" => "vendor",
        "cpu family" | "cpu architecture" => "family",
        "model" | "cpu part" => "model",
        "model name" | "cpu model" | "cpu" | "uarch" | "processor" => "model_name",
        "microcode" => "microcode",
        "stepping" => "stepping",
        "cache size" => "cachesize",
        "cpu implementer" => IMPLEMENTER,
        "cpu variant" => VARIANT,
        "cpu revision" => REVISION,
        "cpu mhz" => MEGAHERTZ,
        _ => return None,
    })
}

/// Parses cpuinfo. The lines from `processor : N` to an empty line describe one CPU. The other lines apply to all CPUs
/// (older ARM kernels, s390) or describe the board.
pub(super) fn parse(text: &str) -> Result<CpuInfo> {
    let mut cpus: Vec<Facts> = Vec::new();
    let mut measured = false;
    let mut common = Facts::new();
    let mut within = false;
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            within &= !line.trim().is_empty();
            continue;
        };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        // Old ARM kernels also have a line `Processor` with the model name.
        if matches!(&*key, "processor" | "cpu number") && value.parse::<u32>().is_ok() {
            cpus.push(Facts::from([("cpu", value.to_owned())]));
            within = true;
            continue;
        }
        // With this feature the kernel measures the clock rates; without it, the rate is a constant.
        measured |= key == "flags" && value.split(' ').any(|flag| flag == "aperfmperf");
        let facts = match cpus.last_mut() {
            Some(cpu) if within => cpu,
            _ if key == "model" => continue, // the board's model
            _ => &mut common,
        };
        if let Some(label) = label(&key) {
            facts.entry(label).or_insert_with(|| value.to_owned());
        }
    }
    if cpus.is_empty() {
        bail!("no processor found");
    }
    for cpu in &mut cpus {
        for (label, value) in &common {
            cpu.entry(label).or_insert_with(|| value.clone());
        }
    }
    Ok(CpuInfo { cpus, measured })
}

/// Adds the labels that the ARM format lacks: names if they are known, otherwise the numbers.
fn complete(cpu: &mut Facts, names: Option<&BTreeMap<String, CpuNames>>) {
    if let Some(names) = names.and_then(|names| names.get(&cpu["cpu"])) {
        for (label, name) in [("vendor", &names.vendor), ("model_name", &names.model_name)] {
            if !name.is_empty() {
                cpu.entry(label).or_insert_with(|| name.clone());
            }
        }
    }
    if let Some(implementer) = cpu.get(IMPLEMENTER).cloned() {
        cpu.entry("vendor").or_insert(implementer);
    }
    // The notation of ARM and lscpu: r3p1.
    if let (Some(variant), Some(revision)) = (cpu.get(VARIANT), cpu.get(REVISION)) {
        let variant = variant.strip_prefix("0x").unwrap_or(variant);
        let stepping = format!("r{variant}p{revision}");
        cpu.entry("stepping").or_insert(stepping);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VM: &str = include_str!("../../tests/fixtures/vm/proc/cpuinfo");
    const SERVER: &str = include_str!("../../tests/fixtures/arm-server/proc/cpuinfo");
    const BOARD: &str = include_str!("../../tests/fixtures/arm-board/proc/cpuinfo");
    const OLD_BOARD: &str = include_str!("../../tests/fixtures/arm-old-board/proc/cpuinfo");

    fn facts(text: &str, names: Option<&BTreeMap<String, CpuNames>>) -> Vec<Facts> {
        let mut cpus = parse(text).unwrap().cpus;
        for cpu in &mut cpus {
            complete(cpu, names);
        }
        cpus
    }

    /// The exported facts of a CPU, in the order of their labels.
    fn exported(cpu: &Facts) -> Vec<(&str, &str)> {
        cpu.iter().filter(|(label, _)| !label.starts_with('_')).map(|(label, value)| (*label, &**value)).collect()
    }

    #[test]
    fn x86_has_every_label() {
        let cpus = facts(VM, None);
        let expected = [
            ("cachesize", "1024 KB"),
            ("core", "1"),
            ("cpu", "1"),
            ("family", "26"),
            ("microcode", "0x1000065"),
            ("model", "2"),
            ("model_name", "AMD EPYC"),
            ("package", "0"),
            ("stepping", "1"),
            ("vendor", "AuthenticAMD"),
        ];
        assert_eq!((cpus.len(), exported(&cpus[1])), (2, expected.to_vec()));
    }

    #[test]
    fn arm_has_numbers() {
        let expected = [("cpu", "0"), ("family", "8"), ("model", "0xd0c"), ("stepping", "r3p1"), ("vendor", "0x41")];
        assert_eq!(exported(&facts(SERVER, None)[0]), expected);
    }

    #[test]
    fn names_complete_only_the_labels_that_arm_lacks() {
        let name = |vendor: &str, model_name: &str| CpuNames { vendor: vendor.into(), model_name: model_name.into() };
        let names = BTreeMap::from([("0".into(), name("ARM", "Neoverse-N1")), ("1".into(), name("", ""))]);
        let server = facts(SERVER, Some(&names));
        assert_eq!((&*server[0]["model_name"], &*server[0]["vendor"]), ("Neoverse-N1", "ARM"));
        assert_eq!((server[1].get("model_name"), &*server[1]["vendor"]), (None, "0x41"));
        assert_eq!(facts(VM, Some(&names))[0]["vendor"], "AuthenticAMD");
    }

    #[test]
    fn the_model_of_the_board_is_not_the_model_of_the_cpu() {
        let board = facts(BOARD, None);
        assert_eq!(board.len(), 4);
        assert_eq!((&*board[3]["model"], &*board[3]["model_name"]), ("0xd03", "ARMv7 Processor rev 4 (v7l)"));
    }

    #[test]
    fn common_lines_of_old_arm_kernels_apply_to_every_cpu() {
        let board = facts(OLD_BOARD, None);
        assert_eq!(board.len(), 2);
        for cpu in board {
            assert_eq!((&*cpu["model"], &*cpu["model_name"]), ("0xc09", "ARMv7 Processor rev 10 (v7l)"));
            assert_eq!((&*cpu["stepping"], &*cpu["vendor"]), ("r2p10", "0x41"));
        }
    }

    #[test]
    fn clock_rates_are_measured_only_with_the_feature_for_it() {
        let cpuinfo =
            |flags: &str, megahertz: &str| format!("processor : 0\ncpu MHz : {megahertz}\nflags : fpu {flags} sse\n");
        for (flags, measured) in [("aperfmperf", true), ("aperfmperf2", false)] {
            let info = parse(&cpuinfo(flags, "2445.412")).unwrap();
            assert_eq!((info.measured, CpuInfo::megahertz(&info.cpus[0])), (measured, Some(2445.412)), "{flags}");
        }
        for invalid in ["", "x", "NaN", "inf", "-1", "0"] {
            let info = parse(&cpuinfo("", invalid)).unwrap();
            assert_eq!(CpuInfo::megahertz(&info.cpus[0]), None, "{invalid:?}");
        }
    }

    #[test]
    fn a_file_without_processors_is_refused() {
        for text in ["", "\n\n", "rubbish", "processor : x\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sysinfo_names_the_cpus_of_this_machine_by_their_numbers() {
        let cpus = names_from_sysinfo();
        assert!(cpus.contains_key("0"), "{cpus:?}");
    }
}
