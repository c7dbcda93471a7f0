//! The complete demo: starts all parts, shows their state, stops them.

mod alerts;
mod drills;
mod page;
mod parts;
mod processes;
mod prometheus_config;
mod series;
mod table;
mod values;

use std::io::{IsTerminal, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, Url};
use tokio::time::Interval;

use self::drills::Drills;
use self::page::{Moment, Page};
use self::parts::{Part, Ports};
pub(crate) use self::processes::ExecChild;
use self::processes::Processes;
use self::table::{addresses, summary, table};
use self::values::{Values, ValuesReader};
use crate::http_client::client;
use crate::numbers::whole;
use crate::server::stopped;

/// The flags of the complete demo.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number added to every port
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = whole(0..=u16::MAX - parts::HIGHEST_PORT))]
    port_offset: u16,
}

/// Interval of updates.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);
/// Without a terminal: number of updates per printed line.
const UPDATES_PER_LINE: u32 = 5;
/// Without a terminal: number of updates to wait until all parts respond, before the table is printed once.
const MAX_START_UPDATES: u32 = 5;

/// Runs the demo until the process is stopped.
pub(crate) async fn run(args: Args) -> Result<()> {
    let stopped = stopped()?;
    let folder =
        tempfile::Builder::new().prefix("exporter-demo-").tempdir().context("cannot create a temporary folder")?;
    let prometheus = on_path("prometheus");
    let ports = Ports::choose(args.port_offset)?;
    let parts = parts::all(&ports, folder.path(), prometheus)?;
    let metrics = |name: &str| parts.iter().find(|part| part.name == name)?.metrics.as_deref();
    if metrics("prometheus").is_some() {
        prometheus_config::write(folder.path(), metrics)?;
    }

    let page = Page::serve(ports.page()).await.context("cannot serve the demo's page")?;
    let processes = Processes::start(&parts, folder.path())?;
    let mut stack = Stack::new(&parts, processes, page)?;
    print(&introduction(&parts, &ports, folder.path()))?;
    print(&addresses(&parts, stack.processes.all()))?;
    let shown = tokio::select! {
        () = stopped => Ok(()),
        shown = stack.show() => shown,
    };
    let all_running = stack.processes.all().iter().all(|process| process.exit_status.is_none());
    // Errors are ignored here: standard output may be closed.
    print(&["", "stopping"]).ok();
    let killed = stack.processes.stop().await;
    print(&[format!("{}stopped", killed.iter().map(|name| format!("killed {name}; ")).collect::<String>())]).ok();
    if !all_running {
        let kept = folder.keep();
        print(&[format!("logs are kept in {}", kept.display())]).ok();
    }
    match shown {
        // A closed standard output stops the demo.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        shown => shown.context("cannot write to standard output"),
    }
}

/// The running demo.
struct Stack<'a> {
    parts: &'a [Part],
    processes: Processes,
    page: Page,
    drills: Drills,
    reader: ValuesReader,
    client: Client,
    /// The URL of Prometheus, if it runs.
    prometheus: Option<&'a str>,
}

impl<'a> Stack<'a> {
    fn new(parts: &'a [Part], processes: Processes, page: Page) -> Result<Self> {
        let link = |name: &str| parts.iter().find(|part| part.name == name)?.links.first().map(String::as_str);
        let web = link("demo-web").context("the demo has a web server")?;
        let drills = Drills::new(Url::parse(web)?.join("broken")?);
        let (reader, client) = (ValuesReader::new()?, client(UPDATE_INTERVAL)?);
        Ok(Self { parts, processes, page, drills, reader, client, prometheus: link("prometheus") })
    }

    /// Updates the page and standard output until an error. A terminal shows a table that is updated in place, anything
    /// else one table and then lines.
    async fn show(&mut self) -> std::io::Result<()> {
        let mut ticks = tokio::time::interval(UPDATE_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let terminal = std::io::stdout().is_terminal();
        let mut drawn = 0;
        for tick in 0_u32.. {
            self.wait(&mut ticks).await?;
            let exits: Vec<_> = self.processes.newly_exited().iter().map(|process| process.exit_message()).collect();
            let values = self.reader.read(self.parts, self.processes.all()).await;
            let table = table(self.parts, &values);
            if terminal {
                redraw(&exits, &table, drawn)?;
                drawn = table.len();
            } else {
                print(&exits)?;
                if drawn > 0 && tick.is_multiple_of(UPDATES_PER_LINE) {
                    print(&[summary(self.parts, &values)])?;
                } else if drawn == 0 && (tick >= MAX_START_UPDATES || values.iter().all(responds)) {
                    print(&table)?;
                    drawn = table.len();
                }
            }
            self.update_page(values).await;
        }
        Ok(())
    }

    /// Carries out the orders of the page until the next tick.
    async fn wait(&mut self, ticks: &mut Interval) -> std::io::Result<()> {
        loop {
            tokio::select! {
                _ = ticks.tick() => return Ok(()),
                Some(order) = self.page.orders.recv() => {
                    if let Err(error) = self.drills.carry_out(order, &mut self.processes) {
                        print(&[format!("drill {}: {error:#}", order.drill.name)])?;
                    }
                }
            }
        }
    }

    async fn update_page(&mut self, values: Vec<Values>) {
        let alerts = match self.prometheus {
            Some(url) => alerts::of_prometheus(&self.client, url).await,
            None => alerts::seen(self.parts, &values),
        };
        self.page.show(Moment {
            parts: self.parts,
            processes: &self.processes,
            drills: &self.drills,
            values,
            alerts: &alerts,
            prometheus: self.prometheus,
        });
    }
}

fn responds(values: &Values) -> bool {
    values.exited || values.metrics.is_some()
}

fn introduction(parts: &[Part], ports: &Ports, folder: &Path) -> Vec<String> {
    let mut lines = vec![
        format!("Open http://127.0.0.1:{}/ to watch all parts and to break them.", ports.page()),
        format!("{} processes; Ctrl-C stops all of them. Logs: {}/*.log", parts.len(), folder.display()),
    ];
    if !parts.iter().any(|part| part.name == "prometheus") {
        lines.push("Prometheus is not started: it is not on the PATH.".to_owned());
    }
    lines
        .extend(ports.replaced.iter().map(|(taken, port)| format!("Port {taken} is in use; port {port} replaces it.")));
    lines
}

/// Replaces the `drawn` lines of the previous update; messages stay above. Longer lines than the terminal is wide are cut.
fn redraw(messages: &[String], lines: &[String], drawn: usize) -> std::io::Result<()> {
    let width = terminal_size::terminal_size().map_or(usize::MAX, |(width, _)| width.0.into());
    let mut text = String::new();
    if drawn > 0 {
        text.push_str(&format!("\x1b[{drawn}F"));
    }
    for line in messages.iter().chain(lines) {
        let line: String = line.chars().take(width).collect();
        text.push_str(&format!("\x1b[2K{line}\n"));
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn print<S: AsRef<str>>(lines: &[S]) -> std::io::Result<()> {
    let mut stdout: StdoutLock<'_> = std::io::stdout().lock();
    for line in lines {
        writeln!(stdout, "{}", line.as_ref())?;
    }
    stdout.flush()
}

/// The path of a program, if it is installed.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
