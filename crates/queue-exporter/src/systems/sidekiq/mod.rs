//! `sidekiq`: queues and processes of Sidekiq in Redis, 6 to 8.

mod processing_times;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use exporter_common::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde::Deserialize;

use self::processing_times::ProcessingTimes;
use super::prefix_hint::PrefixHint;
use crate::broker::{BrokerHealth, WORKERS};
use crate::connection::Credentials;
use crate::queue_system::{Batch, Counter, ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};
use crate::redis::{Commands, HEALTH, RedisClient, Replies, SCHEMES, Value, count, list, names, text};
use crate::timestamp::{in_seconds, now, seconds_since};

pub(super) const KIND: SystemKind = SystemKind {
    name: "sidekiq",
    schemes: SCHEMES,
    connect: |settings| {
        let redis = RedisClient::single(settings)?;
        let prefix = redis.prefixes().first().map(|prefix| format!("{}:", prefix.trim_end_matches(':')));
        let prefix = prefix.filter(|prefix| prefix != ":").unwrap_or_default();
        let hint = PrefixHint::new("*:queues", "set", ":queues");
        let times = ProcessingTimes::new(&prefix);
        Ok(Box::new(Sidekiq { redis, prefix, hint, services: Mutex::default(), times }))
    },
};

struct Sidekiq {
    redis: RedisClient,
    /// The namespace of redis-namespace with its colon; empty by default.
    prefix: String,
    hint: PrefixHint,
    /// What processes do for queues, as of the last list.
    services: Mutex<Services>,
    times: ProcessingTimes,
}

#[derive(Default)]
struct Services {
    queues: HashMap<String, Service>,
    paused: Vec<String>,
    /// Running processes, and expired ones that Sidekiq still lists.
    alive: u64,
    lost: u64,
}

/// What all processes do for one queue.
#[derive(Clone, Copy, Default)]
struct Service {
    /// Threads that process its jobs.
    threads: u64,
    /// Running jobs, and the start of the first of them.
    jobs: u64,
    started: Option<f64>,
}

#[async_trait]
impl QueueSystem for Sidekiq {
    fn credentials(&self) -> Option<&Credentials> {
        self.redis.credentials()
    }

