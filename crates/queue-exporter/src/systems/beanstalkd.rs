//! `beanstalkd`: the tubes of beanstalkd, by its text protocol.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use exporter_common::async_trait;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::listing::list_from;
use crate::broker::{BrokerHealth, CONNECTIONS, WORKERS};
use crate::connection::{ConnectionSettings, url_host};
use crate::queue_system::{Batch, Counter, ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};
use crate::read_error::{Reason, read_error};

pub(super) const KIND: SystemKind = SystemKind {
    name: "beanstalkd",
    schemes: &["beanstalk"],
    connect: |settings| Ok(Box::new(Beanstalkd::new(settings)?)),
};

struct Beanstalkd {
    host: String,
    port: u16,
    connection: Mutex<Option<BufReader<TcpStream>>>,
    tubes: Mutex<Tubes>,
    /// The health of the server as of the last list.
    health: Mutex<BrokerHealth>,
}

/// The known tubes. beanstalkd deletes a tube that is empty and unused, and recreates it for the next job. For a waiting
/// consumer, it is an empty queue all the time.
#[derive(Default)]
struct Tubes {
    /// The id of the server, which changes when it restarts, and the number of starts.
    server: String,
    generations: u64,
    seen: HashMap<String, Tube>,
}

#[derive(Clone, Copy, Default)]
struct Tube {
    /// How often it was seen to be recreated: each time, its counters restart from 0.
    generation: u64,
    /// Its counters in the last read.
    counted: [Counter; 2],
    /// When it was found deleted.
    gone: Option<Instant>,
}

/// How long a deleted tube is exported as empty, and the largest number of known tubes.
const REMEMBERED: Duration = Duration::from_secs(3600);
const TUBES: usize = 10_000;

/// The largest size of the replies to one batch of commands: a list of 10,000 tubes takes less than 3 MB.
const REPLIES_LIMIT: usize = 16 << 20;

#[async_trait]
impl QueueSystem for Beanstalkd {
    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready" | "in_flight" | "delayed" | "dead")
            | (
                "queue_depth"
                | "queue_consumers"
                | "queue_paused"
                | "messages_enqueued_total"
                | "messages_dead_lettered_total"
                | "queue_broker_alarm"
                | "queue_broker_connections"
                | "queue_workers",
                _,
            ) => Origin::Native,
            ("messages_processed_total", "success") => Origin::Derived,
            _ => Origin::Unavailable,
        }
    }

    fn batch(&self) -> Batch {
        Batch { size: 250, concurrency: 1 }
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        list_from(async {
            let replies = self.query(&["stats".to_owned(), "list-tubes".to_owned()]).await?;
            let [Some(stats), Some(tubes)] = &replies[..] else { bail!("the list of tubes is missing") };
            *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health(stats)?;
            let server = value(stats, "id").context("stats: id is missing")?;
            let tubes = names(tubes);
            let mut known = self.tubes();
            let names = known.update(server, &tubes, Instant::now());
            let listed = names.into_iter().map(|name| ListedQueue { queue: QueueId::named(name), statistics: None });
            let totals = ListedQueue { queue: QueueId::default(), statistics: Some(totals(stats, known.generations)) };
            Ok(listed.chain([totals]).map(Ok))
        })
    }

    async fn broker(&self) -> Result<BrokerHealth> {
        Ok(self.health.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let tubes = queues.iter().map(|queue| format!("stats-tube {}", queue.name));
        let commands: Vec<_> = ["stats".to_owned()].into_iter().chain(tubes).collect();
        let mut replies = self.query(&commands).await?.into_iter();
        let stats = replies.next().flatten();
        let mut tubes = self.tubes();
        // otherwise the counters of the new server would be added now, and again after the next list
        if stats.as_deref().and_then(|stats| value(stats, "id")) != Some(&tubes.server) {
            return Err(read_error(Reason::Partial, "the server restarted during the read"));
        }
        let listed = queues.iter().zip(replies).map(|(queue, reply)| {
            let tube = tubes.seen.entry(queue.name.clone()).or_default();
            let statistics = match reply {
                Some(stats) => statistics(&stats).map(|mut read| {
                    read.generation = tube.update_counters(&read);
                    // every connection watches the default tube, including the exporter's
                    let own = u64::from(queue.name == "default");
                    read.consumers = read.consumers.map(|consumers| consumers.saturating_sub(own));
                    read
                }),
                None => Ok(empty(tube.generation)),
            };
            ListedQueue { queue: queue.clone(), statistics: Some(statistics) }
        });
        Ok(listed.collect())
    }
}

