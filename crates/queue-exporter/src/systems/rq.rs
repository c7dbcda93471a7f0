//! `rq`: queues of RQ in Redis. Finished jobs are counted by its workers, whose counters expire.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use exporter_common::async_trait;
use futures_util::stream::BoxStream;

use super::listing::list_from;
use super::prefix_hint::PrefixHint;
use crate::broker::{BrokerHealth, WORKERS};
use crate::connection::Credentials;
use crate::queue_system::{Batch, Counter, ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};
use crate::redis::{
    Commands, HEALTH, KeyScanner, RedisClient, Replies, SCHEMES, Value, count, escape_glob, list, names, text,
};
use crate::timestamp::{now, parse_utc, seconds_since};

pub(super) const KIND: SystemKind = SystemKind {
    name: "rq",
    schemes: SCHEMES,
    connect: |settings| {
        let redis = RedisClient::single(settings)?;
        let prefix = redis.prefixes().first().map_or("rq", |prefix| prefix.trim_end_matches(':')).to_owned();
        // the set of workers lacks stopped workers, whose counters remain for a minute
        let workers = KeyScanner::new(format!("{}:worker:*", escape_glob(&prefix)), "hash");
        let hint = PrefixHint::new("*:queues", "set", ":queues");
        Ok(Box::new(Rq { redis, prefix, workers, hint, counts: Mutex::default() }))
    },
};

struct Rq {
    redis: RedisClient,
    /// `RQ_KEY_PREFIX`, by default `rq`.
    prefix: String,
    workers: KeyScanner,
    hint: PrefixHint,
    counts: Mutex<WorkerCounts>,
}

/// The counters of all workers, stopped ones included.
#[derive(Default)]
struct WorkerCounts {
    workers: HashMap<String, Worker>,
    /// Successes and failures by queue. Workers that serve several queues have an empty name.
    queues: HashMap<String, [u64; 2]>,
    /// Running workers by queue.
    consumers: HashMap<String, u64>,
    suspended: Option<bool>,
    /// Running workers, and expired ones that RQ still lists.
    alive: u64,
    lost: u64,
}

struct Worker {
    birth: String,
    queues: String,
    jobs: [u64; 2],
    /// Whether the last read found it.
    exists: bool,
}

/// The largest number of remembered workers, and of remembered queues.
const MAX_REMEMBERED: usize = 10_000;

#[async_trait]
impl QueueSystem for Rq {
    fn credentials(&self) -> Option<&Credentials> {
        self.redis.credentials()
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready" | "in_flight" | "delayed" | "dead" | "blocked" | "completed" | "canceled")
            | ("queue_depth" | "queue_paused", _) => Origin::Native,
            ("queue_oldest_message_age_seconds" | "queue_consumers" | "messages_processed_total", _) => Origin::Derived,
            ("queue_workers", _) => Origin::Derived,
            _ if HEALTH.contains(&metric) => Origin::Native,
            _ => Origin::Unavailable,
        }
    }

    fn batch(&self) -> Batch {
        Batch { size: 250, concurrency: 1 }
    }

    async fn broker(&self) -> Result<BrokerHealth> {
        let mut health = self.redis.health().await?;
        let alive = self.counts().alive;
        let lost = self.counts().lost;
        health.add_count(&WORKERS, &["alive"], Some(alive));
        health.add_count(&WORKERS, &["lost"], Some(lost));
        Ok(health)
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        list_from(async {
            let keys = names(&self.redis.query_one(&["SMEMBERS", &self.key("queues")]).await?)?;
            self.hint.check(&self.redis, keys.is_empty()).await;
            let before = self.key("queue:");
            let queues: Vec<String> =
                keys.iter().map(|key| key.strip_prefix(&before).unwrap_or(key).to_owned()).collect();
            self.read_workers().await?;
            self.counts().forget_others(&queues);
            let rate_limited = self.rate_limited().await?;
            let listed = |queue: String| ListedQueue { queue: QueueId::named(queue), statistics: None };
            let totals = {
                let jobs = self.counts().of("");
                let (success, failure) = jobs.unwrap_or_default();
                let statistics = Statistics { blocked: rate_limited, success, failure, ..Statistics::default() };
                let has_some = jobs.is_some() || rate_limited.is_some();
                has_some.then(|| ListedQueue { queue: QueueId::default(), statistics: Some(Ok(statistics)) })
            };
            Ok(queues.into_iter().map(listed).chain(totals).map(Ok))
        })
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let mut commands = Commands::with_capacity(queues.len() * COMMANDS.len());
        for QueueId { name, .. } in queues {
            for (command, before, after) in COMMANDS {
                commands.add(&[*command, &format!("{}{name}{after}", self.key(before))]);
            }
        }
        for QueueId { name, .. } in queues {
            commands.add(&["LINDEX", &self.key(&format!("queue:{name}")), "0"]);
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let mut listed: Vec<_> = queues
            .iter()
            .map(|queue| ListedQueue { queue: queue.clone(), statistics: Some(statistics(&replies.next())) })
            .collect();
        let jobs: Vec<Value> = queues.iter().map(|_| replies.next::<1>()[0].clone()).collect();
        let enqueued = self.enqueued_at(&jobs).await?;
        let (now, counts) = (now(), self.counts());
        for (ListedQueue { queue, statistics }, enqueued) in listed.iter_mut().zip(enqueued) {
            let Some(Ok(statistics)) = statistics else { continue };
            statistics.oldest_age = enqueued.and_then(|enqueued| seconds_since(enqueued, now));
            statistics.paused = counts.suspended;
            statistics.consumers = Some(counts.consumers.get(&queue.name).copied().unwrap_or(0));
            if let Some((success, failure)) = counts.of(&queue.name) {
                (statistics.success, statistics.failure) = (success, failure);
            }
        }
        Ok(listed)
    }
}

