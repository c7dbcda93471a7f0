//! `beanstalkd`: its tubes, by its own protocol of lines.

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
}

/// The tubes seen. A tube that is empty and that nobody uses is no more, and is made anew for the next
/// job: to a consumer that waits for work it was there all the time, with nothing in it.
#[derive(Default)]
struct Tubes {
    /// The id of the server, another one for each of its generations, and how many those were.
    server: String,
    generations: u64,
    seen: HashMap<String, Tube>,
}

#[derive(Clone, Copy, Default)]
struct Tube {
    /// How often it was made anew, as far as was seen: each time its counters begin at 0.
    generation: u64,
    /// What it had counted when it was last read.
    counted: [Counter; 2],
    /// When it was no more.
    gone: Option<Instant>,
}

/// How long a tube that is no more is shown as empty, and how many are.
const REMEMBERED: Duration = Duration::from_secs(3600);
const TUBES: usize = 10_000;

/// What the replies to some commands may weigh: the list of 10,000 tubes weighs less than 3 MB.
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
                | "messages_dead_lettered_total",
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
            let replies = self.ask(&["stats".to_owned(), "list-tubes".to_owned()]).await?;
            let [Some(stats), Some(tubes)] = &replies[..] else { bail!("no list of tubes") };
            let server = value(stats, "id").context("stats without an id")?;
            let tubes = names(tubes);
            let mut known = self.tubes();
            let names = known.see(server, &tubes, Instant::now());
            let listed = names.into_iter().map(|name| ListedQueue { queue: QueueId::named(name), statistics: None });
            let all = ListedQueue { queue: QueueId::default(), statistics: Some(all(stats, known.generations)) };
            Ok(listed.chain([all]).map(Ok))
        })
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let tubes = queues.iter().map(|queue| format!("stats-tube {}", queue.name));
        let commands: Vec<_> = ["stats".to_owned()].into_iter().chain(tubes).collect();
        let mut replies = self.ask(&commands).await?.into_iter();
        let stats = replies.next().flatten();
        let mut tubes = self.tubes();
        // what a new one has counted would be added now, and again when its list tells that it is new
        if stats.as_deref().and_then(|stats| value(stats, "id")) != Some(&tubes.server) {
            return Err(read_error(Reason::Partial, "the server was restarted while it was read"));
        }
        let listed = queues.iter().zip(replies).map(|(queue, reply)| {
            let tube = tubes.seen.entry(queue.name.clone()).or_default();
            let statistics = match reply {
                Some(stats) => statistics(&stats).map(|mut read| {
                    read.generation = tube.count(&read);
                    // every connection watches the tube of this name, and so does ours
                    let ours = u64::from(queue.name == "default");
                    read.consumers = read.consumers.map(|consumers| consumers.saturating_sub(ours));
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
        tls.config(false)?; // says that there is no TLS, where some was meant
        let anybody = username.is_none() && password_file.is_none() && url.username().is_empty();
        ensure!(anybody, "beanstalkd knows no users: leave out --queue.username and --queue.password-file");
        let (host, port) = (url_host(&url)?, url.port().unwrap_or(11300));
        Ok(Self { host, port, connection: Mutex::default(), tubes: Mutex::default() })
    }

    fn tubes(&self) -> MutexGuard<'_, Tubes> {
        self.tubes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Option<BufReader<TcpStream>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replies to some commands, all sent at once; `None` for what is not found. They only read, so
    /// they are sent again when a connection has ended since it was last used.
    async fn ask(&self, commands: &[String]) -> Result<Vec<Option<String>>> {
        let kept = self.kept().take(); // kept again when it has answered: one that is half dead is not
        if let Some(mut connection) = kept
            && let Ok(replies) = exchange(&mut connection, commands).await
        {
            self.kept().replace(connection);
            return Ok(replies);
        }
        let place = format!("beanstalkd at {}:{}", self.host, self.port);
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream =
            stream.map_err(|error| read_error(Reason::Connect, format!("cannot connect to {place}: {error}")))?;
        let mut connection = BufReader::new(stream);
        let replies = exchange(&mut connection, commands).await.context(place)?;
        self.kept().replace(connection);
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
    let mut room = REPLIES_LIMIT;
    for _ in commands {
        let mut line = String::new();
        // no line of it is long; what is has no end
        connection.take(1024).read_line(&mut line).await.map_err(broken)?;
        if line.is_empty() {
            return Err(read_error(Reason::Connect, "it ended the connection"));
        }
        let line = line.trim_end();
        replies.push(match line.strip_prefix("OK ") {
            Some(length) => {
                let length: usize =
                    length.parse().map_err(|_| read_error(Reason::Protocol, format!("answered {line:?}")))?;
                let too_long = || read_error(Reason::Protocol, "answered more than 16 MB: not read");
                room = room.checked_sub(length).ok_or_else(too_long)?;
                let mut data = vec![0; length + 2]; // and the end of its line
                connection.read_exact(&mut data).await.map_err(broken)?;
                data.truncate(length);
                Some(String::from_utf8(data).context("an answer that is not UTF-8")?)
            }
            None if line == "NOT_FOUND" => None,
            None => return Err(read_error(Reason::Protocol, format!("answered {line:?}"))),
        });
    }
    Ok(replies)
}

impl Tubes {
    /// Notes which tubes are there, and gives those to show: them, and those that were there lately.
    fn see(&mut self, server: &str, tubes: &[&str], now: Instant) -> Vec<String> {
        let restarted = self.server != server;
        self.generations += u64::from(restarted);
        server.clone_into(&mut self.server);
        self.seen.values_mut().for_each(|tube| {
            tube.gone = tube.gone.or(Some(now));
            tube.generation += u64::from(restarted);
        });
        for name in tubes {
            let tube = self.seen.entry((*name).to_owned()).or_default();
            // gone for longer than this read: made anew
            tube.generation += u64::from(tube.gone.is_some_and(|gone| gone < now) && !restarted);
            tube.gone = None;
        }
        let lately = |gone: Option<Instant>| gone.is_none_or(|gone| now.duration_since(gone) < REMEMBERED);
        self.seen.retain(|_, tube| lately(tube.gone));
        if self.seen.len() > TUBES.max(tubes.len()) {
            self.seen.retain(|_, tube| tube.gone.is_none());
        }
        let mut names: Vec<_> = self.seen.keys().cloned().collect();
        names.sort_unstable();
        names
    }
}

impl Tube {
    /// Notes what it has counted, and gives its generation: that of another tube when something has fallen, for one of the
    /// same name may have been made anew between two lists.
    fn count(&mut self, read: &Statistics) -> u64 {
        let now = [read.enqueued, read.success];
        let fell =
            |(last, now): (&Counter, Counter)| last.value().zip(now.value()).is_some_and(|(last, now)| now < last);
        let fallen = self.counted.iter().zip(now).any(fell);
        self.generation += u64::from(fallen);
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
    let number = value(stats, key).map(|value| value.parse().map_err(|_| anyhow!("{key}: {value:?} is no count")));
    number.transpose()
}

/// What is counted for all tubes together.
fn all(stats: &str, generation: u64) -> Result<Statistics> {
    let buried = Counter::single(number(stats, "cmd-bury")?);
    Ok(Statistics { generation, dead_lettered: buried, ..Statistics::default() })
}

fn statistics(stats: &str) -> Result<Statistics> {
    let number = |key| number(stats, key);
    ensure!(stats.starts_with("---"), "an answer that has no statistics");
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

/// What is true of a tube that is no more.
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

/// What comes over the wire.
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
        tubes.see(value(reply, "id").unwrap_or_default(), &names(reply), Instant::now());
        for (name, statistics) in [("", all(reply, tubes.generations)), ("a", statistics(reply))] {
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

    /// What beanstalkd 1.12 answers.
    const STATS: &str = include_str!("../../tests/beanstalkd/stats-tube-1.12.yaml");

    #[test]
    fn the_statistics_of_a_tube_are_read() {
        let read = statistics(STATS).unwrap();
        let states = [read.ready, read.in_flight, read.delayed, read.dead];
        assert_eq!(states, [Some(4), Some(1), Some(1), Some(2)]);
        assert_eq!((read.enqueued.value(), read.success.value()), (Some(10), Some(2)));
        assert_eq!((read.consumers, read.paused), (Some(1), Some(true)));
        assert_eq!(all("---\ncmd-bury: 3\n", 1).unwrap().dead_lettered.value(), Some(3));
        assert!(statistics("").is_err() && statistics("---\ncurrent-jobs-ready: many\n").is_err());
    }

    #[test]
    fn a_tube_that_has_counted_less_than_before_was_made_anew() {
        let counted = |enqueued, deleted| Statistics {
            enqueued: Counter::single(Some(enqueued)),
            success: Counter::single(Some(deleted)),
            ..Statistics::default()
        };
        let mut tube = Tube::default();
        let generations =
            [(7, 5), (9, 5), (3, 3), (3, 3), (9, 2)].map(|(enqueued, deleted)| tube.count(&counted(enqueued, deleted)));
        assert_eq!(generations, [0, 0, 1, 1, 2]);
        assert_eq!(tube.count(&Statistics::default()), 2, "what is not told has not fallen");
    }

    #[tokio::test]
    async fn a_server_that_is_restarted_between_its_list_and_its_tubes_is_not_read() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("beanstalk://{}", listener.local_addr().unwrap())).unwrap();
        // each connection is one generation, which answers once
        tokio::spawn(async move {
            for id in ["a", "b", "b"] {
                let (mut stream, mut asked) = (listener.accept().await.unwrap().0, [0; 1024]);
                let length = stream.read(&mut asked).await.unwrap();
                for command in String::from_utf8_lossy(&asked[..length]).lines() {
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
        let settings =
            ConnectionSettings { url, username: None, password_file: None, tls: Default::default(), timeout };
        let system = Beanstalkd::new(settings).unwrap();
        assert_eq!(system.list().count().await, 2);
        let mail = [QueueId::named("mail")];
        assert_eq!(reason(&system.read(&mail).await.unwrap_err()), Reason::Partial, "its counters are those of b");
        assert_eq!(system.list().count().await, 2);
    }

    #[test]
    fn a_tube_that_is_no_more_is_remembered_for_a_while() {
        let (mut tubes, start) = (Tubes::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(tubes.see("a", &["default", "mail"], start), ["default", "mail"]);
        assert_eq!(tubes.see("a", &["default"], after(60)), ["default", "mail"]);
        assert_eq!(tubes.see("a", &["default", "mail"], after(120)), ["default", "mail"]);
        assert_eq!(
            (tubes.seen["default"].generation, tubes.seen["mail"].generation),
            (0, 1),
            "its counters have begun anew"
        );
        assert_eq!(tubes.see("a", &["default"], after(180)).len(), 2);
        assert_eq!(tubes.see("a", &["default"], after(180 + 3600)), ["default"]);
        tubes.see("b", &["default"], after(9000));
        assert_eq!(tubes.seen["default"].generation, 1, "another server");
    }
}
