//! Reading files of procfs and sysfs.

mod cpu_list;
mod file;
mod roots;
mod stat_file;

pub(crate) use cpu_list::{read_cpu_list, read_nonempty_cpu_list};
pub(crate) use file::{CPUINFO_LIMIT, excerpt, number, read, read_at_most};
pub(crate) use roots::{PROCFS, Roots, SYSFS};