/// The commands for each queue: the command, and the parts of the key before and after the name.
const COMMANDS: &[(&str, &str, &str); 8] = &[
    ("LLEN", "queue:", ""),
    ("ZCARD", "wip:", ""),
    ("LLEN", "queue:", ":intermediate"),
    ("ZCARD", "scheduled:", ""),
    ("ZCARD", "deferred:", ""),
    ("ZCARD", "failed:", ""),
    ("ZCARD", "finished:", ""),
    ("ZCARD", "canceled:", ""),
];

fn statistics(replies: &[Value; COMMANDS.len()]) -> Result<Statistics> {
    let [ready, started, intermediate, delayed, blocked, dead, completed, canceled] = replies;
    Ok(Statistics {
        ready: count(ready)?,
        // a job taken from the queue and not yet started is on its way to a worker
        in_flight: count(started)?.zip(count(intermediate)?).map(|(started, taken)| started.saturating_add(taken)),
        delayed: count(delayed)?,
        blocked: count(blocked)?,
        dead: count(dead)?,
        completed: count(completed)?,
        canceled: count(canceled)?,
        ..Statistics::default()
    })
}

impl Rq {
    fn key(&self, part: &str) -> String {
        format!("{}:{part}", self.prefix)
    }

    fn counts(&self) -> MutexGuard<'_, WorkerCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of jobs that a rate limit holds back, in all queues together; `None` without rate limits.
    async fn rate_limited(&self) -> Result<Option<u64>> {
        let limits = names(&self.redis.query_one(&["SMEMBERS", &self.key("rl-keys")]).await?)?;
        let mut commands = Commands::with_capacity(limits.len());
        for limit in &limits {
            commands.add(&["ZCARD", &self.key(&format!("rl:{limit}:rate_limited"))]);
        }
        let counts = self.redis.query(&commands).await?;
        let counts = counts.iter().map(count).collect::<Result<Vec<_>>>()?;
        Ok(counts.into_iter().flatten().reduce(u64::saturating_add))
    }

