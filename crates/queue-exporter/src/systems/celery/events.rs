//! Counts Celery's events: finished tasks by name, their processing times, and the workers that are alive.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::time::Instant;

use super::super::job_times::JobTimes;
use crate::queue_system::{Counter, Statistics};

/// The counters made of all events so far.
#[derive(Default)]
pub(super) struct EventCounts {
    /// By the name of the task; empty if the exporter did not see that it was received.
    tasks: BTreeMap<String, TaskCounts>,
    received: TaskNames,
    workers: HashMap<String, Worker>,
    /// When the events were subscribed to.
    subscribed: Option<Instant>,
    /// Whether a worker sends events of its tasks, and whether one accepted tasks without.
    sends_task_events: bool,
    lacks_task_events: bool,
}

/// The names of tasks that were received and have not finished, by id. The oldest are forgotten if there are too many:
/// the end of a task that a killed worker had received is never published.
#[derive(Default)]
struct TaskNames {
    recent: HashMap<String, String>,
    /// Those received before the recent ones.
    older: HashMap<String, String>,
}

impl TaskNames {
    fn insert(&mut self, uuid: String, name: String) {
        if self.recent.len() >= MAX_RECEIVED / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(uuid, name);
    }

    /// The name of a task; empty if the exporter did not see that it was received.
    fn get(&self, uuid: &str) -> String {
        self.recent.get(uuid).or_else(|| self.older.get(uuid)).cloned().unwrap_or_default()
    }

    fn remove(&mut self, uuid: &str) -> String {
        let older = self.older.remove(uuid);
        self.recent.remove(uuid).or(older).unwrap_or_default()
    }
}

#[derive(Default)]
struct TaskCounts {
    started: u64,
    success: u64,
    failure: u64,
    times: JobTimes,
}

struct Worker {
    last_heartbeat: Instant,
    /// How long it is alive after a heartbeat.
    expires: Duration,
    /// The number of tasks that it had accepted at its first and at its last heartbeat.
    accepted: [Option<u64>; 2],
}

/// The largest number of names, of running tasks whose names are remembered, and of workers.
const MAX_TASKS: usize = 1000;
const MAX_RECEIVED: usize = 50_000;
const MAX_WORKERS: usize = 10_000;

/// How long a worker is reported as lost.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The shortest time after which a silent worker is lost, for workers that are too busy for a heartbeat.
const MIN_EXPIRES: Duration = Duration::from_secs(30);

/// kombu's envelope of a message.
#[derive(Deserialize)]
struct Envelope {
    body: String,
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
struct Properties {
    body_encoding: Option<String>,
}

/// One event, or a batch of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    One(Event),
    Batch(Vec<Event>),
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    hostname: Option<String>,
    uuid: Option<String>,
    name: Option<String>,
    /// Seconds.
    runtime: Option<f64>,
    /// Seconds between two heartbeats.
    freq: Option<f64>,
    /// The number of tasks that a worker has accepted.
    processed: Option<u64>,
}

impl EventCounts {
    /// Counts the events in a message.
    pub(super) fn count(&mut self, message: &[u8], now: Instant) -> Result<()> {
        let Envelope { body, properties } = serde_json::from_slice(message).context("invalid event message")?;
        let body = match properties.body_encoding.as_deref() {
            Some("base64") => STANDARD.decode(body).context("invalid body of an event message")?,
            _ => body.into_bytes(),
        };
        match serde_json::from_slice(&body).context("an event")? {
            Body::One(event) => self.count_one(event, now),
            Body::Batch(events) => events.into_iter().for_each(|event| self.count_one(event, now)),
        }
        Ok(())
    }

