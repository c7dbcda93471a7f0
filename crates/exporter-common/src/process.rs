//! The metrics of the process, under the names of the Go client, and the build info.

use crate::exposition::family::Family;

/// The revision of a program, or `unknown`.
pub(crate) fn revision(revision: Option<&'static str>) -> &'static str {
    revision.filter(|revision| !revision.is_empty()).unwrap_or("unknown")
}

/// `<program>_build_info`.
pub(crate) fn build_info(program: &str, version: &str, revision: &str) -> Family {
    Family::info(
        format!("{}_build_info", program.replace('-', "_")),
        "Version, git revision and compiler of this program; the value is always 1.",
        &["version", "revision", "rustc"],
    )
    .with(&[version, revision, rustc()], 1.0)
}

/// The version of the compiler.
pub(crate) fn rustc() -> &'static str {
    env!("EXPORTER_RUSTC")
}

/// The metrics of this process. A value that the kernel does not report is absent.
#[cfg(target_os = "linux")]
pub(crate) fn families() -> Vec<Family> {
    use rustix::param::{clock_ticks_per_second, page_size};
    use rustix::process::{Resource, getrlimit};

    let gauge = |name, help, value: Option<f64>| value.map(|value| Family::gauge(name, help, &[]).value(value));
    let limit = |resource| getrlimit(resource).current.map(whole);
    let ticks = clock_ticks_per_second() as f64;
    let stat = Stat::read();
    let stat = stat.as_ref();
    [
        stat.map(|stat| {
            Family::counter(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds, from /proc/self/stat.",
                &[],
            )
            .value(stat.cpu_ticks as f64 / ticks)
        }),
        gauge("process_open_fds", "Number of open file descriptors, from /proc/self/fd.", open_fds().map(whole)),
        gauge("process_max_fds", "Maximum number of open file descriptors, from getrlimit.", limit(Resource::Nofile)),
        gauge(
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes, from /proc/self/stat.",
            stat.map(|stat| whole(stat.virtual_bytes)),
        ),
        gauge(
            "process_virtual_memory_max_bytes",
            "Maximum amount of virtual memory available in bytes, from getrlimit.",
            limit(Resource::As),
        ),
        gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes, from /proc/self/stat.",
            stat.map(|stat| whole(stat.resident_pages * page_size() as u64)),
        ),
        gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds, from /proc/self/stat and the clocks.",
            stat.zip(boot_time()).map(|(stat, boot)| boot + stat.start_ticks as f64 / ticks),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// No metrics on other systems than Linux.
#[cfg(not(target_os = "linux"))]
pub(crate) fn families() -> Vec<Family> {
    Vec::new()
}

/// The number of open file descriptors of this process.
#[cfg(target_os = "linux")]
fn open_fds() -> Option<u64> {
    let path = "/proc/self/fd";
    // since Linux 6.2, the size of the directory is the number of its entries; before, it is 0
    match std::fs::metadata(path).ok()?.len() {
        // reading the directory opens it, too
        0 => Some((std::fs::read_dir(path).ok()?.count() as u64).saturating_sub(1)),
        size => Some(size),
    }
}

/// The fields of /proc/self/stat that are exported; proc_pid_stat(5).
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

#[cfg(target_os = "linux")]
impl Stat {
    fn read() -> Option<Self> {
        use std::io::Read;

        // the file has 52 numbers and a command of up to 64 bytes
        let mut text = Vec::with_capacity(2048);
        std::fs::File::open("/proc/self/stat").ok()?.take(4096).read_to_end(&mut text).ok()?;
        Self::parse(str::from_utf8(&text).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // the command may contain spaces and parentheses; field 3 follows the last parenthesis
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// The boot time of the host in seconds since the epoch, determined once. It comes from the clocks, since /proc/stat may
/// hang where LXCFS replaces it.
#[cfg(target_os = "linux")]
fn boot_time() -> Option<f64> {
    use std::time::{SystemTime, UNIX_EPOCH};

    use rustix::time::{ClockId, clock_gettime};

    static BOOT: std::sync::LazyLock<Option<f64>> = std::sync::LazyLock::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let uptime = clock_gettime(ClockId::Boottime);
        Some(now.as_secs_f64() - (uptime.tv_sec as f64 + uptime.tv_nsec as f64 / 1e9))
    });
    *BOOT
}

#[cfg(target_os = "linux")]
fn whole(value: u64) -> f64 {
    value as f64
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 3 0 4242 1048576 300 18446744073709551615";
        let expected = Stat { cpu_ticks: 200, start_ticks: 4242, virtual_bytes: 1_048_576, resident_pages: 300 };
        assert_eq!(Stat::parse(text), Some(expected));
    }

    #[test]
    fn a_truncated_file_is_not_parsed() {
        assert_eq!(Stat::parse("7 (a) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn this_process_has_all_metrics() {
        let names: Vec<_> = families().iter().map(|family| family.name().to_owned()).collect();
        for name in [
            "process_cpu_seconds_total",
            "process_open_fds",
            "process_resident_memory_bytes",
            "process_start_time_seconds",
        ] {
            assert!(names.iter().any(|found| found == name), "{name} of {names:?}");
        }
    }
}
