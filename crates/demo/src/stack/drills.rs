//! The drills of the demo's page. Each breaks something until it is stopped.

use anyhow::{Result, bail};
use reqwest::Url;
use tokio::task::JoinHandle;

use super::processes::Processes;
use crate::load;

/// Something to break.
pub(crate) struct Drill {
    pub(crate) name: &'static str,
    /// What breaks, in a sentence.
    pub(crate) fault: &'static str,
    /// What fires, and when, if Prometheus runs.
    pub(crate) alert: &'static str,
    action: Action,
}

enum Action {
    /// Suspends the process of a part.
    Suspend(&'static str),
    /// Requests a page of the web server that always fails.
    SendErrors,
}

/// Every drill.
pub(crate) const DRILLS: &[Drill] = &[
    Drill {
        name: "errors",
        fault: "30 additional requests per second to the web server, all with a 500 response.",
        alert: "HttpdErrorBudgetBurn. It fires without the drill too, since 1 of 13 requests is for a broken page. \
                With the drill, about half of all requests fail; the alert's summary is the average of an hour",
        action: Action::SendErrors,
    },
    Drill {
        name: "app-hang",
        fault: "The application accepts connections and does not respond.",
        alert: "AppNotReporting after 3 minutes",
        action: Action::Suspend("demo-app"),
    },
    Drill {
        name: "web-hang",
        fault: "The web server does not respond and writes nothing to its log.",
        alert: "HttpdLogSilent after 35 minutes",
        action: Action::Suspend("demo-web"),
    },
    Drill {
        name: "queue-hang",
        fault: "The job queue does not respond.",
        alert: "QueueSystemUnread after 6 minutes",
        action: Action::Suspend("demo-queue"),
    },
    Drill {
        name: "exporter-hang",
        fault: "cpu-exporter does not respond to scrapes.",
        alert: "ExporterAbsent and ExporterDown after 6 minutes; Alertmanager would notify of the first only",
        action: Action::Suspend("cpu-exporter"),
    },
];

/// A request of the page: start or stop a drill.
#[derive(Clone, Copy)]
pub(crate) struct Order {
    pub(crate) drill: &'static Drill,
    pub(crate) start: bool,
}

/// The running drills.
pub(crate) struct Drills {
    /// The page that [`Action::SendErrors`] requests.
    broken_page: Url,
    sending: Option<JoinHandle<()>>,
}

impl Drills {
    pub(crate) fn new(broken_page: Url) -> Self {
        Self { broken_page, sending: None }
    }

    /// Starts or stops a drill. Both may be repeated.
    pub(crate) fn carry_out(&mut self, order: Order, processes: &mut Processes) -> Result<()> {
        match order.drill.action {
            Action::Suspend(part) => match processes.get_mut(part) {
                Some(process) => process.suspend(order.start),
                None => bail!("{part} is not part of this demo"),
            },
            Action::SendErrors => {
                if let Some(sending) = self.sending.take() {
                    sending.abort();
                }
                if order.start {
                    self.sending = Some(load::repeat(self.broken_page.clone())?);
                }
                Ok(())
            }
        }
    }

    pub(crate) fn is_running(&self, drill: &Drill, processes: &Processes) -> bool {
        match drill.action {
            Action::Suspend(part) => processes.all().iter().any(|process| process.name == part && process.suspended),
            Action::SendErrors => self.sending.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_state_the_rates_of_the_load() {
        let Drill { fault, alert, .. } = &DRILLS[0];
        assert!(fault.starts_with(&format!("{} additional requests per second", load::RATE)), "{fault}");
        // The drill doubles the requests on average, and each additional one fails.
        let broken = load::PAGES.iter().filter(|(_, page)| *page == "broken").count();
        assert!(alert.contains(&format!("{broken} of {} requests", load::PAGES.len())), "{alert}");
    }
}
