//! Entry points of the fuzz targets: the parsers of kernel files and the counters. Built only by `.ci/fuzz`.

use crate::busiest::Busiest;
use crate::cgroup_files;
use crate::collectors::fuzzing as collectors;
use crate::procfs::fuzzing as procfs;

/// Several contents of /proc/stat in turn, separated by a line of dashes: no sum and no CPU decreases.
pub fn stat(data: &[u8]) {
    collectors::stat(&split(data));
}

/// Text of a file of /proc, of a list of CPUs, or of the frequency, the governors or the power zones in sysfs.
pub fn procfs(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    procfs::parse(text);
    collectors::parse(text);
}

/// Text of cpu.stat and cpu.max, and the path of a cgroup.
pub fn cgroup(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = cgroup_files::parse_stat(text);
    if let Ok(Some(limit)) = cgroup_files::parse_max(text) {
        assert!(limit.is_finite() && limit >= 0.0, "{limit}");
    }
    collectors::path(text);
}

/// Reads of sources that come and go: each byte is a source and its increase. The sum of all counters never decreases.
pub fn busiest(data: &[u8]) {
    let mut busiest = Busiest::<1>::new(2, 1);
    let mut others = 0;
    for read in split(data) {
        let increases = read.iter().map(|byte| ((byte % 8).to_string(), [u64::from(byte / 8)]));
        busiest.add(increases.collect(), true);
        let [now] = busiest.others().unwrap_or([others]);
        assert!(now >= others && busiest.exported().count() <= 2, "{others} {now}");
        others = now;
    }
}

fn split(mut data: &[u8]) -> Vec<&[u8]> {
    const SEPARATOR: &[u8] = b"\n--\n";
    let mut parts = Vec::new();
    while let Some(at) = data.windows(SEPARATOR.len()).position(|part| part == SEPARATOR) {
        parts.push(&data[..at]);
        data = &data[at + SEPARATOR.len()..];
    }
    parts.push(data);
    parts
}
