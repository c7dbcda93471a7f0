//! Reading files of procfs and sysfs.

mod cpu_list;
mod cpu_table;
mod cpuinfo;
mod file;
mod online;
mod roots;
mod shared_file;
pub(crate) mod stalls;

pub(crate) use cpu_list::{nonempty_cpu_list, read_cpu_list, read_nonempty_cpu_list};
pub(crate) use cpu_table::{CpuTable, Row};
pub(crate) use cpuinfo::{CpuInfo, Facts};
pub(crate) use file::{excerpt, is_denied, number, read, read_lines};
pub(crate) use online::{Online, OnlineCache};
pub(crate) use roots::{PROCFS, Roots, SYSFS};

/// The parsers, for the fuzz targets.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    /// Text of any of the files.
    pub(crate) fn parse(text: &str) {
        let _ = super::cpu_list::parse(text);
        let _ = super::stalls::Stalls::parse(text);
        if let Ok(table) = super::CpuTable::parse(text, &["ERR"]) {
            assert!(table.rows.iter().all(|row| row.counts.len() == table.cpus.len()), "{table:?}");
        }
        if let Ok(info) = super::cpuinfo::parse(text) {
            let megahertz = info.cpus.iter().filter_map(super::CpuInfo::megahertz);
            assert!(megahertz.into_iter().all(|megahertz| megahertz > 0.0), "{info:?}");
        }
    }
}
