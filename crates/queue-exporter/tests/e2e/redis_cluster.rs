//! Redis Cluster: a real one, with streams and queues of BullMQ on all of its nodes.

use exporter_common::testing::{Running, assert_lint, eventually, free_port, real, value};

use crate::broker::patiently;
use crate::redis_server::{RedisServer, client, run};
use crate::watch::Watch;
use crate::{SUCCESS, assert_vocabulary, exporter};

/// Three primaries that have a third of the slots each, and perhaps a replica of each.
struct Cluster {
    nodes: Vec<RedisServer>,
}

const SLOTS: [&str; 3] = ["0 5460", "5461 10922", "10923 16383"];

impl Cluster {
    /// If a node is down, the others are readable, unless arguments change that; this is not Redis's default.
    fn start(replicas: usize, arguments: &[&str]) -> Option<Self> {
        let nodes: Option<Vec<_>> = (0..3 + replicas)
            .map(|_| {
                let bus = free_port().to_string();
                let mut all = vec!["--cluster-enabled", "yes", "--cluster-port", &bus];
                all.extend(["--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"]);
                all.extend(arguments);
                RedisServer::start(&all)
            })
            .collect();
        let cluster = Self { nodes: nodes? };
        for (node, slots) in cluster.nodes.iter().zip(SLOTS) {
            node.run(&[&format!("CLUSTER ADDSLOTSRANGE {slots}")]);
        }
        for node in &cluster.nodes[1..] {
            node.run(&[&format!("CLUSTER MEET 127.0.0.1 {} {}", cluster.nodes[0].port, bus(&cluster.nodes[0]))]);
        }
        let all_know = || {
            let know = |node: &RedisServer| {
                let info = query(node, "CLUSTER INFO")?;
                let known = format!("cluster_known_nodes:{}\r", cluster.nodes.len());
                Some(info.contains(&known) && info.contains("cluster_slots_assigned:16384\r"))
            };
            cluster.nodes.iter().all(|node| know(node) == Some(true)).then_some(())
        };
        patiently("all nodes know each other", all_know);
        for (replica, primary) in cluster.nodes[3..].iter().zip(&cluster.nodes) {
            replica.run(&[&format!("CLUSTER REPLICATE {}", id(primary))]);
            patiently("the replica is synchronized", || {
                query(replica, "INFO replication")?.contains("master_link_status:up").then_some(())
            });
        }
        cluster.works();
        Some(cluster)
    }

    /// Waits until every node that is running reports that all slots are served.
    fn works(&self) {
        patiently("the cluster works", || {
            let states = self.nodes.iter().filter_map(|node| query(node, "CLUSTER INFO"));
            let is_healthy =
                |info: String| info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384\r");
            states.map(is_healthy).reduce(|all, one| all && one)?.then_some(())
        });
    }

    /// Runs a command on the node that serves its key, and returns the index of that node.
    fn run(&self, command: &str) -> usize {
        let words: Vec<_> = command.split(' ').collect();
        for (at, node) in self.nodes.iter().enumerate() {
            let client = redis::Client::open(format!("redis://127.0.0.1:{}", node.port)).unwrap();
            let Ok(mut connection) = client.get_connection() else { continue };
            match redis::cmd(words[0]).arg(&words[1..]).query::<redis::Value>(&mut connection) {
                Ok(_) => return at,
                Err(error) => assert!(error.to_string().contains("Moved"), "{command}: {error}"),
            }
        }
        panic!("no node runs {command}");
    }
}

/// The reply of a node, if it responds.
fn query(node: &RedisServer, command: &str) -> Option<String> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", node.port)).unwrap();
    let mut words = command.split(' ');
    let mut command = redis::cmd(words.next()?);
    command.arg(words.collect::<Vec<_>>()).query(&mut client.get_connection().ok()?).ok()
}

fn id(node: &RedisServer) -> String {
    query(node, "CLUSTER MYID").unwrap()
}

/// The port on which a node connects to other nodes.
fn bus(node: &RedisServer) -> String {
    let nodes = query(node, "CLUSTER NODES").unwrap();
    let own = nodes.lines().find(|line| line.contains("myself")).unwrap();
    own.split_once('@').unwrap().1.split([' ', ',']).next().unwrap().to_owned()
}

const STREAMS: usize = 30;

