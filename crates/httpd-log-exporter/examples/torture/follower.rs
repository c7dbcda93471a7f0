//! The program that follows the log: this exporter or mtail. It is started, killed, and queried for its counts.
#![expect(clippy::disallowed_types, reason = "mtail is started as a process")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use exporter_common::testing::{self, Running, eventually};

/// A program that follows logs.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// This program under the exporter's name.
    Exporter,
    /// The path of mtail.
    Mtail(PathBuf),
}

/// The name under which this program is the exporter.
const EXPORTER: &str = "httpd-log-exporter";

/// Whether this program was started under the exporter's name.
pub(crate) fn is_exporter(name: &OsStr) -> bool {
    Path::new(name).file_name() == Some(OsStr::new(EXPORTER))
}

impl Program {
    /// Its name in the table.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Exporter => EXPORTER,
            Self::Mtail(_) => "mtail",
        }
    }
}

/// What a program counted in the end.
#[derive(Debug)]
pub(crate) struct Counted {
    /// How often each line was counted.
    pub(crate) lines: Vec<u64>,
    /// Number of bytes reported as lost.
    pub(crate) reported: u64,
    /// Number of lines whose counter decreased after a kill.
    pub(crate) decreased: u64,
}

/// One follower.
pub(crate) struct Follower {
    program: Program,
    folder: PathBuf,
    access_log: PathBuf,
    process: Option<Process>,
    /// The counts that a scrape returned before a kill.
    seen: Vec<u64>,
    decreased: u64,
}

/// A running follower.
enum Process {
    Exporter(Running),
    Mtail(Child, String),
}

impl Follower {
    /// A follower of a log, a path or glob relative to the folder. It is not started.
    pub(crate) fn new(program: &Program, folder: &Path, access_log: &str) -> Self {
        let private = folder.join("follower");
        fs::create_dir(&private).unwrap();
        symlink(std::env::current_exe().unwrap(), private.join(EXPORTER)).unwrap();
        // mtail counts lines by their first word, as the exporter's format does
        let mtail =
            "counter httpd_requests_total by vhost\n/^(?P<vhost>\\S+) GET/ {\n  httpd_requests_total[$vhost]++\n}\n";
        fs::write(private.join("lines.mtail"), mtail).unwrap();
        let (program, folder, access_log) = (program.clone(), private, folder.join(access_log));
        Self { program, folder, access_log, process: None, seen: Vec::new(), decreased: 0 }
    }

    /// Starts the program if it is not running.
    pub(crate) fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let log = self.access_log.display();
        self.process = Some(match &self.program {
            Program::Exporter => Process::Exporter(Running::start(
                self.folder.join(EXPORTER).to_str().unwrap(),
                [
                    format!("--access-log={log}"),
                    "--access-log.format=$host $request_method $status".to_owned(),
                    format!("--state.file={}", self.folder.join("state").display()),
                    "--metrics.max-series=1000000".to_owned(),
                    "--access-log.start=beginning".to_owned(),
                ],
            )),
            Program::Mtail(mtail) => {
                let port = testing::free_port();
                let child = Command::new(mtail)
                    .args(["--address=127.0.0.1", "--poll_interval=250ms", "--poll_log_interval=250ms"])
                    .arg(format!("--port={port}"))
                    .arg(format!("--progs={}", self.folder.display()))
                    .arg(format!("--logs={log}"))
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn();
                Process::Mtail(child.unwrap(), format!("http://127.0.0.1:{port}"))
            }
        });
        if let Some(Process::Mtail(_, url)) = &self.process {
            let port = url.strip_prefix("http://").unwrap();
            eventually("mtail listens", || std::net::TcpStream::connect(port).ok());
        }
    }

    /// Kills the program, if it is running. Its counts are read before if wanted, or if it has no state.
    pub(crate) fn kill(&mut self, scrape: bool) {
        let Some(process) = self.process.take() else { return };
        match process {
            Process::Exporter(mut exporter) => {
                if scrape && let Some(lines) = counts(&exporter.url) {
                    self.compare(lines);
                }
                exporter.signal("KILL");
                exporter.wait();
            }
            Process::Mtail(mut child, url) => {
                self.accumulate(&counts(&url).unwrap_or_default());
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }

    /// Waits until every line is counted, or nothing more is counted, and stops the program.
    pub(crate) fn finish(mut self, written: u64) -> Counted {
        const QUIET: Duration = Duration::from_secs(4);
        let written = usize::try_from(written).unwrap();
        let url = match self.process.as_ref().unwrap() {
            Process::Exporter(exporter) => exporter.url.clone(),
            Process::Mtail(_, url) => url.clone(),
        };
        let mut lines = eventually("the program is ready", || counts(&url));
        let mut changed = Instant::now();
        while changed.elapsed() < QUIET {
            thread::sleep(Duration::from_millis(100));
            let Some(now) = counts(&url) else { continue };
            if now != lines {
                (lines, changed) = (now, Instant::now());
            }
        }
        let reported = testing::get(&format!("{url}/metrics"), &[]).body;
        let reported = reported.lines().filter(|line| line.starts_with("httpd_log_lost_bytes_total{"));
        let reported = reported.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>();
        if let Some(Process::Mtail(mut child, _)) = self.process.take() {
            self.accumulate(&lines);
            lines = std::mem::take(&mut self.seen);
            child.kill().unwrap();
            child.wait().unwrap();
        } else {
            self.compare(lines.clone());
        }
        lines.resize(written, 0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter of a small file")]
        Counted { lines, reported: reported as u64, decreased: self.decreased }
    }

    /// Compares the counters with the last scrape.
    fn compare(&mut self, lines: Vec<u64>) {
        let now = lines.iter().copied().chain(std::iter::repeat(0));
        self.decreased += self.seen.iter().zip(now).filter(|(before, now)| now < before).count() as u64;
        self.seen = lines;
    }

    /// Adds the counters of a process that starts at 0.
    fn accumulate(&mut self, lines: &[u64]) {
        self.seen.resize(self.seen.len().max(lines.len()), 0);
        self.seen.iter_mut().zip(lines).for_each(|(sum, count)| *sum += count);
    }
}

/// How often each line was counted, by the line's number. `None` while the program is not ready.
fn counts(url: &str) -> Option<Vec<u64>> {
    let response = testing::get(&format!("{url}/metrics"), &[]);
    if response.status != 200 {
        return None;
    }
    let mut counts = Vec::new();
    for series in response.body.lines().filter_map(|line| line.strip_prefix("httpd_requests_total{")) {
        let (labels, count) = series.rsplit_once(' ')?;
        let number = labels.split("vhost=\"l").nth(1).and_then(|rest| rest.get(..6)?.parse::<usize>().ok());
        let Some(number) = number else { continue };
        counts.resize(counts.len().max(number + 1), 0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small counter")]
        let count = count.parse::<f64>().ok()? as u64;
        counts[number] += count;
    }
    Some(counts)
}