    /// Values of a job class in all queues have no queue name.
    fn scope_label(&self) -> &'static str {
        "job_class"
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready" | "delayed" | "retry" | "dead")
            | ("messages_processed_total", "failure")
            | ("queue_depth" | "queue_paused", _) => Origin::Native,
            ("queue_messages", "in_flight") | ("messages_processed_total", "success") => Origin::Derived,
            ("queue_consumers" | "queue_consumers_busy", _) => Origin::Derived,
            ("queue_oldest_message_age_seconds" | "queue_oldest_in_flight_age_seconds", _) => Origin::Derived,
            ("message_processing_seconds", _) => Origin::Derived,
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
        let alive = self.services().alive;
        let lost = self.services().lost;
        health.add_count(&WORKERS, &["alive"], Some(alive));
        health.add_count(&WORKERS, &["lost"], Some(lost));
        Ok(health)
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        let list = async {
            let mut commands = Commands::default();
            commands.add(&["SMEMBERS", &self.key("queues")]);
            commands.add(&["SMEMBERS", &self.key("paused")]);
            commands.add(&["SMEMBERS", &self.key("processes")]);
            // one command: with two, a job that finishes in between would be in one counter only
            let counters = [self.key("stat:processed"), self.key("stat:failed")];
            commands.add(&["MGET", &counters[0], &counters[1]]);
            for set in ["schedule", "retry", "dead"] {
                commands.add(&["ZCARD", &self.key(set)]);
            }
            let mut replies = Replies::new(self.redis.query(&commands).await?);
            let [queues, paused, processes, counted, delayed, retry, dead] = replies.next();
            let mut services = self.read_services(&names(&processes)?).await?;
            services.paused = names(&paused)?;
            *self.services() = services;
            let queues = names(&queues)?;
            self.hint.check(&self.redis, queues.is_empty()).await;
            let [processed, failed] = [0, 1].map(|at| list(&counted)?.get(at).map_or(Ok(None), count));
            let totals = Statistics {
                delayed: count(&delayed)?,
                retry: count(&retry)?,
                dead: count(&dead)?,
                ..finished_jobs(processed?, failed?)
            };
            let listed = queues.into_iter().map(|name| ListedQueue { queue: QueueId::named(name), statistics: None });
            let totals = ListedQueue { queue: QueueId::default(), statistics: Some(Ok(totals)) };
            let class = |(class, processing)| ListedQueue {
                queue: QueueId { name: String::new(), scope: class },
                statistics: Some(Ok(Statistics { processing: Some(processing), ..Statistics::default() })),
            };
            // an error of the processing times does not affect the queues
            let classes = match self.times.read(&self.redis).await {
                Ok(times) => times.into_iter().map(class).map(Ok).collect(),
                Err(error) => vec![Err(error.context("processing times of jobs"))],
            };
            anyhow::Ok(listed.chain([totals]).map(Ok).chain(classes))
        };
        stream::once(list).map_ok(stream::iter).try_flatten().boxed()
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let mut commands = Commands::with_capacity(queues.len() * 2);
        for QueueId { name, .. } in queues {
            let key = self.key(&format!("queue:{name}"));
            commands.add(&["LLEN", &key]);
            commands.add(&["LINDEX", &key, "-1"]);
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let (services, now) = (self.services(), now());
        let listed = queues.iter().map(|queue| {
            let [length, oldest] = replies.next();
            let service = services.queues.get(&queue.name).copied().unwrap_or_default();
            let statistics = count(&length).map(|ready| Statistics {
                ready,
                in_flight: Some(service.jobs),
                consumers: Some(service.threads),
                consumers_busy: Some(service.jobs),
                oldest_age: text(&oldest).ok().flatten().and_then(enqueued).and_then(|then| seconds_since(then, now)),
                oldest_in_flight_age: service.started.and_then(|started| seconds_since(started, now)),
                paused: Some(services.paused.contains(&queue.name)),
                ..Statistics::default()
            });
            ListedQueue { queue: queue.clone(), statistics: Some(statistics) }
        });
        Ok(listed.collect())
    }
}

/// The counters of all queues together. Sidekiq's number of processed jobs includes failures.
fn finished_jobs(processed: Option<u64>, failed: Option<u64>) -> Statistics {
    let success = processed.map(|processed| processed.saturating_sub(failed.unwrap_or(0)));
    Statistics { success: Counter::single(success), failure: Counter::single(failed), ..Statistics::default() }
}

/// The times of a job.
#[derive(Deserialize)]
struct Job {
    enqueued_at: Option<f64>,
    created_at: Option<f64>,
}

/// The time at which a job was enqueued, in seconds since the Unix epoch.
fn enqueued(job: &str) -> Option<f64> {
    let job: Job = serde_json::from_str(job).ok()?;
    job.enqueued_at.or(job.created_at).map(in_seconds)
}

/// A process's own description.
#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    queues: Vec<String>,
    #[serde(default)]
    concurrency: u64,
    /// Since version 7: groups of threads, each with its own queues.
    #[serde(default)]
    capsules: BTreeMap<String, Capsule>,
}

#[derive(Deserialize)]
struct Capsule {
    #[serde(default)]
    concurrency: u64,
    #[serde(default)]
    weights: BTreeMap<String, u64>,
}

/// A running job.
#[derive(Deserialize)]
struct Work {
    queue: String,
    run_at: Option<f64>,
}

