//! The programs under attack: how each is started on loopback, and the memory that it and the kernel need for it.

use std::fs;
use std::io::PipeReader;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use scrapewright::testing::{self, eventually};

use crate::site::{Site, Web};

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
    pub(crate) fn start(&self, site: &Site, web: Web, start: Start) -> Running {
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
        eventually("the program listens", || {
            assert!(running.child.try_wait().unwrap().is_none(), "{} does not start", self.name);
            TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()
        });
        running
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A value of /proc/PID/status in MB (10^6 bytes); none if the process has exited.
    pub(crate) fn memory(&self, key: &str) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find(|line| line.starts_with(key))?;
        Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0 / 1e6)
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
