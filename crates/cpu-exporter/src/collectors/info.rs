//! Collector `info`: vendor and model of the CPUs in /proc/cpuinfo, whose format depends on the architecture.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use exporter_common::{Collector, Family, Scrape, async_trait};

use crate::procfs::{self, CPUINFO_LIMIT, PROCFS, Roots, SYSFS, read_at_most};

/// Vendor, model and package of every CPU.
pub(super) struct InfoCollector {
    roots: Roots,
    /// Names by CPU for which /proc/cpuinfo has only numbers; read once, when a CPU lacks them.
    names: Arc<OnceLock<BTreeMap<String, CpuNames>>>,
    cache: Mutex<Option<Cached>>,
}

/// The CPUs of an earlier scrape, and the list of online CPUs at that time.
struct Cached {
    online: Option<String>,
    read: Instant,
    cpus: Arc<Vec<Facts>>,
}

/// Age at which /proc/cpuinfo is read again even if no CPU went offline or online: the microcode may be updated.
const CACHE_TIME: Duration = Duration::from_secs(600);

impl InfoCollector {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { roots: roots.clone(), names: Arc::default(), cache: Mutex::default() }
    }
}

impl InfoCollector {
    /// The cached CPUs, unless they are old or a CPU went offline or online since.
    fn cached(&self, online: Option<&str>) -> Option<Arc<Vec<Facts>>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cache.as_ref()?;
        let valid = online.is_some() && cached.online.as_deref() == online && cached.read.elapsed() < CACHE_TIME;
        valid.then(|| cached.cpus.clone())
    }

    fn store(&self, online: Option<String>, cpus: Arc<Vec<Facts>>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let read = cache
            .as_ref()
            .filter(|cached| Arc::ptr_eq(&cached.cpus, &cpus))
            .map_or_else(Instant::now, |cached| cached.read);
        *cache = Some(Cached { online, read, cpus });
    }
}

#[async_trait]
impl Collector for InfoCollector {
    fn name(&self) -> &'static str {
        "info"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let online = self.roots.sys_cpu().join("online");
        let online = scrape.blocking(move || procfs::read(&online)).await.ok().flatten();
        let cached = self.cached(online.as_deref());
        let cpus = match cached {
            Some(cpus) => Some(cpus),
            None => {
                let (roots, names) = (self.roots.clone(), self.names.clone());
                // Reading takes 20 ms on kernels that measure the frequencies for this file.
                scrape.blocking(move || read(&roots, &names)).await?.map(Arc::new)
            }
        };
        if let Some(cpus) = cpus {
            scrape.add(family(&cpus));
            self.store(online, cpus);
        }
        Ok(())
    }
}

/// The facts of one CPU by label. Labels that start with `_` are not exported, but complete other labels that are
/// missing.
type Facts = BTreeMap<&'static str, String>;

/// Names of an ARM CPU, for which /proc/cpuinfo has only numbers.
#[derive(Clone, Debug)]
struct CpuNames {
    vendor: String,
    model_name: String,
}

fn read(roots: &Roots, names: &OnceLock<BTreeMap<String, CpuNames>>) -> Result<Option<Vec<Facts>>> {
    let path = roots.procfs.join("cpuinfo");
    let Some(text) = read_at_most(CPUINFO_LIMIT, &path)? else { return Ok(None) };
    let mut cpus = parse(&text).with_context(|| format!("{}", path.display()))?;
    // sysinfo always describes this machine, whatever the roots are.
    let this_machine = roots.procfs == Path::new(PROCFS) && roots.sysfs == Path::new(SYSFS);
    let nameless = |cpu: &Facts| cpu.contains_key(IMPLEMENTER) && !cpu.contains_key("model_name");
    let names = (this_machine && cpus.iter().any(nameless)).then(|| names.get_or_init(names_from_sysinfo));
    for cpu in &mut cpus {
        complete(cpu, names);
    }
    Ok(Some(cpus))
}

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
        _ => return None,
    })
}