/// Adds streams: the first has one entry, the second two, and so on. Returns their nodes.
fn fill(cluster: &Cluster) -> Vec<usize> {
    let nodes = (0..STREAMS).map(|stream| {
        for n in 0..=stream {
            cluster.run(&format!("XADD s{stream} * n {n}"));
        }
        cluster.run(&format!("XGROUP CREATE s{stream} g 0"))
    });
    let nodes: Vec<_> = nodes.collect();
    assert!((0..3).all(|node| nodes.contains(&node)), "every node has streams: {nodes:?}");
    nodes
}

/// The depth of each stream, and success.
fn depths(metrics: &str) -> (Vec<Option<f64>>, Option<f64>) {
    let depth = |stream| value(metrics, &format!("queue_depth{{queue_name=\"s{stream}\",scope=\"g\"}}"));
    ((0..STREAMS).map(depth).collect(), value(metrics, SUCCESS))
}

/// The exported values while some nodes do not respond.
fn expected(nodes: &[usize], up: impl Fn(usize) -> bool) -> Vec<Option<f64>> {
    nodes.iter().enumerate().map(|(stream, node)| up(*node).then_some(stream as f64 + 1.0)).collect()
}

fn errors(metrics: &str, reason: &str) -> Option<f64> {
    value(metrics, &format!("queue_exporter_source_errors_total{{reason=\"{reason}\"}}"))
}

#[test]
fn lists_with_known_names_are_read_on_every_node() {
    let Some(cluster) = Cluster::start(0, &[]) else { return };
    let nodes: Vec<_> = (0..6).map(|n| cluster.run(&format!("LPUSH list{n} a b"))).collect();
    assert!((0..3).all(|node| nodes.contains(&node)), "every node has lists: {nodes:?}");
    let names: Vec<_> = (0..6).map(|n| format!("ready=list{n}")).collect();
    let lists = exporter(&format!("{}?{}", cluster.nodes[0].url(), names.join("&")), ["--queue.system=redis-lists"]);
    let metrics = lists.scrape();
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", lists.log());
    let depths: Vec<_> = (0..6).map(|n| value(&metrics, &format!("queue_depth{{queue_name=\"list{n}\"}}"))).collect();
    assert_eq!(depths, [Some(2.0); 6], "{metrics}");
    for n in 0..6 {
        cluster.run(&format!("RPUSH resque:queue:q{n} a"));
        cluster.run(&format!("SADD resque:queues q{n}"));
    }
    let resque = exporter(&format!("{}?preset=resque", cluster.nodes[0].url()), ["--queue.system=redis-lists"]);
    let metrics = resque.scrape();
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", resque.log());
    assert_eq!(metrics.matches("queue_depth{queue_name=\"q").count(), 6, "{metrics}");
}

#[test]
fn a_cluster_node_that_is_down_hides_only_its_queues() {
    let Some(mut cluster) = Cluster::start(0, &["--appendonly", "yes", "--appendfsync", "always"]) else { return };
    let nodes = fill(&cluster);
    let exporter = exporter(&cluster.nodes[0].url(), ["--queue.timeout=2s"]);
    let watch = Watch::default();
    let seen = || {
        let metrics = exporter.scrape();
        watch.see_counters(&metrics);
        (depths(&metrics), metrics)
    };
    let all = expected(&nodes, |_| true);
    let (read, metrics) = seen();
    assert_eq!(read, (all.clone(), Some(1.0)), "{}{metrics}", exporter.log());
    assert_eq!(
        value(&metrics, "queue_oldest_message_age_seconds{queue_name=\"s7\",scope=\"g\"}").map(|age| age < 60.0),
        Some(true)
    );
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    // the named node is included: the others were discovered
    for (down, signal) in [(1, "TERM"), (0, "KILL"), (2, "KILL")] {
        cluster.nodes[down].down(signal);
        let (read, metrics) = seen();
        assert_eq!(read, (expected(&nodes, |node| node != down), Some(0.0)), "{down}: {}{metrics}", exporter.log());
        assert!(errors(&metrics, "connect") >= Some(1.0), "{metrics}");
        cluster.nodes[down].up();
        let metrics = patiently("it is read again", || {
            let (read, metrics) = seen();
            let complete = read == (all.clone(), Some(1.0));
            assert!(complete || read.1 == Some(0.0), "{}{metrics}", exporter.log());
            complete.then_some(metrics)
        });
        assert_vocabulary(&metrics);
    }
    let before = errors(&seen().1, "timeout");
    cluster.nodes[2].signal("STOP"); // keeps its connections, but does not respond
    let (read, metrics) = seen();
    assert_eq!(read, (expected(&nodes, |node| node != 2), Some(0.0)), "{}{metrics}", exporter.log());
    assert!(errors(&metrics, "timeout") > before, "{metrics}");
    cluster.nodes[2].signal("CONT");
    patiently("it is read again", || (seen().0 == (all.clone(), Some(1.0))).then_some(()));
    let log = exporter.log();
    assert!(!log.contains("secret") && !log.contains("watcher"), "{log}");
    let (metrics, log) = crate::once(&format!("{}?prefix=s1&prefix=s2", cluster.nodes[0].url()), []);
    let chosen: Vec<_> = (0..STREAMS).map(|n| all[n].filter(|_| matches!(n, 1 | 2 | 10..=29))).collect();
    assert_eq!(depths(&metrics), (chosen, Some(1.0)), "{log}{metrics}");
}