impl Beanstalkd {
    fn new(ConnectionSettings { url, username, password_file, tls, .. }: ConnectionSettings) -> Result<Self> {
        tls.config(false)?; // refuses TLS flags
        let without_user = username.is_none() && password_file.is_none() && url.username().is_empty();
        ensure!(without_user, "beanstalkd has no authentication: remove --queue.username and --queue.password-file");
        let (host, port) = (url_host(&url)?, url.port().unwrap_or(11300));
        Ok(Self { host, port, connection: Mutex::default(), tubes: Mutex::default(), health: Mutex::default() })
    }

    fn tubes(&self) -> MutexGuard<'_, Tubes> {
        self.tubes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> MutexGuard<'_, Option<BufReader<TcpStream>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replies to a batch of commands; `None` for `NOT_FOUND`. All commands only read, so they are sent again if the
    /// reused connection turns out to be closed.
    async fn query(&self, commands: &[String]) -> Result<Vec<Option<String>>> {
        // put back only after it has replied: a connection that hangs is not reused
        let reused = self.connection().take();
        if let Some(mut connection) = reused
            && let Ok(replies) = exchange(&mut connection, commands).await
        {
            self.connection().replace(connection);
            return Ok(replies);
        }
        let server = format!("beanstalkd at {}:{}", self.host, self.port);
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream =
            stream.map_err(|error| read_error(Reason::Connect, format!("cannot connect to {server}: {error}")))?;
        let mut connection = BufReader::new(stream);
        let replies = exchange(&mut connection, commands).await.context(server)?;
        self.connection().replace(connection);
        Ok(replies)
    }
}

async fn exchange<S>(connection: &mut BufReader<S>, commands: &[String]) -> Result<Vec<Option<String>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |error: std::io::Error| read_error(Reason::Connect, error.to_string());
    let text: String = commands.iter().flat_map(|command| [command, "\r\n"]).collect();
    connection.write_all(text.as_bytes()).await.map_err(broken)?;
    let mut replies = Vec::with_capacity(commands.len());
    let mut remaining = REPLIES_LIMIT;
    for _ in commands {
        let mut line = String::new();
        // all lines are short: a longer one may be endless
        connection.take(1024).read_line(&mut line).await.map_err(broken)?;
        if line.is_empty() {
            return Err(read_error(Reason::Connect, "the server closed the connection"));
        }
        let line = line.trim_end();
        replies.push(match line.strip_prefix("OK ") {
            Some(length) => {
                let length: usize =
                    length.parse().map_err(|_| read_error(Reason::Protocol, format!("unexpected reply {line:?}")))?;
                let too_long = || read_error(Reason::Protocol, "the replies exceed 16 MB");
                remaining = remaining.checked_sub(length).ok_or_else(too_long)?;
                let mut data = vec![0; length + 2]; // with the line break
                connection.read_exact(&mut data).await.map_err(broken)?;
                data.truncate(length);
                Some(String::from_utf8(data).context("the reply is not UTF-8")?)
            }
            None if line == "NOT_FOUND" => None,
            None => return Err(read_error(Reason::Protocol, format!("unexpected reply {line:?}"))),
        });
    }
    Ok(replies)
}

impl Tubes {
    /// Records which tubes exist. Returns the names to export: the existing and the recently deleted tubes.
    fn update(&mut self, server: &str, tubes: &[&str], now: Instant) -> Vec<String> {
        let restarted = self.server != server;
        self.generations += u64::from(restarted);
        server.clone_into(&mut self.server);
        self.seen.values_mut().for_each(|tube| {
            tube.gone = tube.gone.or(Some(now));
            tube.generation += u64::from(restarted);
        });
        for name in tubes {
            let tube = self.seen.entry((*name).to_owned()).or_default();
            // deleted in an earlier read: recreated since
            tube.generation += u64::from(tube.gone.is_some_and(|gone| gone < now) && !restarted);
            tube.gone = None;
        }
        let is_recent = |gone: Option<Instant>| gone.is_none_or(|gone| now.duration_since(gone) < REMEMBERED);
        self.seen.retain(|_, tube| is_recent(tube.gone));
        if self.seen.len() > TUBES.max(tubes.len()) {
            self.seen.retain(|_, tube| tube.gone.is_none());
        }
        let mut names: Vec<_> = self.seen.keys().cloned().collect();
        names.sort_unstable();
        names
    }
}

