//! A real Redis of its own for a test: loopback only, in a folder of its own, gone with the test.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use exporter_common::testing::{eventually, real};

use crate::broker::{Ended, free};

pub(crate) struct RedisServer {
    program: PathBuf,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    arguments: Vec<String>,
    process: Option<Ended>,
}

/// What an exporter may do, as the documentation tells it to administrators.
const ACL: &str = "user watcher on >secret%word ~* -@all +scan +smembers +scard +llen +lindex +zcard +zrange \
                   +hget +hmget +hgetall +hlen +hvals +hscan +get +mget +exists +xlen +xrange +xread +xpending +xinfo|stream \
                   +xinfo|groups +memory|usage +select +cluster|slots +asking\n";

impl RedisServer {
    /// A server with more arguments, without persistence unless they say so; `None` where there is no Redis.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let program = real("redis-server")?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("users.acl"), format!("user default on nopass ~* &* +@all\n{ACL}")).unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { program, folder, port: free(), arguments, process: None };
        server.up();
        Some(server)
    }

    /// Starts it, with what it kept of its last life, and waits until it answers.
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
            let said = std::fs::read_to_string(folder.join("log")).unwrap();
            assert!(process.0.try_wait().unwrap().is_none(), "it ended: {said}");
            said.contains("Ready to accept connections").then_some(())
        });
    }

    /// Ends it, by KILL as a crash does.
    pub(crate) fn down(&mut self, signal: &str) {
        self.process.take().unwrap().end(signal);
    }

    /// Stops it without ending it: connections stay and nothing is answered.
    pub(crate) fn signal(&self, name: &str) {
        self.process.as_ref().unwrap().signal(name);
    }

    /// As the user with no more rights than are needed.
    pub(crate) fn url(&self) -> String {
        format!("redis://watcher:secret%25word@127.0.0.1:{}", self.port)
    }

    /// A connection of an administrator.
    pub(crate) fn connection(&self) -> redis::Connection {
        redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap().get_connection().unwrap()
    }

    /// Does commands, each a line of words.
    pub(crate) fn run(&self, commands: &[&str]) {
        let mut connection = self.connection();
        for command in commands {
            let mut words = command.split(' ');
            let mut command = redis::cmd(words.next().unwrap());
            command.arg(words.collect::<Vec<_>>()).query::<redis::Value>(&mut connection).unwrap();
        }
    }
}

/// A sentinel that makes another Redis the master when this one is down for half a second; its folder, and its port.
pub(crate) fn sentinel(master: &RedisServer) -> (Ended, tempfile::TempDir, u16) {
    let (folder, port) = (tempfile::tempdir().unwrap(), free());
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

/// A program that ends by itself, with a folder of scripts to run in.
pub(crate) fn client(program: PathBuf, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients")).args(arguments);
    // what a script compiles to belongs to no repository
    command.env("PYTHONDONTWRITEBYTECODE", "1").envs(environment.iter().copied());
    command
}

/// Runs it to its end, which has to be good.
pub(crate) fn run(mut command: Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {said}");
}
