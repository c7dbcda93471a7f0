//! The programs under attack: how each is started on loopback, and the memory that it and the kernel need for it.

use std::fs;
use std::io::PipeReader;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use scrapewright::testing;

use crate::site::{Site, Web};

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A program, and how it is started and scraped.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// What the rightful client requests, and attackers unless they want a large response.
    pub(crate) page: &'static str,
}

/// Changes the start of a program.
#[derive(Default)]
pub(crate) struct Start {
    /// Commands of the shell that then executes the program.
    pub(crate) shell: String,
    pub(crate) arguments: Vec<String>,
    /// Standard error, and its other end, which is never read.
    pub(crate) stderr: Option<(Stdio, PipeReader)>,
    /// A folder of the kernel that is removed when the program has exited.
    pub(crate) cgroup: Option<PathBuf>,
}

/// A program that listens on loopback, and is killed on drop.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    cgroup: Option<PathBuf>,
    _unread: Option<PipeReader>,
}

impl Program {
    /// Starts the program; `None` if it does not listen.
    pub(crate) fn start(&self, site: &Site, web: Web, start: Start) -> Option<Running> {
        // node_exporter does not log a port chosen by the system
        let address = SocketAddr::from(([127, 0, 0, 1], testing::free_port()));
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{} exec \"$0\" \"$@\"", start.shell)]).arg(&self.path);
        command.arg(format!("--web.listen-address={address}")).args(&self.arguments).args(&start.arguments);
        if web != Web::Plain {
            command.arg(format!("--web.config.file={}", site.config(web).display()));
        }
        let (stderr, unread) = start.stderr.map_or((Stdio::null(), None), |(stderr, unread)| (stderr, Some(unread)));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        let mut running = Running { child, address, cgroup: start.cgroup, _unread: unread };
        let deadline = Instant::now() + START_TIMEOUT;
        while running.child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            if TcpStream::connect_timeout(&address, START_TIMEOUT).is_ok() {
                return Some(running);
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A number of /proc/PID/status; none if the process has exited.
    pub(crate) fn status(&self, key: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// A size of /proc/PID/status in MB (10^6 bytes).
    pub(crate) fn memory(&self, key: &str) -> Option<f64> {
        self.status(key).map(|kibibytes| kibibytes as f64 * 1024.0 / 1e6)
    }

    /// The number of open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(cgroup) = &self.cgroup {
            let _ = fs::remove_dir(cgroup);
        }
    }
}

/// The memory of all TCP sockets of this host in MB.
pub(crate) fn kernel_memory() -> f64 {
    let sockets = fs::read_to_string("/proc/net/sockstat").unwrap();
    let tcp = sockets.lines().find(|line| line.starts_with("TCP:")).unwrap();
    let pages = tcp.split(' ').skip_while(|word| *word != "mem").nth(1).unwrap();
    pages.parse::<f64>().unwrap() * 4096.0 / 1e6
}