impl Tube {
    /// Records the counters and returns the generation. A decrease starts a new one: the tube may have been deleted and
    /// recreated between two lists.
    fn update_counters(&mut self, read: &Statistics) -> u64 {
        let now = [read.enqueued, read.success];
        let has_decreased =
            |(last, now): (&Counter, Counter)| last.value().zip(now.value()).is_some_and(|(last, now)| now < last);
        let decreased = self.counted.iter().zip(now).any(has_decreased);
        self.generation += u64::from(decreased);
        self.counted = now;
        self.generation
    }
}

/// The names in a list of tubes.
fn names(yaml: &str) -> Vec<&str> {
    yaml.lines().filter_map(|line| line.strip_prefix("- ")).map(unquoted).collect()
}

/// The value of a key.
fn value<'a>(yaml: &'a str, key: &str) -> Option<&'a str> {
    let mut pairs = yaml.lines().filter_map(|line| line.split_once(": "));
    pairs.find(|(name, _)| *name == key).map(|(_, value)| unquoted(value))
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn number(stats: &str, key: &str) -> Result<Option<u64>> {
    let number =
        value(stats, key).map(|value| value.parse().map_err(|_| anyhow!("{key}: expected a count, found {value:?}")));
    number.transpose()
}

/// The health of the server. Each worker is a connection that reserved a job.
fn health(stats: &str) -> Result<BrokerHealth> {
    let mut health = BrokerHealth::default();
    health.add_alarm("draining", "", value(stats, "draining").map(|draining| draining == "true")); // since 1.12
    let own = 1;
    let connections = number(stats, "current-connections")?.map(|connections| connections.saturating_sub(own));
    health.add_count(&CONNECTIONS, &[""], connections);
    health.add_count(&WORKERS, &["alive"], number(stats, "current-workers")?);
    Ok(health)
}

/// The counters of the whole server.
fn totals(stats: &str, generation: u64) -> Result<Statistics> {
    let buried = Counter::single(number(stats, "cmd-bury")?);
    Ok(Statistics { generation, dead_lettered: buried, ..Statistics::default() })
}

fn statistics(stats: &str) -> Result<Statistics> {
    let number = |key| number(stats, key);
    ensure!(stats.starts_with("---"), "expected statistics in the reply");
    Ok(Statistics {
        ready: number("current-jobs-ready")?,
        in_flight: number("current-jobs-reserved")?,
        delayed: number("current-jobs-delayed")?,
        dead: number("current-jobs-buried")?,
        consumers: number("current-watching")?,
        paused: number("pause-time-left")?.map(|left| left > 0),
        enqueued: Counter::single(number("total-jobs")?),
        success: Counter::single(number("cmd-delete")?),
        ..Statistics::default()
    })
}

/// The statistics of a deleted tube.
fn empty(generation: u64) -> Statistics {
    let none = Some(0);
    Statistics {
        generation,
        ready: none,
        in_flight: none,
        delayed: none,
        dead: none,
        consumers: none,
        ..Statistics::default()
    }
}

