//! Parses the CPU files of a cgroup, v1 or v2.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::procfs::{excerpt, number, read};

/// Usage in ns, periods, throttled periods, throttled time, user time and system time in ns; `None` if missing.
pub(crate) type Counts = [Option<u64>; 6];

/// The parsed content of a file; `None` if the cgroup does not have it.
pub(crate) fn parsed<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T>) -> Result<Option<T>> {
    let Some(text) = read(path)? else { return Ok(None) };
    parse(&text).map(Some).with_context(|| format!("{}", path.display()))
}

/// Parses cpu.stat: µs in v2, ns in v1.
pub(crate) fn parse_stat(text: &str) -> Result<Counts> {
    let mut counts = Counts::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(' ') else { continue };
        let (at, unit) = match key {
            "usage_usec" => (0, 1000),
            "nr_periods" => (1, 1),
            "nr_throttled" => (2, 1),
            "throttled_usec" => (3, 1000),
            "throttled_time" => (3, 1),
            "user_usec" => (4, 1000),
            "system_usec" => (5, 1000),
            _ => continue,
        };
        let value = value.trim().parse().ok().and_then(|value: u64| value.checked_mul(unit));
        counts[at] = Some(value.with_context(|| format!("not a number in {:?}", excerpt(line)))?);
    }
    if counts == Counts::default() {
        bail!("no known line in {:?}", excerpt(text));
    }
    Ok(counts)
}

/// Parses cpu.max of v2: quota and period (`50000 100000`), or `max 100000` without a limit.
pub(crate) fn parse_max(text: &str) -> Result<Option<f64>> {
    let invalid = || format!("not a quota and a period: {:?}", excerpt(text));
    let (quota, period) = text.trim().split_once(' ').with_context(invalid)?;
    if quota == "max" {
        return Ok(None);
    }
    cores(quota.parse().with_context(invalid)?, period.parse().with_context(invalid)?).with_context(invalid)
}

/// Reads cpu.cfs_quota_us and cpu.cfs_period_us of v1; a quota of -1 means no limit.
pub(crate) fn v1_limit(quota: &Path, period: &Path) -> Result<Option<f64>> {
    let Some(text) = read(quota)? else { return Ok(None) };
    if text.trim() == "-1" {
        return Ok(None);
    }
    let invalid = || format!("{}: not a quota: {:?}", quota.display(), excerpt(&text));
    let microseconds = text.trim().parse().with_context(invalid)?;
    match number(period)? {
        Some(period) => cores(microseconds, period).with_context(invalid),
        None if !quota.exists() => Ok(None), // it is removed by now
        None => bail!("{}: cpu.cfs_period_us is missing", quota.display()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 microseconds")]
fn cores(quota: u64, period: u64) -> Result<Option<f64>> {
    if period == 0 {
        bail!("the period is 0");
    }
    Ok(Some(quota as f64 / period as f64))
}

/// Converts ns to seconds.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 ns, and to 2 µs within a century of CPU time")]
pub(crate) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
