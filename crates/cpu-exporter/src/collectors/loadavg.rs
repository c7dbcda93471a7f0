//! Collector `loadavg`: the load averages in /proc/loadavg.

use anyhow::{Context, Result};
use exporter_common::{Collector, Family, Scrape, async_trait};

use crate::settings::Settings;

/// Load averages of the host.
pub(super) struct LoadavgCollector(Settings);

impl LoadavgCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self(settings.clone())
    }
}

#[async_trait]
impl Collector for LoadavgCollector {
    fn name(&self) -> &'static str {
        "loadavg"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let roots = self.0.roots.clone();
        if let Some(text) = scrape.blocking(move || roots.proc("loadavg")).await? {
            for family in families(LoadAverages::parse(&text)?) {
                scrape.add(self.0.names.apply(family));
            }
        }
        Ok(())
    }
}

/// The first three numbers of /proc/loadavg; proc_loadavg(5).
#[derive(Clone, Copy, Debug, PartialEq)]
struct LoadAverages([f64; 3]);

impl LoadAverages {
    fn parse(text: &str) -> Result<Self> {
        let mut numbers = text.split_ascii_whitespace().map(str::parse);
        // Rust parses "NaN", "inf" and "-3" too; none of them is a load average.
        let mut next = || numbers.next()?.ok().filter(|load: &f64| load.is_finite() && load.is_sign_positive());
        let averages = next().zip(next()).zip(next());
        let ((one, five), fifteen) =
            averages.with_context(|| format!("not three load averages: {:?}", text.trim_end()))?;
        Ok(Self([one, five, fifteen]))
    }
}

fn families(LoadAverages([one, five, fifteen]): LoadAverages) -> [Family; 3] {
    [
        Family::gauge("cpu_exporter_load1", "1m load average.", &[]).value(one),
        Family::gauge("cpu_exporter_load5", "5m load average.", &[]).value(five),
        Family::gauge("cpu_exporter_load15", "15m load average.", &[]).value(fifteen),
    ]
}

/// Parses a file, for the fuzz targets.
#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    let _ = LoadAverages::parse(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_numbers_are_the_averages() {
        assert_eq!(LoadAverages::parse("0.21 0.37 0.39 1/719 19737\n").unwrap(), LoadAverages([0.21, 0.37, 0.39]));
    }

    #[test]
    fn truncated_and_non_numeric_files_are_refused() {
        for text in [
            "",
            "0.21 0.37",
            "0.21 x 0.39 1/719 19737\n",
            "NaN inf -3 1/719 19737\n",
            "0.21 0.37 NaN 1/719 19737\n",
            "infinity 0.37 0.39 1/719 19737\n",
            "0.21 1e999 0.39 1/719 19737\n",
            "0.21 0.37 -0.39 1/719 19737\n",
        ] {
            assert!(LoadAverages::parse(text).is_err(), "{text}");
        }
    }
}
