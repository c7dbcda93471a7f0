//! Collector `uname`: kernel and name of the host, from the system call of that name.

use anyhow::Result;
use exporter_common::{Collector, Family, Scrape, async_trait};

use crate::settings::Settings;

/// Kernel release, machine and host name.
pub(super) struct UnameCollector(Settings);

impl UnameCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self(settings.clone())
    }
}

#[async_trait]
impl Collector for UnameCollector {
    fn name(&self) -> &'static str {
        "uname"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let uname = rustix::system::uname();
        let values =
            [uname.sysname(), uname.release(), uname.version(), uname.machine(), uname.nodename(), uname.domainname()];
        let family = Family::info(
            "cpu_exporter_uname_info",
            "Labeled system information as provided by the uname system call.",
            &["sysname", "release", "version", "machine", "nodename", "domainname"],
        );
        scrape.add(self.0.names.apply(family.with(&values.map(|value| value.to_string_lossy()), 1.0)));
        Ok(())
    }
}