impl Sidekiq {
    fn key(&self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    fn services(&self) -> MutexGuard<'_, Services> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_services(&self, processes: &[String]) -> Result<Services> {
        let mut commands = Commands::with_capacity(processes.len() * 3);
        for process in processes {
            commands.add(&["HMGET", &self.key(process), "info", "quiet"]);
            commands.add(&["HVALS", &self.key(&format!("{process}:work"))]);
            commands.add(&["HVALS", &self.key(&format!("{process}:workers"))]); // before version 6.5
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let mut services = Services::default();
        for _ in processes {
            let [process, work, before] = replies.next();
            add_process(&mut services, &process, &[work, before])?;
        }
        Ok(services)
    }
}

/// Adds the work of one process. A process that was killed has nothing left but its name.
fn add_process(services: &mut Services, process: &Value, work: &[Value]) -> Result<()> {
    let [info, quiet] = list(process)? else { return Ok(()) };
    let Some(info) = text(info)? else {
        services.lost += 1;
        return Ok(());
    };
    let info: Info = serde_json::from_str(info)?;
    services.alive += 1;
    let services = &mut services.queues;
    if text(quiet)? != Some("true") {
        let groups: Vec<(u64, Vec<String>)> = if info.capsules.is_empty() {
            vec![(info.concurrency, info.queues)]
        } else {
            let groups = info.capsules.into_values();
            groups.map(|group| (group.concurrency, group.weights.into_keys().collect())).collect()
        };
        for (threads, mut queues) in groups {
            queues.sort();
            queues.dedup(); // a queue is repeated by its weight
            for queue in queues {
                services.entry(queue).or_default().threads += threads;
            }
        }
    }
    let work = work.iter().map(list).collect::<Result<Vec<_>>>()?;
    for work in work.into_iter().flatten() {
        let work: Work = serde_json::from_str(text(work)?.unwrap_or_default())?;
        let service = services.entry(work.queue).or_default();
        service.jobs += 1;
        let started = work.run_at.map(in_seconds);
        service.started = [service.started, started].into_iter().flatten().reduce(f64::min);
    }
    Ok(())
}

/// Parses one reply as each reply that the system reads.
#[cfg(fuzzing)]
pub(crate) fn fuzz(reply: &Value) {
    let _ = add_process(&mut Services::default(), reply, std::slice::from_ref(reply));
    let _ = text(reply).map(|job| job.map(enqueued));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::String(text.to_owned().into())
    }

    #[test]
    fn times_of_every_version_are_converted_to_seconds() {
        assert_eq!(enqueued(r#"{"class":"A","enqueued_at":1700000000.25}"#), Some(1_700_000_000.25));
        assert_eq!(enqueued(r#"{"class":"A","enqueued_at":1700000000250}"#), Some(1_700_000_000.25));
        assert_eq!(enqueued(r#"{"created_at":1700000000}"#), Some(1_700_000_000.0));
        assert_eq!([enqueued("{}"), enqueued("no job")], [None, None]);
    }

    #[test]
    fn successes_are_processed_jobs_without_failures() {
        let read = finished_jobs(Some(10), Some(3));
        assert_eq!((read.success.value(), read.failure.value()), (Some(7), Some(3)));
        let nothing = finished_jobs(None, None);
        assert_eq!((nothing.success.value(), nothing.failure.value()), (None, None));
    }

    #[test]
    fn threads_and_jobs_are_counted_for_the_queues_they_serve() {
        let mut services = Services::default();
        let process = |info: &str, quiet: &str| Value::Array(vec![bulk(info), bulk(quiet)]);
        let old = process(r#"{"queues":["mail","mail","orders"],"concurrency":5}"#, "false");
        let work =
            [r#"{"queue":"mail","payload":"{}","run_at":1700000050}"#, r#"{"queue":"mail","run_at":1700000000}"#];
        add_process(&mut services, &old, &[Value::Array(work.map(bulk).to_vec())]).unwrap();
        let capsules = r#"{"queues":["mail","slow"],"concurrency":9,"capsules":{
            "default":{"concurrency":8,"mode":"strict","weights":{"mail":0}},"one":{"concurrency":1,"weights":{"slow":0}}}}"#;
        add_process(&mut services, &process(capsules, "false"), &[]).unwrap();
        add_process(&mut services, &process(capsules, "true"), &[]).unwrap();
        add_process(&mut services, &Value::Array(vec![Value::Nil, Value::Nil]), &[Value::Nil]).unwrap();
        let threads = ["mail", "orders", "slow"].map(|queue| services.queues[queue].threads);
        assert_eq!(threads, [13, 5, 1]);
        assert_eq!((services.queues["mail"].jobs, services.queues["mail"].started), (2, Some(1.7e9)));
        assert_eq!((services.alive, services.lost), (3, 1));
    }
}
