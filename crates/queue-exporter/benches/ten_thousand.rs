//! The cost of one scrape of 10,000 queues, and of 2,000 partitions and 200 groups of Kafka: `cargo bench -p queue-exporter`. It
//! starts a Redis; servers in this program respond for the others.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a part of the exporter")]
#![expect(clippy::disallowed_types, reason = "it starts a Redis; exporters start no programs")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

#[path = "../tests/e2e/fake_kafka.rs"]
#[expect(dead_code, reason = "the benchmark's brokers do not misbehave")]
mod fake_kafka;

use exporter_common::testing::{Running, eventually, free_port, real, value};

const QUEUES: usize = 10_000;
const SCRAPES: usize = 10;
const CONCURRENT: usize = 8;

/// The number of queues with new events between two scrapes.
const ACTIVE: usize = 1000;

struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    let http = serve(|path| {
        match path.strip_prefix("/queue-") {
        Some(_) => r#"{"depth":3,"processed":10,"failed":1,"processing_seconds":{"buckets":{"0.1":2,"1":7},"sum":1.5,"count":10}}"#
            .to_owned(),
        None => format!("{{\"queues\":[{}]}}", list((0..QUEUES).map(|n| format!("\"queue-{n}\"")))),
    }
    });
    measure("10,000 http queues", &http, &[], || ());
    let rabbitmq = serve(|path| match path.split_once("page=") {
        Some((_, number)) => page(number.split('&').next().unwrap().parse().unwrap()),
        None => r#"[{"name":"rabbit@a","os_pid":"1","uptime":5000}]"#.to_owned(),
    });
    measure("10,000 rabbitmq queues", &rabbitmq, &["--queue.system=rabbitmq"], || ());
    redis();
    kafka();
}