#[test]
fn migrating_slots_are_followed() {
    let Some(cluster) = Cluster::start(0, &[]) else { return };
    let nodes = fill(&cluster);
    let exporter = exporter(&cluster.nodes[0].url(), []);
    let all = (expected(&nodes, |_| true), Some(1.0));
    let is_all = |when: &str| {
        let metrics = exporter.scrape();
        assert_eq!(depths(&metrics), all, "{when}: {}{metrics}", exporter.log());
    };
    is_all("at first");
    // each stream moves to the next node, one after the other
    for (stream, from) in nodes.iter().enumerate() {
        let [from, to] = [&cluster.nodes[*from], &cluster.nodes[(from + 1) % 3]];
        let key = format!("s{stream}");
        let slot: u16 = redis::cmd("CLUSTER").arg(&["KEYSLOT", &key]).query(&mut from.connection()).unwrap();
        to.run(&[&format!("CLUSTER SETSLOT {slot} IMPORTING {}", id(from))]);
        from.run(&[&format!("CLUSTER SETSLOT {slot} MIGRATING {}", id(to))]);
        is_all("migrating");
        from.run(&[&format!("MIGRATE 127.0.0.1 {} {key} 0 10000", to.port)]);
        is_all("on the next node, which does not own the slot yet");
        to.run(&[&format!("CLUSTER SETSLOT {slot} NODE {}", id(to))]);
        is_all("on its new owner, which other nodes need not know");
        from.run(&[&format!("CLUSTER SETSLOT {slot} NODE {}", id(to))]);
        is_all("moved");
    }
}

#[test]
fn connections_to_a_node_with_two_names_are_reused() {
    let Some(cluster) = Cluster::start(0, &[]) else { return };
    fill(&cluster);
    let exporter = exporter(&cluster.nodes[0].url().replace("127.0.0.1", "localhost"), []);
    let connected = || {
        let stats = query(&cluster.nodes[0], "INFO stats").unwrap();
        let received = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        received.unwrap().parse::<u32>().unwrap()
    };
    let scraped = || assert_eq!(value(&exporter.scrape(), SUCCESS), Some(1.0), "{}", exporter.log());
    scraped();
    let before = connected();
    (0..3).for_each(|_| scraped());
    assert_eq!(connected(), before + 1, "only the connection of this query is new");
}

#[test]
fn a_deleted_or_replaced_stream_disappears() {
    let Some(cluster) = Cluster::start(0, &[]) else { return };
    fill(&cluster);
    let exporter = exporter(&cluster.nodes[0].url(), ["--queue.exclude=s1[0-9]"]);
    let outcomes = || {
        let metrics = exporter.scrape();
        let outcome = |name| value(&metrics, &format!("queue_exporter_queues{{outcome=\"{name}\"}}"));
        (outcome("filtered"), outcome("error"), value(&metrics, SUCCESS))
    };
    assert_eq!(outcomes(), (Some(10.0), Some(0.0), Some(1.0)), "{}", exporter.log());
    cluster.run("DEL s10");
    cluster.run("DEL s2");
    cluster.run("LPUSH s2 no stream");
    outcomes(); // streams of the last read may be migrating
    assert_eq!(outcomes(), (Some(9.0), Some(0.0), Some(1.0)), "{}", exporter.log());
}