    fn count_one(&mut self, event: Event, now: Instant) {
        let Event { kind, hostname, uuid, name, runtime, freq, processed } = event;
        self.sends_task_events |= kind.starts_with("task-") && kind != "task-sent";
        match (kind.as_str(), uuid, hostname) {
            ("task-received", Some(uuid), _) => self.received.insert(uuid, name.unwrap_or_default()),
            ("task-started", Some(uuid), _) => {
                let name = self.received.get(&uuid);
                self.task(name).started += 1;
            }
            ("task-succeeded", Some(uuid), _) => {
                let task = self.finished(&uuid);
                task.success += 1;
                // a negative time comes from a clock that was set back
                if let Some(runtime) = runtime.filter(|runtime| *runtime >= 0.0) {
                    task.times.observe(runtime * 1000.0);
                }
            }
            ("task-failed", Some(uuid), _) => self.finished(&uuid).failure += 1,
            // a retried task keeps its id, and may be received again before this event of its earlier attempt
            ("task-rejected" | "task-revoked", Some(uuid), _) => {
                self.received.remove(&uuid);
            }
            ("worker-online" | "worker-heartbeat", _, Some(hostname)) => {
                let heartbeats = Duration::try_from_secs_f64(freq.unwrap_or(0.0) * 3.0).unwrap_or_default();
                let known = self.workers.get(&hostname).map(|worker| worker.accepted);
                if let Some([Some(first), Some(last)]) = known {
                    // events are sent in batches, so the last tasks may have theirs after this heartbeat
                    self.lacks_task_events |= last > first && !self.sends_task_events;
                }
                if known.is_some() || self.workers.len() < MAX_WORKERS {
                    let expires = heartbeats.clamp(MIN_EXPIRES, REMEMBERED);
                    let accepted = [known.map_or(processed, |[first, _]| first), processed];
                    self.workers.insert(hostname, Worker { last_heartbeat: now, expires, accepted });
                }
            }
            ("worker-offline", _, Some(hostname)) => {
                self.workers.remove(&hostname);
            }
            _ => {}
        }
    }

    fn finished(&mut self, uuid: &str) -> &mut TaskCounts {
        let name = self.received.remove(uuid);
        self.task(name)
    }

    /// The counters of a task; those without a name if there are too many names.
    fn task(&mut self, name: String) -> &mut TaskCounts {
        let is_known = self.tasks.len() < MAX_TASKS || self.tasks.contains_key(&name);
        self.tasks.entry(if is_known { name } else { String::new() }).or_default()
    }

    /// Forgets running tasks and workers: the events of their end may be lost before a subscription.
    pub(super) fn subscribed(&mut self, now: Instant) {
        self.received = TaskNames::default();
        self.workers = HashMap::new();
        self.subscribed = Some(now);
    }

    /// Whether workers accept tasks and none sends events of them.
    pub(super) fn lacks_task_events(&self) -> bool {
        self.lacks_task_events && !self.sends_task_events
    }

    /// The counters by name of the task.
    pub(super) fn tasks(&self) -> impl Iterator<Item = (&str, Statistics)> {
        self.tasks.iter().map(|(name, task)| {
            let counter = |value| Counter::single(Some(value));
            let statistics = Statistics {
                success: counter(task.success),
                failure: counter(task.failure),
                // a task that is retried is not failed
                dead_lettered: counter(task.failure),
                delivered: counter(task.started),
                processing: Some(task.times.histogram()),
                ..Statistics::default()
            };
            (name.as_str(), statistics)
        })
    }

    /// The number of alive workers, and of workers without heartbeats; `None` until each worker had time to send one.
    pub(super) fn workers(&mut self, now: Instant) -> Option<[u64; 2]> {
        let since = now.saturating_duration_since(self.subscribed?);
        if self.workers.is_empty() && since < MIN_EXPIRES {
            return None;
        }
        let silent = |worker: &Worker| now.saturating_duration_since(worker.last_heartbeat);
        self.workers.retain(|_, worker| silent(worker) < REMEMBERED.max(worker.expires));
        let alive = self.workers.values().filter(|worker| silent(worker) <= worker.expires).count();
        Some([alive as u64, (self.workers.len() - alive) as u64])
    }
}