/// Parses the bytes of a connection.
#[cfg(fuzzing)]
#[expect(clippy::unwrap_used, reason = "the fuzzer fails by panicking")]
pub(crate) fn fuzz(data: &[u8]) -> Vec<Result<ListedQueue>> {
    let commands = ["stats", "list-tubes", "stats-tube a", "stats-tube b"].map(str::to_owned);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut connection = BufReader::new(tokio::io::join(data, tokio::io::sink()));
    let replies = runtime.block_on(exchange(&mut connection, &commands)).unwrap_or_default();
    let replies: Vec<String> = replies.into_iter().flatten().collect();
    let mut tubes = Tubes::default();
    let mut listed = Vec::new();
    for reply in &replies {
        let _ = health(reply);
        tubes.update(value(reply, "id").unwrap_or_default(), &names(reply), Instant::now());
        for (name, statistics) in [("", totals(reply, tubes.generations)), ("a", statistics(reply))] {
            listed.push(Ok(ListedQueue { queue: QueueId::named(name), statistics: Some(statistics) }));
        }
    }
    listed
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use reqwest::Url;

    use super::*;
    use crate::read_error::reason;

    /// A reply of beanstalkd 1.12.
    const STATS: &str = include_str!("../../tests/beanstalkd/stats-tube-1.12.yaml");

    #[test]
    fn the_statistics_of_a_tube_are_read() {
        let read = statistics(STATS).unwrap();
        let states = [read.ready, read.in_flight, read.delayed, read.dead];
        assert_eq!(states, [Some(4), Some(1), Some(1), Some(2)]);
        assert_eq!((read.enqueued.value(), read.success.value()), (Some(10), Some(2)));
        assert_eq!((read.consumers, read.paused), (Some(1), Some(true)));
        assert_eq!(totals("---\ncmd-bury: 3\n", 1).unwrap().dead_lettered.value(), Some(3));
        assert!(statistics("").is_err() && statistics("---\ncurrent-jobs-ready: many\n").is_err());
    }

    #[test]
    fn a_draining_server_and_its_workers_are_reported() {
        let health = health("---\ndraining: true\ncurrent-connections: 4\ncurrent-workers: 2\n").unwrap();
        let samples: Vec<_> = health.samples().iter().map(|it| (it.labels[0].as_str(), it.value)).collect();
        assert_eq!(samples, [("draining", 1.0), ("", 3.0), ("alive", 2.0)]);
        assert!(super::health("---\n").unwrap().samples().is_empty());
    }

    #[test]
    fn a_tube_with_a_decreased_counter_was_recreated() {
        let counted = |enqueued, deleted| Statistics {
            enqueued: Counter::single(Some(enqueued)),
            success: Counter::single(Some(deleted)),
            ..Statistics::default()
        };
        let mut tube = Tube::default();
        let generations = [(7, 5), (9, 5), (3, 3), (3, 3), (9, 2)]
            .map(|(enqueued, deleted)| tube.update_counters(&counted(enqueued, deleted)));
        assert_eq!(generations, [0, 0, 1, 1, 2]);
        assert_eq!(tube.update_counters(&Statistics::default()), 2, "an unknown counter has not decreased");
    }

    #[tokio::test]
    async fn a_restart_between_the_list_and_the_tubes_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("beanstalk://{}", listener.local_addr().unwrap())).unwrap();
        // each connection is a new start of the server, which replies once
        tokio::spawn(async move {
            for id in ["a", "b", "b"] {
                let (mut stream, mut request) = (listener.accept().await.unwrap().0, [0; 1024]);
                let length = stream.read(&mut request).await.unwrap();
                for command in String::from_utf8_lossy(&request[..length]).lines() {
                    let text = match command {
                        "stats" => format!("---\nid: {id}\n"),
                        "list-tubes" => "---\n- mail\n".to_owned(),
                        _ => STATS.to_owned(),
                    };
                    stream.write_all(format!("OK {}\r\n{text}\r\n", text.len()).as_bytes()).await.unwrap();
                }
            }
        });
        let timeout = Duration::from_secs(60);
        let settings = ConnectionSettings {
            url,
            username: None,
            password_file: None,
            tls: Default::default(),
            query_file: None,
            timeout,
        };
        let system = Beanstalkd::new(settings).unwrap();
        assert_eq!(system.list().count().await, 2);
        let mail = [QueueId::named("mail")];
        assert_eq!(reason(&system.read(&mail).await.unwrap_err()), Reason::Partial, "the counters come from server b");
        assert_eq!(system.list().count().await, 2);
    }

    #[test]
    fn a_deleted_tube_is_exported_for_an_hour() {
        let (mut tubes, start) = (Tubes::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(tubes.update("a", &["default", "mail"], start), ["default", "mail"]);
        assert_eq!(tubes.update("a", &["default"], after(60)), ["default", "mail"]);
        assert_eq!(tubes.update("a", &["default", "mail"], after(120)), ["default", "mail"]);
        assert_eq!(
            (tubes.seen["default"].generation, tubes.seen["mail"].generation),
            (0, 1),
            "its counters restarted from 0"
        );
        assert_eq!(tubes.update("a", &["default"], after(180)).len(), 2);
        assert_eq!(tubes.update("a", &["default"], after(180 + 3600)), ["default"]);
        tubes.update("b", &["default"], after(9000));
        assert_eq!(tubes.seen["default"].generation, 1, "another server");
    }
}