    async fn read_workers(&self) -> Result<()> {
        let mut workers = self.workers.find(&self.redis).await?;
        let registered = names(&self.redis.query_one(&["SMEMBERS", &self.key("workers")]).await?)?;
        let registered: HashSet<String> = registered.into_iter().collect();
        workers.extend(registered.iter().cloned());
        let mut commands = Commands::with_capacity(workers.len() + 1);
        commands.add(&["EXISTS", &self.key("suspended")]);
        for worker in &workers {
            let fields = ["birth", "queues", "successful_job_count", "failed_job_count", "death", "last_heartbeat"];
            commands.add(&[&["HMGET", worker.as_str()], &fields[..]].concat());
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let [suspended] = replies.next();
        let mut counts = self.counts();
        counts.suspended = count(&suspended)?.map(|suspended| suspended > 0);
        counts.workers.values_mut().for_each(|worker| worker.exists = false);
        counts.consumers.clear();
        (counts.alive, counts.lost) = (0, 0);
        for name in workers {
            let [reply] = replies.next();
            let fields = list(&reply)?;
            if fields.iter().all(|field| *field == Value::Nil) {
                self.workers.forget(&name); // expired; a killed worker remains registered
                counts.lost += u64::from(registered.contains(&name));
                continue;
            }
            let [birth, queues] = [0, 1].map(|at| fields.get(at).and_then(|field| text(field).ok().flatten()));
            // after Redis has lost all data, a running worker writes nothing but its counters
            let queues = queues.map(str::to_owned).or_else(|| counts.workers.get(&name).map(|it| it.queues.clone()));
            let queues = queues.unwrap_or_default();
            if fields.get(4).is_none_or(|death| *death == Value::Nil) {
                counts.alive += 1;
                for queue in queues.split(',') {
                    *counts.consumers.entry(queue.to_owned()).or_default() += 1;
                }
            }
            // a worker without a failure has no counter of failures
            let [success, failure] = [2, 3].map(|at| fields.get(at).map_or(Ok(None), count));
            let jobs = [success?.unwrap_or(0), failure?.unwrap_or(0)];
            counts.update(name, birth.unwrap_or_default(), &queues, jobs);
        }
        if counts.workers.len() > MAX_REMEMBERED {
            counts.workers.retain(|_, worker| worker.exists);
        }
        Ok(())
    }

    /// The times at which jobs were enqueued; `None` if unknown.
    async fn enqueued_at(&self, jobs: &[Value]) -> Result<Vec<Option<f64>>> {
        let jobs: Vec<_> = jobs.iter().map(|job| text(job).ok().flatten()).collect();
        let mut commands = Commands::default();
        for job in jobs.iter().flatten() {
            commands.add(&["HGET", &self.key(&format!("job:{job}")), "enqueued_at"]);
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let enqueued = jobs.into_iter().map(|job| {
            let [reply] = job.map(|_| replies.next())?;
            parse_utc(text(&reply).ok()??)
        });
        Ok(enqueued.collect())
    }
}

impl WorkerCounts {
    /// Adds the increase of a worker's counters since the last read. A new worker has counted from 0.
    fn update(&mut self, name: String, birth: &str, queues: &str, jobs: [u64; 2]) {
        let last = self.workers.get(&name).filter(|worker| worker.birth == birth);
        let before = last.map_or([0, 0], |worker| worker.jobs);
        let queue = if queues.contains(',') { "" } else { queues };
        let sums = self.queues.entry(queue.to_owned()).or_default();
        for ((sum, now), before) in sums.iter_mut().zip(jobs).zip(before) {
            *sum = sum.saturating_add(now.saturating_sub(before));
        }
        self.workers.insert(name, Worker { birth: birth.to_owned(), queues: queues.to_owned(), jobs, exists: true });
    }

    /// Forgets deleted queues if there are too many.
    fn forget_others(&mut self, existing: &[String]) {
        if self.queues.len() > MAX_REMEMBERED {
            let existing: HashSet<_> = existing.iter().map(String::as_str).collect();
            self.queues.retain(|queue, _| queue.is_empty() || existing.contains(queue.as_str()));
        }
    }

    /// Successes and failures of a queue with its own workers.
    fn of(&self, queue: &str) -> Option<(Counter, Counter)> {
        let [success, failure] = self.queues.get(queue)?.map(|jobs| Counter::single(Some(jobs)));
        Some((success, failure))
    }
}

/// Parses one reply as each reply that the system reads.
#[cfg(fuzzing)]
pub(crate) fn fuzz(reply: &Value) {
    let _ = statistics(&std::array::from_fn(|_| reply.clone()));
    let _ = text(reply).map(|time| time.map(parse_utc));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_stopped_workers_are_kept() {
        let mut counts = WorkerCounts::default();
        let mut update = |name: &str, birth, queues, jobs| counts.update(name.to_owned(), birth, queues, jobs);
        update("a", "monday", "mail", [5, 1]);
        update("b", "monday", "mail", [2, 0]);
        update("a", "monday", "mail", [7, 1]);
        update("a", "tuesday", "mail", [1, 1]);
        update("c", "monday", "mail,orders", [10, 10]);
        let of = |queue| counts.of(queue).map(|(success, failure)| (success.value(), failure.value()));
        assert_eq!(of("mail"), Some((Some(10), Some(2))));
        assert_eq!(of(""), Some((Some(10), Some(10))), "their queue is unknown");
        assert_eq!(of("orders"), None);
    }

    #[test]
    fn the_number_of_remembered_deleted_queues_is_limited() {
        let mut counts = WorkerCounts::default();
        for n in 0..=MAX_REMEMBERED {
            assert_eq!(counts.queues.len(), n);
            counts.update("w".to_owned(), "monday", &format!("job-{n}"), [n as u64, 0]);
            if n < MAX_REMEMBERED {
                counts.forget_others(&[]);
            }
        }
        counts.forget_others(&["job-7".to_owned()]);
        assert_eq!((counts.queues.len(), counts.of("job-7").is_some()), (1, true));
    }
}
