//! `demo hang`: stops processes by name with SIGSTOP until it exits, for drills.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::server::stopped;

/// The flags of `demo hang`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the processes to stop, as shown by ps
    name: String,
}

/// Interval of the search for new processes with this name.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);

/// Stops all processes with a name, and continues them when this process is stopped.
pub(crate) async fn run(args: Args) -> Result<()> {
    let stopped = stopped()?;
    tokio::pin!(stopped);
    let (mut suspended, mut waiting) = (BTreeSet::new(), false);
    loop {
        for process in processes(&args.name)? {
            if kill_process(process, Signal::STOP).is_ok() && suspended.insert(process.as_raw_nonzero()) {
                tracing::info!(name = args.name, pid = process.as_raw_nonzero(), "process suspended");
            }
        }
        if suspended.is_empty() && !waiting {
            tracing::warn!(name = args.name, "no process has this name; waiting for one");
            waiting = true;
        }
        tokio::select! {
            () = &mut stopped => break,
            () = tokio::time::sleep(SEARCH_INTERVAL) => {}
        }
    }
    for process in processes(&args.name)? {
        if kill_process(process, Signal::CONT).is_ok() {
            tracing::info!(name = args.name, pid = process.as_raw_nonzero(), "process continued");
        }
    }
    Ok(())
}

/// All processes with a name, except this one.
fn processes(name: &str) -> Result<Vec<Pid>> {
    let entries = std::fs::read_dir("/proc").context("cannot read /proc")?;
    let named = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let comm = std::fs::read_to_string(entry.path().join("comm")).ok()?; // the process may have exited
        (comm.trim_end() == name && pid != getpid()).then_some(pid)
    });
    Ok(named.collect())
}
