//! Collector `time`: the system time and its clock source.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use crate::procfs::{Roots, read};
use crate::settings::Settings;

/// Time and clock source of the host.
pub(super) struct TimeCollector(Settings);

impl TimeCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self(settings.clone())
    }
}

#[async_trait]
impl Collector for TimeCollector {
    fn name(&self) -> &'static str {
        "time"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        let time = Family::gauge("cpu_exporter_time_seconds", "System time in seconds since epoch (1970).", &[]);
        scrape.add(self.0.names.apply(time.value(now.as_secs_f64())));
        let roots = self.0.roots.clone();
        let (sources, faults) = scrape.blocking(move || clock_sources(&roots)).await;
        for family in sources {
            scrape.add(self.0.names.apply(family));
        }
        faults.result()
    }
}

fn clock_sources(roots: &Roots) -> ([Family; 2], Faults) {
    let mut faults = Faults::default();
    let directory = roots.sysfs.join("devices/system/clocksource/clocksource0");
    let mut family = |name, help, file| {
        let mut family = Family::info(name, help, &["device", "clocksource"]);
        let text = faults.keep(read(&directory.join(file))).flatten().unwrap_or_default();
        for source in text.split_ascii_whitespace() {
            family.push(&["0", source], 1.0);
        }
        family
    };
    let families = [
        family(
            "cpu_exporter_time_clocksource_available_info",
            "Available clocksources read from '/sys/devices/system/clocksource'.",
            "available_clocksource",
        ),
        family(
            "cpu_exporter_time_clocksource_current_info",
            "Current clocksource read from '/sys/devices/system/clocksource'.",
            "current_clocksource",
        ),
    ];
    (families, faults)
}