#[test]
fn counters_survive_a_failover_to_a_replica() {
    let Some(mut cluster) = Cluster::start(3, &[]) else { return };
    let nodes = fill(&cluster);
    let more = format!("?node=127.0.0.1:{}", cluster.nodes[1].port);
    let exporter = exporter(&format!("{}{more}", cluster.nodes[0].url()), ["--queue.timeout=2s"]);
    let watch = Watch::default();
    let all = expected(&nodes, |_| true);
    let metrics = exporter.scrape();
    watch.see_counters(&metrics);
    assert_eq!(depths(&metrics), (all.clone(), Some(1.0)), "{}{metrics}", exporter.log());
    let lagging = nodes.iter().position(|node| *node == 0).unwrap();
    let enqueued = format!("messages_enqueued_total{{queue_name=\"s{lagging}\"}}");
    // entries that the replica lacks are lost
    cluster.nodes[3].signal("STOP");
    cluster.nodes[0].run(&["CLIENT KILL TYPE replica"]);
    cluster.run(&format!("XADD s{lagging} * lost 1"));
    let metrics = exporter.scrape();
    watch.see_counters(&metrics);
    assert_eq!(value(&metrics, &enqueued), Some(lagging as f64 + 2.0), "{metrics}");
    cluster.nodes[0].down("KILL");
    cluster.nodes[3].signal("CONT");
    let metrics = patiently("the replica has taken over", || {
        let metrics = exporter.scrape();
        watch.see_counters(&metrics);
        let (seen, success) = depths(&metrics);
        let part = expected(&nodes, |node| node != 0);
        let complete = seen == all && success == Some(1.0);
        assert!(complete || seen == part && success == Some(0.0), "{}{metrics}", exporter.log());
        complete.then_some(metrics)
    });
    assert_eq!(value(&metrics, &enqueued), Some(lagging as f64 + 2.0), "the counter continues: {metrics}");
    cluster.run(&format!("XADD s{lagging} * after 1"));
    assert_eq!(value(&exporter.scrape(), &enqueued), Some(lagging as f64 + 3.0));
    cluster.nodes[0].up(); // as a replica
    cluster.works();
    for _ in 0..3 {
        let metrics = exporter.scrape();
        watch.see_counters(&metrics);
        assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    }
    // a replica or the second node works if the first is down
    cluster.nodes[0].down("TERM");
    let (metrics, log) = crate::once(&format!("{}{more}", cluster.nodes[0].url()), []);
    assert_eq!(depths(&metrics).1, Some(1.0), "{log}");
    let (metrics, log) = crate::once(&cluster.nodes[4].url(), []);
    assert_eq!(depths(&metrics).1, Some(1.0), "{log}");
}

#[test]
fn bullmq_jobs_in_a_cluster_are_counted_exactly() {
    let (Some(node), Some(cluster)) = (real("bullmq-node"), Cluster::start(0, &[])) else { return };
    let port = cluster.nodes[0].port.to_string();
    let jobs = |queue: &str, prefix: &str, done: &str| {
        let environment = [("CLUSTER", "1"), ("PREFIX", prefix)];
        run(client(node.clone(), &["bullmq.js", &port, queue, done, "3", "4"], &environment));
    };
    let started = |more: &str| -> Running {
        let exporter = exporter(&format!("{}{more}", cluster.nodes[2].url()), ["--queue.system=bullmq"]);
        exporter.scrape();
        exporter
    };
    let (braces, prefix) = (started(""), started("?prefix={shop}"));
    // their names put them on three nodes
    for (queue, done) in [("{mail}", "7"), ("{orders}", "5"), ("{video}", "2")] {
        jobs(queue, "bull", done);
    }
    jobs("mail", "{shop}", "6");
    let seen = |metrics: &str, queue: &str, scope: &str| {
        let labels = |status: &str| format!("queue_name=\"{queue}\"{scope}{status}");
        let series = [
            format!("queue_depth{{{}}}", labels("")),
            format!("messages_processed_total{{{}}}", labels(",status=\"success\"")),
            format!("messages_processed_total{{{}}}", labels(",status=\"failure\"")),
            format!("message_processing_seconds_count{{{}}}", labels("")),
            format!("messages_enqueued_total{{{}}}", labels("")),
        ];
        series.map(|series| value(metrics, &series))
    };
    let metrics = braces.scrape();
    for (queue, done) in [("{mail}", 7.0), ("{orders}", 5.0), ("{video}", 2.0)] {
        assert_eq!(seen(&metrics, queue, ""), [4.0, done, 3.0, done + 3.0, done + 8.0].map(Some), "{queue}: {metrics}");
    }
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", braces.log());
    assert_eq!(value(&metrics, "queue_exporter_event_gaps_total"), Some(0.0));
    let metrics = prefix.scrape();
    assert_eq!(seen(&metrics, "mail", ""), [4.0, 6.0, 3.0, 9.0, 14.0].map(Some), "{metrics}");
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"exported\"}"), Some(1.0));
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", prefix.log());
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    // two prefixes: the same name twice
    jobs("{mail}", "{shop}", "1");
    let metrics = started("?prefix={shop}&prefix=bull").scrape();
    for (queue, prefix, done) in [("{mail}", "bull", 7.0), ("{mail}", "{shop}", 1.0), ("mail", "{shop}", 6.0)] {
        let expected = [4.0, done, 3.0, done + 3.0, done + 8.0].map(Some);
        assert_eq!(seen(&metrics, queue, &format!(",scope=\"{prefix}\"")), expected, "{prefix} {queue}: {metrics}");
    }
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"exported\"}"), Some(5.0));
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
}

