//! `rq`: queues of RQ in RedisClient; what has ended is counted by its workers, which come and go.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use exporter_common::async_trait;
use futures_util::stream::BoxStream;
use redis::{Pipeline, Value};

use super::listing::list_from;
use crate::connection::Credentials;
use crate::queue_system::{Batch, Counter, ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};
use crate::redis::{KeyScanner, RedisClient, Replies, SCHEMES, add_command, count, names, text};
use crate::timestamp::{now, parse_utc, seconds_since};

pub(super) const KIND: SystemKind = SystemKind {
    name: "rq",
    schemes: SCHEMES,
    connect: |settings| {
        // not only those of the set rq:workers: a worker that has ended is in it no more, and its counters stay for
        // a minute
        let workers = KeyScanner::new("rq:worker:*".to_owned(), "hash");
        Ok(Box::new(Rq { redis: RedisClient::single(settings)?, workers, counted: Mutex::default() }))
    },
};

struct Rq {
    redis: RedisClient,
    workers: KeyScanner,
    counted: Mutex<Counted>,
}

/// What workers have counted, those that are gone included.
#[derive(Default)]
struct Counted {
    workers: HashMap<String, Worker>,
    /// Successes and failures by queue. Those of workers that serve several queues have no name.
    queues: HashMap<String, [u64; 2]>,
    /// Living workers by queue.
    consumers: HashMap<String, u64>,
    suspended: Option<bool>,
}

struct Worker {
    birth: String,
    queues: String,
    jobs: [u64; 2],
    /// Whether it was there when workers were last read.
    here: bool,
}

const QUEUE: &str = "rq:queue:";

/// How many workers and how many queues are remembered, those that are gone included.
const REMEMBERED: usize = 10_000;

#[async_trait]
impl QueueSystem for Rq {
    fn credentials(&self) -> Option<&Credentials> {
        self.redis.credentials()
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready" | "in_flight" | "delayed" | "dead" | "blocked" | "completed")
            | ("queue_depth" | "queue_paused", _) => Origin::Native,
            ("queue_oldest_message_age_seconds" | "queue_consumers" | "messages_processed_total", _) => Origin::Derived,
            _ => Origin::Unavailable,
        }
    }

    fn batch(&self) -> Batch {
        Batch { size: 250, concurrency: 1 }
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        list_from(async {
            let queues = names(&self.redis.query_one(&["SMEMBERS", "rq:queues"]).await?)?;
            self.read_workers().await?;
            self.counted().forget_others(&queues);
            let listed = |queue: String| ListedQueue {
                queue: QueueId::named(queue.strip_prefix(QUEUE).unwrap_or(&queue)),
                statistics: None,
            };
            let unnamed = self.counted().of("").map(|(success, failure)| ListedQueue {
                queue: QueueId::default(),
                statistics: Some(Ok(Statistics { success, failure, ..Statistics::default() })),
            });
            Ok(queues.into_iter().map(listed).chain(unnamed).map(Ok))
        })
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let mut commands = Pipeline::with_capacity(queues.len() * COMMANDS.len());
        for QueueId { name, .. } in queues {
            for (command, before, after) in COMMANDS {
                add_command(&mut commands, &[*command, &format!("{before}{name}{after}")]);
            }
        }
        for QueueId { name, .. } in queues {
            add_command(&mut commands, &["LINDEX", &format!("{QUEUE}{name}"), "0"]);
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let mut listed: Vec<_> = queues
            .iter()
            .map(|queue| ListedQueue { queue: queue.clone(), statistics: Some(statistics(&replies.next())) })
            .collect();
        let jobs: Vec<Value> = queues.iter().map(|_| replies.next::<1>()[0].clone()).collect();
        let enqueued = self.enqueued(&jobs).await?;
        let (now, counted) = (now(), self.counted());
        for (ListedQueue { queue, statistics }, enqueued) in listed.iter_mut().zip(enqueued) {
            let Some(Ok(statistics)) = statistics else { continue };
            statistics.oldest_age = enqueued.and_then(|enqueued| seconds_since(enqueued, now));
            statistics.paused = counted.suspended;
            statistics.consumers = Some(counted.consumers.get(&queue.name).copied().unwrap_or(0));
            if let Some((success, failure)) = counted.of(&queue.name) {
                (statistics.success, statistics.failure) = (success, failure);
            }
        }
        Ok(listed)
    }
}

/// What is asked of each queue: a command, and what stands before and after the name in a key.
const COMMANDS: &[(&str, &str, &str); 7] = &[
    ("LLEN", QUEUE, ""),
    ("ZCARD", "rq:wip:", ""),
    ("LLEN", QUEUE, ":intermediate"),
    ("ZCARD", "rq:scheduled:", ""),
    ("ZCARD", "rq:deferred:", ""),
    ("ZCARD", "rq:failed:", ""),
    ("ZCARD", "rq:finished:", ""),
];

fn statistics(replies: &[Value; COMMANDS.len()]) -> Result<Statistics> {
    let [ready, begun, taken, delayed, blocked, dead, completed] = replies;
    Ok(Statistics {
        ready: count(ready)?,
        // taken from the queue and not yet begun is on its way to a worker too
        in_flight: count(begun)?.zip(count(taken)?).map(|(begun, taken)| begun.saturating_add(taken)),
        delayed: count(delayed)?,
        blocked: count(blocked)?,
        dead: count(dead)?,
        completed: count(completed)?,
        ..Statistics::default()
    })
}