/// 2,000 partitions of 200 topics on three brokers, and 200 groups, each with a lag in every partition of 10 topics.
fn kafka() {
    use fake_kafka::{Behavior, Content, FakeKafka, Group, Partition};
    let partition = |n: i32| Partition {
        leader: n % 3,
        start: 100,
        end: 1000,
        replicas: 3,
        in_sync: 3,
        value_size: 7,
        marker: None,
    };
    let topic = |n: i32| (format!("topic-{n}"), (0..10).map(|index| partition(n + index)).collect());
    let group = |n: i32| {
        let topics = (0..10).map(|k| (n + k * 20) % 200);
        let committed = topics
            .flat_map(|topic| (0..10).map(move |index| (format!("topic-{topic}"), index, 900 + i64::from(n / 20 % 5))));
        Group {
            name: format!("group-{n}"),
            coordinator: n % 3,
            state: "Stable",
            committed: committed.collect(),
            members: (0..10).map(|k| vec![format!("topic-{}", (n + k * 20) % 200)]).collect(),
        }
    };
    let content = Content { topics: (0..200).map(topic).collect(), groups: (0..200).map(group).collect() };
    let cluster = FakeKafka::start(3, content, |_, _| Behavior::Respond);
    measure("2,000 partitions and 200 groups of kafka", &cluster.url, &[], || ());
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

/// A page of RabbitMQ's list, with a queue recorded from version 4.3.
fn page(number: usize) -> String {
    const RECORDED: &str = include_str!("../tests/rabbitmq/queues-4.3.6.json");
    let item = RECORDED.lines().find(|line| line.contains("\"name\":\"classic\"")).unwrap().trim_end_matches(',');
    let queues = (number - 1) * PAGE..(number * PAGE).min(QUEUES);
    let items = list(queues.map(|n| item.replace("\"name\":\"classic\"", &format!("\"name\":\"queue-{n}\""))));
    format!("{{\"filtered_count\":{QUEUES},\"page_count\":{},\"items\":[{items}]}}", QUEUES / PAGE)
}

/// The number of queues on a page.
const PAGE: usize = 500;

/// A server on a free port that responds to GET with JSON.
fn serve(respond: impl Fn(&str) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let respond = Arc::new(respond);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let respond = respond.clone();
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                while let Some(first) = lines.next() {
                    while lines.next().is_some_and(|line| !line.is_empty()) {}
                    let body = respond(first.split(' ').nth(1).unwrap_or_default());
                    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    if stream.write_all(reply.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

/// BullMQ's queues, then streams with one group each, in the same Redis.
fn redis() {
    let Some(program) = real("redis-server") else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = Command::new(program);
    server.current_dir(folder.path()).args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]);
    let _server = Redis(server.stdout(Stdio::null()).spawn().unwrap());
    let url = format!("redis://127.0.0.1:{port}");
    let client = redis::Client::open(url.as_str()).unwrap();
    let mut connection = eventually("Redis responds", || client.get_connection().ok());
    let systems: [(&str, AddCommands, AddCommands); 2] =
        [("bullmq", fill_bullmq, finish_job), ("redis-streams", fill_stream, add_entry)];
    for (system, fill, change) in systems {
        redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
        for chunk in (0..QUEUES).collect::<Vec<_>>().chunks(500) {
            let mut commands = redis::pipe();
            chunk.iter().for_each(|n| fill(&mut commands, *n, SCRAPES));
            commands.exec(&mut connection).unwrap();
        }
        let mut scrape = 0;
        measure(&format!("10,000 {system} queues"), &url, &[&format!("--queue.system={system}")], || {
            let mut commands = redis::pipe();
            (0..ACTIVE).for_each(|n| change(&mut commands, n, scrape));
            commands.exec(&mut connection).unwrap();
            scrape += 1;
        });
    }
}

/// Adds the commands for a queue by its number; the last argument is the number of a job.
type AddCommands = fn(&mut redis::Pipeline, usize, usize);

/// Scrapes an exporter and prints the cost. `between` runs before each scrape.
fn measure(what: &str, url: &str, flags: &[&str], mut between: impl FnMut()) {
    let flag = format!("--queue.url={url}");
    let exporter = Running::start(env!("CARGO_BIN_EXE_queue-exporter"), [flag.as_str()].iter().chain(flags));
    eventually("the first read is complete", || (exporter.get("/-/ready", &[]).status == 200).then_some(()));
    let mut series = 0;
    let mut took = Vec::new();
    let before = cpu(exporter.pid());
    for _ in 0..SCRAPES {
        between();
        let started = Instant::now();
        let metrics = exporter.scrape();
        took.push(started.elapsed());
        assert_eq!(value(&metrics, "queue_exporter_scrape_success"), Some(1.0), "{}", exporter.log());
        series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    }
    took.sort();
    let cpu = (cpu(exporter.pid()) - before) * 10 / SCRAPES as u64; // clock ticks are 10 ms
    let alone = peak(exporter.pid());
    let statuses = thread::scope(|scope| {
        let scrape = || exporter.get("/metrics", &[]).status;
        let scrapes: Vec<_> = (0..CONCURRENT).map(|_| scope.spawn(scrape)).collect();
        scrapes.into_iter().map(|scrape| scrape.join().unwrap()).collect::<Vec<_>>()
    });
    println!(
        "{what}, {series} series: {cpu} ms of CPU a scrape, {} ms median, {} MB resident at most; {} MB with \
         {CONCURRENT} concurrent uncompressed scrapes; {} of them returned 200",
        took[SCRAPES / 2].as_millis(),
        alone / 1024,
        peak(exporter.pid()) / 1024,
        statuses.iter().filter(|status| **status == 200).count()
    );
}

/// Adds a queue as BullMQ leaves it.
fn fill_bullmq(commands: &mut redis::Pipeline, n: usize, job: usize) {
    let key = |part: &str| format!("bull:queue-{n}:{part}");
    commands.cmd("HSET").arg(&[key("meta"), "opts.maxLenEvents".to_owned(), "10000".to_owned()]).ignore();
    commands.cmd("SET").arg(key("id")).arg(9).ignore();
    commands.cmd("LPUSH").arg(&[key("wait"), "7".to_owned(), "8".to_owned(), "9".to_owned()]).ignore();
    commands.cmd("HSET").arg(&[key("7"), "timestamp".to_owned(), "1700000000000".to_owned()]).ignore();
    commands.cmd("ZADD").arg(&[key("completed"), "1".to_owned(), "1".to_owned()]).ignore();
    finish_job(commands, n, job);
}

fn finish_job(commands: &mut redis::Pipeline, n: usize, job: usize) {
    for event in ["active", "completed"] {
        let job = job.to_string();
        let key = format!("bull:queue-{n}:events");
        commands.cmd("XADD").arg(&[&key, "*", "event", event, "jobId", &job, "prev", "active"]).ignore();
    }
}

/// Adds a stream of five entries and a group, which has read two of them and acknowledged none.
fn fill_stream(commands: &mut redis::Pipeline, n: usize, job: usize) {
    let key = format!("stream-{n}");
    (0..5).for_each(|_| add_entry(commands, n, job));
    commands.cmd("XGROUP").arg(&["CREATE", &key, "workers", "0"]).ignore();
    commands.cmd("XREADGROUP").arg(&["GROUP", "workers", "c1", "COUNT", "2", "STREAMS", &key, ">"]).ignore();
}

fn add_entry(commands: &mut redis::Pipeline, n: usize, job: usize) {
    commands
        .cmd("XADD")
        .arg(&[&format!("stream-{n}"), "*", "job", &job.to_string(), "body", "twenty characters..."])
        .ignore();
}

/// CPU time of a process in clock ticks.
fn cpu(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The maximum resident memory of a process in kilobytes.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
