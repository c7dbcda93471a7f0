//! Starting the parts as processes, and ending them, whatever becomes of the demo itself.
#![expect(clippy::disallowed_types, reason = "the demo starts programs; exporters do not")]

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::parts::Part;

/// How long the parts have to end after they were told to.
const PATIENCE: Duration = Duration::from_secs(8);

/// The processes of the demo; those that still run are killed when this is dropped.
pub(crate) struct Children(Vec<Running>);

/// A part that was started.
pub(crate) struct Running {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    pub(crate) log: PathBuf,
    /// How it ended, if it has.
    pub(crate) ended: Option<ExitStatus>,
    process: Child,
}

impl Children {
    /// Starts every part, each with its output in a file of its name in `logs`.
    pub(crate) fn start(parts: &[Part], logs: &Path) -> Result<Self> {
        let mut children = Self(Vec::new());
        for part in parts {
            children.0.push(start(part, logs).with_context(|| format!("cannot start {}", part.name))?);
        }
        Ok(children)
    }

    /// All of them, in the order of the parts.
    pub(crate) fn all(&self) -> &[Running] {
        &self.0
    }

    /// The parts that have ended since this was last asked.
    pub(crate) fn newly_ended(&mut self) -> Vec<&Running> {
        self.0.iter_mut().filter_map(|child| child.look().then_some(&*child)).collect()
    }

    /// Tells every part to end and waits for it; those that do not end are killed, and named.
    pub(crate) async fn stop(mut self) -> Vec<&'static str> {
        for child in self.0.iter().filter(|child| child.ended.is_none()) {
            if let Some(pid) = i32::try_from(child.pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM); // it is not waited for yet, so the pid is its own
            }
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.newly_ended();
            let left: Vec<_> = self.0.iter().filter(|child| child.ended.is_none()).map(|child| child.name).collect();
            if left.is_empty() || Instant::now() > deadline {
                return left; // dropped, and so killed
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in self.0.iter_mut().filter(|child| child.ended.is_none()) {
            let _ = child.process.kill();
            let _ = child.process.wait();
        }
    }
}

impl Running {
    /// Looks whether it has ended; true the first time.
    fn look(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.process.try_wait().ok().flatten();
            return self.ended.is_some();
        }
        false
    }

    /// How it ended and the last it said, in a line.
    pub(crate) fn obituary(&self) -> String {
        let how = match self.ended.map(|status| (status.code(), status.signal())) {
            Some((Some(code), _)) => format!("with status {code}"),
            Some((_, Some(signal))) => format!("by signal {signal}"),
            _ => "somehow".to_owned(),
        };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or("it said nothing");
        format!("{} ended {how}: {last} ({})", self.name, self.log.display())
    }
}

fn start(part: &Part, logs: &Path) -> Result<Running> {
    let log = logs.join(format!("{}.log", part.name));
    let output = File::create(&log).with_context(|| format!("cannot write to {}", log.display()))?;
    let process = Command::new(std::env::current_exe()?)
        .arg0("demo")
        .args(["under", &std::process::id().to_string(), part.name])
        .arg(&part.program)
        .args(&part.arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0) // Ctrl-C reaches the demo alone, which tells the others
        .spawn()?;
    Ok(Running { name: part.name, pid: process.id(), log, ended: None, process })
}

/// A program in place of this one, ended by the kernel when the process that started it ends.
#[derive(clap::Args)]
pub(crate) struct Under {
    parent: u32,
    name: OsString,
    program: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Under {
    /// Becomes the program.
    pub(crate) fn exec(self) -> Result<()> {
        end_with(self.parent)?;
        let error = Command::new(&self.program).arg0(self.name).args(self.arguments).exec();
        Err(error).with_context(|| format!("cannot start {}", self.program.display()))
    }
}

/// Has the kernel send SIGTERM to this process when its parent ends; execve(2) leaves that as it is.
#[cfg(target_os = "linux")]
fn end_with(parent: u32) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .context("cannot ask for a signal at the end of the parent")?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    anyhow::ensure!(now == Some(parent), "the demo has ended meanwhile");
    Ok(())
}

/// Other kernels do not do this: there a demo that is killed leaves its parts behind.
#[cfg(not(target_os = "linux"))]
fn end_with(_: u32) -> Result<()> {
    Ok(())
}