#[test]
fn systems_that_do_not_support_a_cluster_report_an_error() {
    let Some(cluster) = Cluster::start(0, &[]) else { return };
    let url = cluster.nodes[0].url();
    for system in ["sidekiq", "rq", "celery"] {
        let (metrics, log) = crate::once(&url, [&format!("--queue.system={system}")]);
        assert_eq!((value(&metrics, SUCCESS), errors(&metrics, "protocol")), (Some(0.0), Some(1.0)), "{log}");
        assert!(log.contains("is a node of a Redis Cluster, which this queue system does not support"), "{log}");
    }
    let (metrics, log) = crate::once(&format!("{url}/3"), []);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{log}");
    assert!(log.contains("and the database"), "{log}");
    let wrong = format!("redis://watcher:wr0ngword@127.0.0.1:{}", cluster.nodes[0].port);
    let (metrics, log) = crate::once(&wrong, ["--log.level=debug"]);
    assert_eq!((value(&metrics, SUCCESS), errors(&metrics, "auth")), (Some(0.0), Some(1.0)), "{log}");
    assert!(log.contains("WRONGPASS") && !log.contains("wr0ngword"), "{log}");
    // one node does not know the user
    cluster.nodes[1].run(&["ACL DELUSER watcher"]);
    cluster.run("XADD s2 * a 1");
    let (metrics, log) = crate::once(&url, []);
    assert_eq!((value(&metrics, SUCCESS), errors(&metrics, "auth")), (Some(0.0), Some(1.0)), "{log}");
    // without the permission, the nodes are unknown
    cluster.nodes[0].run(&["ACL SETUSER watcher -cluster|slots"]);
    let (metrics, log) = crate::once(&url, []);
    assert_eq!((value(&metrics, SUCCESS), errors(&metrics, "auth")), (Some(0.0), Some(1.0)), "{log}");
    assert!(log.contains("see the required ACL in docs/queue/redis.md"), "{log}");
    let Some(alone) = RedisServer::start(&[]) else { return };
    let (metrics, log) = crate::once(&format!("{}?node=127.0.0.1:1", alone.url()), []);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{log}");
    let (metrics, log) = crate::once(&format!("redis://127.0.0.1:1?node=127.0.0.1:{}", alone.port), []);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{log}");
    assert!(log.contains("is not a node of a cluster: remove node=…"), "{log}");
}

#[test]
fn a_server_that_joins_and_leaves_a_cluster_is_read() {
    let Some(mut cluster) = Cluster::start(0, &["--appendonly", "no"]) else { return };
    let nodes = fill(&cluster);
    let exporter = exporter(&cluster.nodes[0].url(), []);
    assert_eq!(depths(&exporter.scrape()), (expected(&nodes, |_| true), Some(1.0)));
    drop(cluster.nodes.drain(1..));
    let port = cluster.nodes[0].port;
    cluster.nodes[0].down("KILL");
    drop(cluster);
    let Some(_alone) = RedisServer::start(&["--port", &port.to_string()]) else { return };
    alone_at(&port.to_string(), &["XADD s0 * n 0", "XGROUP CREATE s0 g 0"]);
    eventually("it is read as one server", || {
        let (depths, success) = depths(&exporter.scrape());
        (depths[0] == Some(1.0) && success == Some(1.0)).then_some(())
    });
}

fn alone_at(port: &str, commands: &[&str]) {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    for command in commands {
        let mut words = command.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        let words = words.collect::<Vec<_>>();
        command.arg(words).query::<redis::Value>(&mut client.get_connection().unwrap()).unwrap();
    }
}