/// Parses cpuinfo. The lines from `processor : N` to an empty line describe one CPU. The other lines apply to all CPUs
/// (older ARM kernels, s390) or describe the board.
fn parse(text: &str) -> Result<Vec<Facts>> {
    let mut cpus: Vec<Facts> = Vec::new();
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
    Ok(cpus)
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

const LABELS: [&str; 10] =
    ["package", "core", "cpu", "vendor", "family", "model", "model_name", "microcode", "stepping", "cachesize"];

/// An unknown fact becomes an empty label, which Prometheus treats as a missing one.
fn family(cpus: &[Facts]) -> Family {
    let mut info = Family::info("cpu_exporter_cpu_info", "CPU information from /proc/cpuinfo.", &LABELS);
    for cpu in cpus {
        info.push(&LABELS.map(|label| cpu.get(label).map_or("", String::as_str)), 1.0);
    }
    info
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;

    const VM: &str = include_str!("../../tests/fixtures/vm/proc/cpuinfo");
    const SERVER: &str = include_str!("../../tests/fixtures/arm-server/proc/cpuinfo");
    const BOARD: &str = include_str!("../../tests/fixtures/arm-board/proc/cpuinfo");
    const OLD_BOARD: &str = include_str!("../../tests/fixtures/arm-old-board/proc/cpuinfo");

    fn infos(text: &str, names: Option<&BTreeMap<String, CpuNames>>) -> Vec<String> {
        let mut cpus = parse(text).unwrap();
        for cpu in &mut cpus {
            complete(cpu, names);
        }
        let text = to_text([family(&cpus)]);
        let infos = text.lines().filter_map(|line| line.strip_prefix("cpu_exporter_cpu_info"));
        infos.map(str::to_owned).collect()
    }

    #[test]
    fn x86_has_every_label() {
        let expected = "{cachesize=\"1024 KB\",core=\"1\",cpu=\"1\",family=\"26\",microcode=\"0x1000065\",model=\"2\",\
            model_name=\"AMD EPYC\",package=\"0\",stepping=\"1\",vendor=\"AuthenticAMD\"} 1";
        let infos = infos(VM, None);
        assert_eq!((infos.len(), &*infos[1]), (2, expected));
    }

    #[test]
    fn arm_has_numbers() {
        let expected = "{cachesize=\"\",core=\"\",cpu=\"0\",family=\"8\",microcode=\"\",model=\"0xd0c\",model_name=\"\",\
            package=\"\",stepping=\"r3p1\",vendor=\"0x41\"} 1";
        assert_eq!(infos(SERVER, None)[0], expected);
    }

    #[test]
    fn names_complete_only_the_labels_that_arm_lacks() {
        let name = |vendor: &str, model_name: &str| CpuNames { vendor: vendor.into(), model_name: model_name.into() };
        let names = BTreeMap::from([("0".into(), name("ARM", "Neoverse-N1")), ("1".into(), name("", ""))]);
        let server = infos(SERVER, Some(&names));
        assert!(server[0].contains("model_name=\"Neoverse-N1\"") && server[0].contains("vendor=\"ARM\""), "{server:?}");
        assert!(server[1].contains("model_name=\"\"") && server[1].contains("vendor=\"0x41\""), "{server:?}");
        assert!(infos(VM, Some(&names))[0].contains("vendor=\"AuthenticAMD\""));
    }

    #[test]
    fn the_model_of_the_board_is_not_the_model_of_the_cpu() {
        let board = infos(BOARD, None);
        assert_eq!(board.len(), 4);
        assert!(board[3].contains("model=\"0xd03\",model_name=\"ARMv7 Processor rev 4 (v7l)\""), "{board:?}");
    }

    #[test]
    fn common_lines_of_old_arm_kernels_apply_to_every_cpu() {
        let board = infos(OLD_BOARD, None);
        assert_eq!(board.len(), 2);
        for cpu in board {
            assert!(cpu.contains("model=\"0xc09\",model_name=\"ARMv7 Processor rev 10 (v7l)\""), "{cpu}");
            assert!(cpu.contains("stepping=\"r2p10\",vendor=\"0x41\""), "{cpu}");
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
