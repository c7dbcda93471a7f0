//! The report of one read, for `--probe`.

use exporter_common::duration;

use super::metrics::{Outcomes, STATES};
use crate::queue_system::{QueueId, Statistics};

/// The lines of the last read.
#[derive(Default)]
pub(super) struct Report {
    queues: Vec<(QueueId, String)>,
    summary: Vec<String>,
}

impl Report {
    /// Adds a queue that was read.
    pub(super) fn add_queue(&mut self, queue: &QueueId, statistics: &Statistics) {
        self.queues.push((queue.clone(), facts(statistics)));
    }

    /// Adds an error of queues.
    pub(super) fn add_error(&mut self, queues: &[QueueId], error: &str) {
        self.queues.extend(queues.iter().map(|queue| (queue.clone(), format!("error: {error}"))));
    }

    pub(super) fn finish(&mut self, outcomes: Outcomes, is_complete: bool) {
        let Outcomes { exported, filtered, over_limit, error, hidden } = outcomes;
        let found = exported + over_limit + filtered + error;
        let mut line = format!("{found} queues found: {} read", exported + over_limit);
        for (count, what) in [
            (filtered, "filtered by --queue.include or --queue.exclude"),
            (error, "with errors"),
            (hidden, "more hidden from this user or not supported"),
        ] {
            if count > 0 {
                line += &format!(", {count} {what}");
            }
        }
        self.summary.push(line);
        if !is_complete {
            self.summary.push("the list of queues is incomplete".to_owned());
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let mut queues: Vec<_> = self.queues.iter().map(|(queue, text)| (queue, text)).collect();
        queues.sort();
        let queues = queues.into_iter().map(|(queue, text)| format!("{queue}: {text}"));
        queues.chain(self.summary.iter().cloned()).collect()
    }
}

/// The known statistics in words.
fn facts(statistics: &Statistics) -> String {
    let mut facts = Vec::new();
    let states = STATES.iter().map(|(state, field)| (*state, field(statistics)));
    let more = [
        ("consumers", statistics.consumers),
        ("succeeded", statistics.success.value()),
        ("failed", statistics.failure.value()),
        ("enqueued", statistics.enqueued.value()),
    ];
    for (name, count) in states.chain(more) {
        facts.extend(count.map(|count| format!("{} {count}", name.replace('_', " "))));
    }
    let age = statistics.oldest_age.and_then(|age| std::time::Duration::try_from_secs_f64(age.round()).ok());
    facts.extend(age.map(|age| format!("oldest {}", duration::human(age))));
    if statistics.paused == Some(true) {
        facts.push("paused".to_owned());
    }
    facts.extend(statistics.gap.map(str::to_owned));
    if facts.is_empty() { "no statistics".to_owned() } else { facts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue_system::Counter;

    #[test]
    fn known_statistics_errors_and_hidden_queues_are_reported() {
        let mut report = Report::default();
        let statistics = Statistics {
            ready: Some(3),
            in_flight: Some(0),
            oldest_age: Some(61.4),
            success: Counter::single(Some(7)),
            paused: Some(true),
            ..Statistics::default()
        };
        report.add_error(&[QueueId::named("orders")], "its state is down");
        report.add_queue(&QueueId::named("mail"), &statistics);
        report.add_queue(&QueueId::default(), &Statistics::default());
        report.finish(Outcomes { exported: 1, error: 1, hidden: 4, ..Outcomes::default() }, false);
        let expected = [
            "all queues: no statistics",
            "queue \"mail\": ready 3, in flight 0, succeeded 7, oldest 61s, paused",
            "queue \"orders\": error: its state is down",
            "2 queues found: 1 read, 1 with errors, 4 more hidden from this user or not supported",
            "the list of queues is incomplete",
        ];
        assert_eq!(report.lines(), expected);
    }
}
