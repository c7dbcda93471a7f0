//! Starts the parts as processes and stops them, even if the demo itself is killed.
#![expect(clippy::disallowed_types, reason = "the demo starts programs; exporters do not")]

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::parts::Part;

/// Time for the parts to stop before they are killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// The processes of the demo. Dropping it kills the running ones.
pub(crate) struct Processes(Vec<PartProcess>);

/// The process of a part.
pub(crate) struct PartProcess {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    pub(crate) log: PathBuf,
    /// `None` while it runs.
    pub(crate) exit_status: Option<ExitStatus>,
    pub(crate) suspended: bool,
    child: Child,
}

impl Processes {
    /// Starts every part. Its output goes to a file with its name in `logs`.
    pub(crate) fn start(parts: &[Part], logs: &Path) -> Result<Self> {
        let mut processes = Self(Vec::new());
        for part in parts {
            processes.0.push(start(part, logs).with_context(|| format!("cannot start {}", part.name))?);
        }
        Ok(processes)
    }

    /// All processes in the order of the parts.
    pub(crate) fn all(&self) -> &[PartProcess] {
        &self.0
    }

    /// The process of a part.
    pub(crate) fn get_mut(&mut self, part: &str) -> Option<&mut PartProcess> {
        self.0.iter_mut().find(|process| process.name == part)
    }

    /// The processes that exited since the previous call.
    pub(crate) fn newly_exited(&mut self) -> Vec<&PartProcess> {
        self.0.iter_mut().filter_map(|process| process.has_just_exited().then_some(&*process)).collect()
    }

    /// Stops every process, kills it after a timeout, and returns the names of the killed ones.
    pub(crate) async fn stop(mut self) -> Vec<&'static str> {
        for process in &self.0 {
            // A suspended process receives SIGTERM when it continues. Errors are ignored: a process may have exited.
            let _ = process.signal(Signal::TERM);
            let _ = process.signal(Signal::CONT);
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            self.newly_exited();
            let running = self.0.iter().filter(|process| process.exit_status.is_none());
            let running: Vec<_> = running.map(|process| process.name).collect();
            if running.is_empty() || Instant::now() > deadline {
                return running; // killed by the drop
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for process in self.0.iter_mut().filter(|process| process.exit_status.is_none()) {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl PartProcess {
    /// Sends a signal, unless the process exited.
    fn signal(&self, signal: Signal) -> Result<()> {
        if self.exit_status.is_some() {
            return Ok(());
        }
        // The process is not reaped yet, so the pid is valid.
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("invalid pid")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Suspends or continues the process.
    pub(crate) fn suspend(&mut self, suspend: bool) -> Result<()> {
        ensure!(!suspend || self.exit_status.is_none(), "{} has exited", self.name);
        self.signal(if suspend { Signal::STOP } else { Signal::CONT })?;
        self.suspended = suspend;
        Ok(())
    }

    /// Whether it exited since the previous call.
    fn has_just_exited(&mut self) -> bool {
        if self.exit_status.is_none() {
            self.exit_status = self.child.try_wait().ok().flatten();
            return self.exit_status.is_some();
        }
        false
    }

    /// One line with the exit status and the last line of output.
    pub(crate) fn exit_message(&self) -> String {
        let how = match self.exit_status.map(|status| (status.code(), status.signal())) {
            Some((Some(code), _)) => format!("with status {code}"),
            Some((_, Some(signal))) => format!("by signal {signal}"),
            _ => "for an unknown reason".to_owned(),
        };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or("no output");
        format!("{} exited {how}: {last} ({})", self.name, self.log.display())
    }
}

fn start(part: &Part, logs: &Path) -> Result<PartProcess> {
    let log = logs.join(format!("{}.log", part.name));
    let output = File::create(&log).with_context(|| format!("cannot write to {}", log.display()))?;
    let child = Command::new(std::env::current_exe()?)
        .arg0("demo")
        .args(["exec-child", &std::process::id().to_string(), part.name])
        .arg(&part.program)
        .args(&part.arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0) // Ctrl-C signals only the demo, which stops the parts
        .spawn()?;
    Ok(PartProcess { name: part.name, pid: child.id(), log, exit_status: None, suspended: false, child })
}

/// The flags of `demo exec-child`.
#[derive(clap::Args)]
pub(crate) struct ExecChild {
    parent: u32,
    name: OsString,
    program: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl ExecChild {
    /// Replaces this process by the program.
    pub(crate) fn exec(self) -> Result<()> {
        stop_with_parent(self.parent)?;
        let error = Command::new(&self.program).arg0(self.name).args(self.arguments).exec();
        Err(error).with_context(|| format!("cannot start {}", self.program.display()))
    }
}

/// Makes the kernel send SIGTERM to this process when its parent exits. execve(2) keeps this setting.
#[cfg(target_os = "linux")]
fn stop_with_parent(parent: u32) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .context("cannot set the parent death signal")?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    anyhow::ensure!(now == Some(parent), "the demo has already exited");
    Ok(())
}

/// Other kernels do not support this: the parts keep running if the demo is killed.
#[cfg(not(target_os = "linux"))]
fn stop_with_parent(_: u32) -> Result<()> {
    Ok(())
}
