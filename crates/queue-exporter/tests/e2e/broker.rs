//! A real RabbitMQ for one test: on loopback, in a temporary folder.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use exporter_common::testing::{PATIENCE, eventually, free_port, real};

pub(crate) struct RabbitMq {
    program: PathBuf,
    folder: tempfile::TempDir,
    ports: Ports,
    /// The port mapper of Erlang's nodes, which exits with the test.
    _epmd: Arc<Ended>,
    node: Option<Ended>,
}

struct Ports {
    epmd: u16,
    distribution: u16,
    amqp: u16,
    management: u16,
}

/// A process that is killed when this is dropped.
pub(crate) struct Ended(pub(crate) Child);

impl Ended {
    /// Stops it with a signal, and waits until it has exited.
    pub(crate) fn end(mut self, signal: &str) {
        self.signal(signal);
        eventually("it exits", || self.0.try_wait().unwrap());
    }

    /// Sends a signal, and after STOP waits until the process is stopped.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.0.id();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id.to_string()]).status().unwrap().success());
        if signal == "STOP" {
            let stat = || std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
            eventually("it stops", || stat().contains(") T ").then_some(()));
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl RabbitMq {
    /// A broker with the management API; `None` if RabbitMQ is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// The same with more lines in its configuration.
    pub(crate) fn start_with(configuration: &str) -> Option<Self> {
        let mut broker = Self::nodes(1)?.pop()?;
        let path = broker.folder.path().join("rabbitmq.conf");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text + configuration).unwrap();
        broker.up();
        Some(broker)
    }

    /// The nodes of one cluster, each with the management API.
    pub(crate) fn cluster(count: usize) -> Option<Vec<Self>> {
        let mut nodes = Self::nodes(count)?;
        let names: Vec<_> = nodes.iter().map(Self::name).collect();
        let mut formation = "cluster_formation.peer_discovery_backend = classic_config\n".to_owned();
        let version = nodes[0].control().arg("version").output().unwrap().stdout;
        if version.starts_with(b"3.") {
            // version 4 has no such delay
            formation += "cluster_formation.randomized_startup_delay_range.min = 0\n\
                          cluster_formation.randomized_startup_delay_range.max = 1\n";
        }
        for (at, name) in names.iter().enumerate() {
            formation += &format!("cluster_formation.classic_config.nodes.{at} = {name}\n");
        }
        for node in &nodes {
            let path = node.folder.path().join("rabbitmq.conf");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, text + &formation).unwrap();
        }
        thread::scope(|scope| nodes.iter_mut().for_each(|node| drop(scope.spawn(|| node.up()))));
        let one = |node: &Self| Some(node.get("nodes?columns=running")?.matches("\"running\":true").count() == count);
        patiently("the cluster is formed", || nodes.iter().all(|node| one(node) == Some(true)).then_some(()));
        Some(nodes)
    }

    /// Brokers that are not started.
    fn nodes(count: usize) -> Option<Vec<Self>> {
        let found = real("rabbitmq-server")?;
        // not Debian's wrapper, which changes the user and the folders
        let wrapped = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
        let program = if found.starts_with("/usr/sbin") && wrapped.exists() { wrapped } else { found };
        let epmd = real("epmd")?;
        let epmd_port = free_port();
        let mut epmd = Command::new(epmd);
        epmd.args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"]);
        epmd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let epmd = Arc::new(Ended(epmd.spawn().unwrap()));
        let node = || {
            let ports =
                Ports { epmd: epmd_port, distribution: free_port(), amqp: free_port(), management: free_port() };
            let folder = tempfile::tempdir().unwrap();
            let file = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
            file("plugins", "[rabbitmq_management].".to_owned());
            file(
                "rabbitmq.conf",
                format!(
                    "listeners.tcp.1 = 127.0.0.1:{}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n\
                     collect_statistics_interval = 200\n",
                    ports.amqp, ports.management
                ),
            );
            Self { program: program.clone(), folder, ports, _epmd: epmd.clone(), node: None }
        };
        Some((0..count).map(|_| node()).collect())
    }

    /// The name of the node.
    pub(crate) fn name(&self) -> String {
        format!("test{}@localhost", self.ports.management)
    }

    /// Starts it with its data, and waits until it responds.
    pub(crate) fn up(&mut self) {
        let folder = self.folder.path();
        let log = std::fs::File::create(folder.join("start.log")).unwrap();
        let child = Command::new(&self.program)
            .current_dir(folder)
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", self.name())
            .env("RABBITMQ_DIST_PORT", self.ports.distribution.to_string())
            .env("RABBITMQ_BASE", folder)
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", folder.join("none.config"))
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("none.env"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            // with these, the script becomes the node, and signals reach it
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-noinput -setcookie test -kernel inet_dist_use_interface {127,0,0,1}",
            )
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let node = self.node.insert(Ended(child));
        let url = format!("http://127.0.0.1:{}/api/overview", self.ports.management);
        patiently("RabbitMQ responds", || {
            assert!(node.0.try_wait().unwrap().is_none(), "it exited: {}", logs(folder));
            ureq::get(&url).header("authorization", GUEST).call().ok()
        });
    }

    /// Stops it: with TERM it saves its data, with KILL it does not.
    pub(crate) fn down(&mut self, signal: &str) {
        self.node.take().unwrap().end(signal);
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.node.as_ref().unwrap().signal(signal);
    }

    /// The management API with the credentials of a user.
    pub(crate) fn management(&self, user: &str) -> String {
        format!("http://{user}@127.0.0.1:{}", self.ports.management)
    }

    pub(crate) fn amqp(&self) -> String {
        format!("amqp://127.0.0.1:{}/%2f", self.ports.amqp)
    }

    /// The response of the management API, if it responds.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}/api/{path}", self.ports.management);
        ureq::get(&url).header("authorization", GUEST).call().ok()?.body_mut().read_to_string().ok()
    }

    fn control(&self) -> Command {
        let mut command = Command::new(self.program.with_file_name("rabbitmqctl"));
        command.env("HOME", self.folder.path()).env("ERL_EPMD_PORT", self.ports.epmd.to_string());
        command.env("RABBITMQ_CONF_ENV_FILE", self.folder.path().join("none.env")).stdin(Stdio::null());
        command
    }

    /// Evaluates an Erlang expression in the node.
    pub(crate) fn evaluate(&self, expression: &str) {
        let mut command = self.control();
        command.args(["--node", &self.name(), "--erlang-cookie", "test", "eval", expression]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// PUT to the management API.
    pub(crate) fn put(&self, path: &str, body: &str) {
        let url = format!("http://127.0.0.1:{}/api/{path}", self.ports.management);
        ureq::put(&url).header("authorization", GUEST).send(body).unwrap();
    }
}

/// guest:guest, the default user.
const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// Polls until there is a result, for steps that take ten seconds on an idle machine, and minutes on a busy one.
pub(crate) fn patiently<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + 10 * PATIENCE;
    loop {
        if let Some(result) = poll() {
            return result;
        }
        assert!(Instant::now() < deadline, "still not: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn logs(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("start.log")).unwrap_or_default()
}
