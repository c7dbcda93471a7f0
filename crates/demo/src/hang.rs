//! Holds other processes still for as long as this one runs, so that they hang: for drills, beside a container's own.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::serve::stopped;

/// The flags of `demo hang`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The name of the program, as ps shows it; nothing but what runs under this name is touched
    name: String,
}

/// How often it looks for further processes of this name.
const LOOK: Duration = Duration::from_secs(1);

/// Stops all processes of a name, and lets them go on when this one is told to end.
pub(crate) async fn run(args: Args) -> Result<()> {
    let stopped = stopped()?;
    tokio::pin!(stopped);
    let mut held = BTreeSet::new();
    loop {
        for process in processes(&args.name)? {
            if kill_process(process, Signal::STOP).is_ok() && held.insert(process.as_raw_nonzero()) {
                tracing::info!(name = args.name, pid = process.as_raw_nonzero(), "hangs");
            }
        }
        tokio::select! {
            () = &mut stopped => break,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    for process in processes(&args.name)? {
        if kill_process(process, Signal::CONT).is_ok() {
            tracing::info!(name = args.name, pid = process.as_raw_nonzero(), "goes on");
        }
    }
    Ok(())
}

/// All processes of a name but this one.
fn processes(name: &str) -> Result<Vec<Pid>> {
    let entries = std::fs::read_dir("/proc").context("cannot read /proc")?;
    let named = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let comm = std::fs::read_to_string(entry.path().join("comm")).ok()?; // one that has just ended is none
        (comm.trim_end() == name && pid != getpid()).then_some(pid)
    });
    Ok(named.collect())
}