/// Parses one message.
#[cfg(fuzzing)]
pub(crate) fn fuzz(message: &[u8]) {
    let mut counts = EventCounts::default();
    let _ = counts.count(message, Instant::now());
    assert!(counts.tasks().all(|(_, task)| task.processing.is_some_and(|times| times.sum >= Some(0.0))));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> Vec<u8> {
        let body = STANDARD.encode(body);
        let text = format!(
            r#"{{"body":"{body}","content-encoding":"utf-8","content-type":"application/json","headers":{{}},
            "properties":{{"delivery_mode":1,"body_encoding":"base64"}}}}"#
        );
        text.into_bytes()
    }

    #[test]
    fn finished_tasks_are_counted_by_name() {
        let (mut counts, now) = (EventCounts::default(), Instant::now());
        let batch = r#"[{"type":"task-received","uuid":"1","name":"mail","hostname":"a"},
            {"type":"task-started","uuid":"1"},{"type":"task-succeeded","uuid":"1","runtime":0.04,"result":"None"},
            {"type":"task-received","uuid":"2","name":"mail"},
            {"type":"task-received","uuid":"2","name":"mail"},{"type":"task-retried","uuid":"2"},
            {"type":"task-started","uuid":"2"},{"type":"task-failed","uuid":"2"}]"#;
        counts.count(&message(batch), now).unwrap();
        counts.count(&message(r#"{"type":"task-succeeded","uuid":"earlier","runtime":-1}"#), now).unwrap();
        let seen: Vec<_> = counts
            .tasks()
            .map(|(name, it)| (name, it.success.value(), it.failure.value(), it.processing.unwrap().count))
            .collect();
        assert_eq!(seen, [("", Some(1), Some(0), 0), ("mail", Some(1), Some(1), 1)]);
        assert!(counts.received.recent.is_empty());
    }

    #[test]
    fn the_names_of_the_oldest_running_tasks_are_forgotten() {
        let mut names = TaskNames::default();
        for uuid in 0..MAX_RECEIVED * 3 {
            names.insert(uuid.to_string(), "mail".to_owned());
        }
        assert!(names.recent.len() + names.older.len() <= MAX_RECEIVED);
        assert_eq!([0, MAX_RECEIVED * 3 - 1].map(|uuid| names.get(&uuid.to_string())), ["", "mail"]);
    }

    /// Counts a heartbeat of a worker that has accepted a number of tasks.
    fn heartbeat(counts: &mut EventCounts, worker: &str, accepted: u64, at: Instant) {
        let text = format!(r#"{{"type":"worker-heartbeat","hostname":"{worker}","freq":2.0,"processed":{accepted}}}"#);
        counts.count(&message(&text), at).unwrap();
    }

    #[test]
    fn a_worker_without_heartbeats_is_lost_and_one_that_says_goodbye_is_gone() {
        let (mut counts, start) = (EventCounts::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        counts.subscribed(start);
        assert_eq!([after(1), after(30)].map(|now| counts.workers(now)), [None, Some([0, 0])]);
        for worker in ["a", "b", "c"] {
            heartbeat(&mut counts, worker, 0, start);
        }
        counts.count(&message(r#"{"type":"worker-offline","hostname":"c"}"#), start).unwrap();
        assert_eq!(counts.workers(after(5)), Some([2, 0]));
        heartbeat(&mut counts, "a", 0, after(60));
        assert_eq!(counts.workers(after(61)), Some([1, 1]));
        assert_eq!(counts.workers(after(3650)), Some([0, 1]), "the last heartbeat of b is older than an hour");
    }

    #[test]
    fn only_workers_that_accept_tasks_without_events_are_reported() {
        let (mut counts, start) = (EventCounts::default(), Instant::now());
        let mut lacks = |accepted: &[u64]| {
            accepted.iter().for_each(|accepted| heartbeat(&mut counts, "a", *accepted, start));
            counts.lacks_task_events()
        };
        assert_eq!([lacks(&[7, 7]), lacks(&[8]), lacks(&[8])], [false, false, true]);
        counts.count(&message(r#"{"type":"task-received","uuid":"1","name":"mail"}"#), start).unwrap();
        assert!(!counts.lacks_task_events());
    }

    #[test]
    fn an_invalid_message_is_an_error() {
        let mut counts = EventCounts::default();
        for text in ["{}", "[]", r#"{"body":"%","properties":{"body_encoding":"base64"}}"#, r#"{"body":"1"}"#] {
            assert!(counts.count(text.as_bytes(), Instant::now()).is_err(), "{text}");
        }
    }
}
