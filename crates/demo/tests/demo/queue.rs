//! `demo queue`: its statistics are consistent and no job is lost.

use exporter_common::testing::{Running, eventually};
use serde_json::Value;

use crate::{part, request};

fn statistics(queue: &Running, name: &str) -> Value {
    let (status, body) = request(&queue.url, "GET", &format!("/queues/{name}"));
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn every_job_is_waiting_in_progress_or_finished() {
    const JOBS: u64 = 40;
    let queue = part(&["queue", "--no-producers"]);
    for _ in 0..JOBS {
        assert_eq!(request(&queue.url, "POST", "/queues/notifications").0, 201);
    }
    let mut before = 0;
    eventually("all jobs are finished", || {
        let statistics = statistics(&queue, "notifications");
        let number = |name: &str| statistics[name].as_u64().unwrap();
        let finished = number("processed") + number("failed");
        let in_work = JOBS - number("depth") - finished;
        assert!(in_work <= 1, "this queue has one worker: {statistics}");
        let times = &statistics["processing_seconds"];
        assert_eq!(times["count"].as_u64(), Some(finished));
        let mut buckets: Vec<(f64, u64)> = times["buckets"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(bound, count)| (bound.parse().unwrap(), count.as_u64().unwrap()))
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(buckets.len(), 8);
        assert!(buckets.is_sorted_by_key(|(_, count)| *count), "{statistics}");
        assert!(buckets.iter().all(|(_, count)| *count <= finished) && finished >= before, "{statistics}");
        before = finished;
        (finished == JOBS).then_some(())
    });
    let idle = statistics(&queue, "orders");
    assert_eq!((&idle["depth"], &idle["processed"], &idle["failed"]), (&0.into(), &0.into(), &0.into()));
}

#[test]
fn producers_keep_every_queue_busy() {
    let queue = part(&["queue"]);
    let list: Value = serde_json::from_str(&request(&queue.url, "GET", "/queues").1).unwrap();
    let names: Vec<_> = list["queues"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names, ["orders", "notifications", "analytics"]);
    for name in names {
        eventually("a job succeeded", || (statistics(&queue, name)["processed"].as_u64()? > 0).then_some(()));
    }
}

#[test]
fn an_unknown_queue_is_not_found() {
    let queue = part(&["queue", "--no-producers"]);
    assert_eq!(request(&queue.url, "GET", "/queues/nothing").0, 404);
    assert_eq!(request(&queue.url, "POST", "/queues/nothing").0, 404);
    assert_eq!(request(&queue.url, "DELETE", "/queues/orders").0, 405);
}
