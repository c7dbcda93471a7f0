//! A real Redis for one test: on loopback, in a temporary folder.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use exporter_common::testing::{eventually, free_port, real};

use crate::broker::Ended;

pub(crate) struct RedisServer {
    program: PathBuf,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    arguments: Vec<String>,
    process: Option<Ended>,
}

/// The user of the exporter, as documented.
const ACL: &str = "user watcher on >secret%word ~* -@all +scan +smembers +scard +type +llen +lindex +zcard +zcount +zscore \
                   +zrange +hget +hmget +hgetall +hlen +hvals +hscan +get +mget +exists +xlen +xrange +xread +xpending +xinfo|stream \
                   +xinfo|groups +memory|usage +info +select +cluster|slots +asking\n";

impl RedisServer {
    /// Starts a server with more arguments, by default without persistence; `None` if Redis is not installed.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let program = real("redis-server")?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("users.acl"), format!("user default on nopass ~* &* +@all\n{ACL}")).unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { program, folder, port: free_port(), arguments, process: None };
        server.up();
        Some(server)
    }

    /// Starts it with its data, and waits until it responds.
    pub(crate) fn up(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.current_dir(self.folder.path()).args(["--bind", "127.0.0.1", "--save", "", "--aclfile", "users.acl"]);
        if !self.arguments.iter().any(|argument| argument == "--tls-port") {
            command.args(["--port", &self.port.to_string()]);
        }
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = self.process.insert(Ended(command.spawn().unwrap()));
        let folder = self.folder.path();
        eventually("Redis accepts connections", || {
            let log = std::fs::read_to_string(folder.join("log")).unwrap();
            assert!(process.0.try_wait().unwrap().is_none(), "it exited: {log}");
            log.contains("Ready to accept connections").then_some(())
        });
    }

    /// Stops it with a signal.
    pub(crate) fn down(&mut self, signal: &str) {
        self.process.take().unwrap().end(signal);
    }

    /// Sends a signal; after STOP, connections stay open without responses.
    pub(crate) fn signal(&self, name: &str) {
        self.process.as_ref().unwrap().signal(name);
    }

    /// The URL with the user of the exporter.
    pub(crate) fn url(&self) -> String {
        format!("redis://watcher:secret%25word@127.0.0.1:{}", self.port)
    }

    /// A connection as the default user, which has all permissions.
    pub(crate) fn connection(&self) -> redis::Connection {
        redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap().get_connection().unwrap()
    }

    /// Runs commands, each a line of words.
    pub(crate) fn run(&self, commands: &[&str]) {
        let mut connection = self.connection();
        for command in commands {
            let mut words = command.split(' ');
            let mut command = redis::cmd(words.next().unwrap());
            command.arg(words.collect::<Vec<_>>()).query::<redis::Value>(&mut connection).unwrap();
        }
    }
}

/// Starts a Sentinel that fails over after half a second. Returns its process, folder and port.
pub(crate) fn sentinel(master: &RedisServer) -> (Ended, tempfile::TempDir, u16) {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor jobs 127.0.0.1 {} 1\nsentinel down-after-milliseconds jobs 500\n\
         sentinel failover-timeout jobs 3000\n",
        master.port
    );
    std::fs::write(folder.path().join("sentinel.conf"), text).unwrap();
    let mut command = Command::new(&master.program);
    command.current_dir(folder.path()).args(["sentinel.conf", "--sentinel"]);
    (Ended(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()), folder, port)
}

/// A client program in the folder of scripts.
pub(crate) fn client(program: PathBuf, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients")).args(arguments);
    // compiled scripts do not belong in the repository
    command.env("PYTHONDONTWRITEBYTECODE", "1").envs(environment.iter().copied());
    command
}

/// Runs a program, which must succeed.
pub(crate) fn run(mut command: Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {printed}");
}
