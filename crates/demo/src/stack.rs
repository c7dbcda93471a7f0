//! The whole demo: starts every part, shows what they do, ends all of them.

use std::io::{IsTerminal, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::children::Children;
use crate::parts::{self, Part};
use crate::prometheus_config;
use crate::serve::stopped;
use crate::table::{summary, table};
use crate::values::{Values, Watch};

/// The flags of the whole demo.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Add this to every port
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u16).range(..=i64::from(u16::MAX - parts::HIGHEST_PORT)))]
    port_offset: u16,
}

/// How often the table is drawn again, and how often a line is written where there is no terminal.
const REDRAW: Duration = Duration::from_secs(1);
const LINE_EVERY: u32 = 5;
/// How many looks the only table waits for parts that do not answer yet, where there is no terminal.
const STARTING: u32 = 5;

/// Runs all of it until the process is told to stop.
pub(crate) async fn run(args: Args) -> Result<()> {
    let stopped = stopped()?;
    let folder = tempfile::Builder::new().prefix("exporter-demo-").tempdir().context("cannot make a folder")?;
    let prometheus = on_path("prometheus");
    let parts = parts::all(args.port_offset, folder.path(), prometheus)?;
    parts::check_ports(&parts, args.port_offset)?;
    let metrics = |name: &str| parts.iter().find(|part| part.name == name)?.metrics.as_deref();
    if metrics("prometheus").is_some() {
        prometheus_config::write(folder.path(), metrics)?;
    }

    let mut children = Children::start(&parts, folder.path())?;
    let shown = tokio::select! {
        () = stopped => Ok(()),
        shown = show(&parts, &mut children, folder.path()) => shown,
    };
    let all_well = children.all().iter().all(|child| child.ended.is_none());
    print(&["", "stopping"]).ok(); // nobody left to tell
    let left = children.stop().await;
    print(&[format!("{}stopped", left.iter().map(|name| format!("{name} had to be killed; ")).collect::<String>())])
        .ok();
    if !all_well {
        let kept = folder.keep();
        print(&[format!("logs are kept in {}", kept.display())]).ok();
    }
    match shown {
        // a reader that has gone away is a way to stop it
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        shown => shown.context("cannot write to standard output"),
    }
}

/// Shows what runs and what it does, for ever: in place on a terminal, else a table and then lines.
async fn show(parts: &[Part], children: &mut Children, folder: &Path) -> std::io::Result<()> {
    let mut watch = Watch::new().map_err(std::io::Error::other)?;
    let mut ticks = tokio::time::interval(REDRAW);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let terminal = std::io::stdout().is_terminal();
    print(&introduction(parts, folder))?;
    let mut drawn = 0;
    for tick in 0_u32.. {
        ticks.tick().await;
        let obituaries: Vec<_> = children.newly_ended().iter().map(|child| child.obituary()).collect();
        let values = watch.look(parts, children.all()).await;
        let table = table(parts, &values);
        if terminal {
            redraw(&obituaries, &table, drawn)?;
            drawn = table.len();
            continue;
        }
        print(&obituaries)?;
        if drawn > 0 && tick.is_multiple_of(LINE_EVERY) {
            print(&[summary(parts, &values)])?;
        } else if drawn == 0 && (tick >= STARTING || values.iter().all(answers)) {
            print(&table)?;
            drawn = table.len();
        }
    }
    Ok(())
}

fn answers(values: &Values) -> bool {
    values.ended || values.metrics.is_some()
}

fn introduction(parts: &[Part], folder: &Path) -> Vec<String> {
    let mut lines = vec![
        format!("{} processes; Ctrl-C stops all of them. Logs: {}/*.log", parts.len(), folder.display()),
        String::new(),
    ];
    if !parts.iter().any(|part| part.name == "prometheus") {
        lines.insert(1, "Prometheus is not on the PATH; with it, the demo starts it too.".to_owned());
    }
    lines
}

/// Draws over the `drawn` lines that were drawn before; news stay above.
fn redraw(news: &[String], lines: &[String], drawn: usize) -> std::io::Result<()> {
    let mut text = String::from("\x1b[?7l"); // a line too long for the terminal is cut, not wrapped
    if drawn > 0 {
        text.push_str(&format!("\x1b[{drawn}F"));
    }
    for line in news.iter().chain(lines) {
        text.push_str(&format!("\x1b[2K{line}\n"));
    }
    text.push_str("\x1b[?7h");
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

/// Where a program is, if it is installed.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