impl Rq {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_workers(&self) -> Result<()> {
        let mut workers = self.workers.find(&self.redis).await?;
        workers.extend(names(&self.redis.query_one(&["SMEMBERS", "rq:workers"]).await?)?);
        let mut commands = Pipeline::with_capacity(workers.len() + 1);
        add_command(&mut commands, &["EXISTS", "rq:suspended"]);
        for worker in &workers {
            let fields = ["birth", "queues", "successful_job_count", "failed_job_count", "death", "last_heartbeat"];
            add_command(&mut commands, &[&["HMGET", worker.as_str()], &fields[..]].concat());
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let [suspended] = replies.next();
        let mut counted = self.counted();
        counted.suspended = count(&suspended)?.map(|suspended| suspended > 0);
        counted.workers.values_mut().for_each(|worker| worker.here = false);
        counted.consumers.clear();
        for name in workers {
            let [reply] = replies.next();
            let fields = crate::redis::list(&reply)?;
            if fields.iter().all(|field| *field == Value::Nil) {
                self.workers.forget(&name); // expired: one that was killed stays in the sets, and tells nothing any more
                continue;
            }
            let [birth, queues] = [0, 1].map(|at| fields.get(at).and_then(|field| text(field).ok().flatten()));
            // where Redis has lost everything a worker goes on, and says no more of itself than what it counts from then on
            let queues = queues.map(str::to_owned).or_else(|| counted.workers.get(&name).map(|it| it.queues.clone()));
            let queues = queues.unwrap_or_default();
            if fields.get(4).is_none_or(|death| *death == Value::Nil) {
                for queue in queues.split(',') {
                    *counted.consumers.entry(queue.to_owned()).or_default() += 1;
                }
            }
            // what has never failed has no count of failures
            let [success, failure] = [2, 3].map(|at| fields.get(at).map_or(Ok(None), count));
            let jobs = [success?.unwrap_or(0), failure?.unwrap_or(0)];
            counted.see(name, birth.unwrap_or_default(), &queues, jobs);
        }
        if counted.workers.len() > REMEMBERED {
            counted.workers.retain(|_, worker| worker.here);
        }
        Ok(())
    }

    /// When jobs were enqueued, where that is known.
    async fn enqueued(&self, jobs: &[Value]) -> Result<Vec<Option<f64>>> {
        let jobs: Vec<_> = jobs.iter().map(|job| text(job).ok().flatten()).collect();
        let mut commands = Pipeline::new();
        for job in jobs.iter().flatten() {
            add_command(&mut commands, &["HGET", &format!("rq:job:{job}"), "enqueued_at"]);
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let enqueued = jobs.into_iter().map(|job| {
            let [reply] = job.map(|_| replies.next())?;
            parse_utc(text(&reply).ok()??)
        });
        Ok(enqueued.collect())
    }
}

impl Counted {
    /// Adds what a worker has counted since it was last seen. A new one has counted from 0.
    fn see(&mut self, name: String, birth: &str, queues: &str, jobs: [u64; 2]) {
        let last = self.workers.get(&name).filter(|worker| worker.birth == birth);
        let before = last.map_or([0, 0], |worker| worker.jobs);
        let queue = if queues.contains(',') { "" } else { queues };
        let sums = self.queues.entry(queue.to_owned()).or_default();
        for ((sum, now), before) in sums.iter_mut().zip(jobs).zip(before) {
            *sum = sum.saturating_add(now.saturating_sub(before));
        }
        self.workers.insert(name, Worker { birth: birth.to_owned(), queues: queues.to_owned(), jobs, here: true });
    }

    /// Forgets queues that are not there any more, where names come and go without an end.
    fn forget_others(&mut self, there: &[String]) {
        if self.queues.len() > REMEMBERED {
            let there: HashSet<_> = there.iter().map(String::as_str).collect();
            self.queues.retain(|queue, _| queue.is_empty() || there.contains(queue.as_str()));
        }
    }

    /// Successes and failures of a queue that a worker of its own has served.
    fn of(&self, queue: &str) -> Option<(Counter, Counter)> {
        let [success, failure] = self.queues.get(queue)?.map(|jobs| Counter::single(Some(jobs)));
        Some((success, failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_come_and_go_and_what_they_counted_stays() {
        let mut counted = Counted::default();
        let mut see = |name: &str, birth, queues, jobs| counted.see(name.to_owned(), birth, queues, jobs);
        see("a", "monday", "mail", [5, 1]);
        see("b", "monday", "mail", [2, 0]);
        see("a", "monday", "mail", [7, 1]);
        see("a", "tuesday", "mail", [1, 1]);
        see("c", "monday", "mail,orders", [10, 10]);
        let of = |queue| counted.of(queue).map(|(success, failure)| (success.value(), failure.value()));
        assert_eq!(of("mail"), Some((Some(10), Some(2))));
        assert_eq!(of(""), Some((Some(10), Some(10))), "whose they are is not known");
        assert_eq!(of("orders"), None);
    }

    #[test]
    fn of_queues_that_come_and_go_without_an_end_only_those_that_are_there_are_remembered() {
        let mut counted = Counted::default();
        for n in 0..=REMEMBERED {
            assert_eq!(counted.queues.len(), n);
            counted.see("w".to_owned(), "monday", &format!("job-{n}"), [n as u64, 0]);
            if n < REMEMBERED {
                counted.forget_others(&[]);
            }
        }
        counted.forget_others(&["job-7".to_owned()]);
        assert_eq!((counted.queues.len(), counted.of("job-7").is_some()), (1, true));
    }
}
