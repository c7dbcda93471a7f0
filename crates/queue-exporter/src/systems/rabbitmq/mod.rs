//! `rabbitmq`: queues, alarms and limits of RabbitMQ, from its management HTTP API.

mod connections;
mod nodes;
mod optional_number;
mod overview;
mod page;
mod reported_queues;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Error, Result, bail};
use exporter_common::async_trait;
use futures_util::future::{Either, select};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::StatusCode;
use tokio::time::timeout;

use self::connections::blocked_connections;
use self::nodes::{Node, RestartDetector, add_health, has_alarm, partition};
use self::overview::Overview;
#[cfg(fuzzing)]
pub(crate) use self::page::fuzz;
use self::page::{Items, Page};
use self::reported_queues::ReportedQueues;
use crate::broker::{BrokerHealth, CONNECTIONS_BLOCKED};
use crate::connection::{Credentials, HttpClient, HttpResponse};
use crate::queue_system::{ListedQueue, Origin, QueueSystem, SystemKind};
use crate::read_error::{Reason, read_error};

pub(super) const KIND: SystemKind = SystemKind {
    name: "rabbitmq",
    schemes: &["http", "https"],
    connect: |mut settings| {
        let path = path_before_api(settings.url.path()).to_owned();
        settings.url.set_path(&path);
        Ok(Box::new(RabbitMq {
            client: HttpClient::new(settings)?,
            restarts: Mutex::default(),
            reported: Mutex::default(),
            nodes: Mutex::default(),
            overview: Mutex::default(),
            totals_only: AtomicBool::new(false),
            hidden: AtomicU64::new(0),
        }))
    },
};

struct RabbitMq {
    client: HttpClient,
    restarts: Mutex<RestartDetector>,
    /// The queues of the last list that had statistics.
    reported: Mutex<ReportedQueues>,
    /// The health of the nodes in the last read; empty if the nodes were not read.
    nodes: Mutex<NodesHealth>,
    /// The overview after the last list.
    overview: Mutex<Option<Overview>>,
    /// Whether the broker collects no statistics, so that only the numbers of messages are available.
    totals_only: AtomicBool,
    /// The number of queues that the last list lacked.
    hidden: AtomicU64,
}

#[derive(Clone, Default)]
struct NodesHealth {
    health: BrokerHealth,
    has_alarm: Option<bool>,
}

#[async_trait]
impl QueueSystem for RabbitMq {
    fn credentials(&self) -> Option<&Credentials> {
        self.client.credentials()
    }

    fn scope_label(&self) -> &'static str {
        "vhost"
    }

    fn info_labels(&self) -> &'static [&'static str] {
        &["type", "durable", "node", "policy"]
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready" | "in_flight")
            | (
                "queue_depth"
                | "queue_max_length"
                | "queue_broker_alarm"
                | "queue_broker_connections"
                | "queue_broker_connections_blocked"
                | "queue_broker_limit_used_ratio",
                _,
            ) => Origin::Native,
            _ if self.totals_only.load(Ordering::Relaxed) => Origin::Unavailable,
            ("messages_processed_total", "success") => Origin::Native,
            ("queue_oldest_message_age_seconds", _) => Origin::Derived,
            (
                "queue_consumers"
                | "queue_memory_bytes"
                | "queue_message_bytes"
                | "messages_enqueued_total"
                | "messages_delivered_total"
                | "messages_redelivered_total"
                | "queue_broker_unroutable_messages_total"
                | "queue_stream_length"
                | "queue_replicas"
                | "queue_replicas_in_sync",
                _,
            ) => Origin::Native,
            _ => Origin::Unavailable,
        }
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        stream::try_unfold(Cursor::Start, |cursor| self.page(cursor)).map_ok(stream::iter).try_flatten().boxed()
    }

    /// Connections are counted only while an alarm is active. Without one, none is blocked.
    async fn broker(&self) -> Result<BrokerHealth> {
        let NodesHealth { mut health, has_alarm } = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(overview) = &*self.overview.lock().unwrap_or_else(PoisonError::into_inner) {
            overview.add_health(&mut health);
        }
        let blocked = match has_alarm {
            Some(true) => match timeout(CONNECTIONS_TIMEOUT, blocked_connections(&self.client)).await {
                Ok(Ok(blocked)) => blocked,
                Ok(Err(error)) => {
                    tracing::debug!(error = format!("{error:#}"), "cannot read blocked connections");
                    None
                }
                Err(_) => None,
            },
            Some(false) => Some(0),
            None => None,
        };
        health.add_count(&CONNECTIONS_BLOCKED, &[""], blocked);
        Ok(health)
    }

    fn hidden_queues(&self) -> u64 {
        self.hidden.load(Ordering::Relaxed)
    }
}

/// The position in the list.
enum Cursor {
    Start,
    Page {
        number: u64,
        /// The number of queues when the previous page was read.
        queues: u64,
        /// How often a page was reread.
        rereads: u64,
        generation: u64,
        reported: ReportedQueues,
    },
    End,
}

/// The path before `/api`. A user may also configure the path of the API.
fn path_before_api(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix("/queues").filter(|path| path.ends_with("/api")).unwrap_or(path);
    path.strip_suffix("/api").unwrap_or(path)
}

/// The API's maximum. No `columns` are selected: the broker would compute the others as well.
const PAGE_SIZE: &str = "500";

/// How much later than the first page the broker may respond for its nodes. The queues do not wait longer.
const NODES_DELAY: Duration = Duration::from_millis(500);

/// How long connections are read during an alarm. They must not hide the alarm.
const CONNECTIONS_TIMEOUT: Duration = Duration::from_secs(1);

/// How often pages are reread in one list, which limits the load on the broker.
const MAX_REREADS: u64 = 3;

impl RabbitMq {
    /// Reads the page at the cursor, and returns its items and the next cursor.
    async fn page(&self, cursor: Cursor) -> Result<Option<(Items, Cursor)>> {
        let (number, queues, rereads, generation, mut reported) = match cursor {
            Cursor::Start => {
                // if the list remains incomplete, values of an earlier read must not be exported
                self.hidden.store(0, Ordering::Relaxed);
                self.set_overview(None);
                (1, 0, 0, None, ReportedQueues::default())
            }
            Cursor::Page { number, queues, rereads, generation, reported } => {
                (number, queues, rereads, Some(generation), reported)
            }
            Cursor::End => return Ok(None),
        };
        let (response, generation, partition) = match generation {
            Some(generation) => (self.get_queues(number, PAGE_SIZE).await?, generation, None),
            None => self.first_page().await?,
        };
        // the broker refuses a page past the end, which is the end of a list that became shorter
        let past_the_end = response.status == StatusCode::BAD_REQUEST && number > 1;
        let mut page = if past_the_end { Page::default() } else { self.parse(&response, generation)? };
        let mut more = Vec::from_iter(partition.map(Err));
        if number == 1 && page.items.iter().all(has_name_only) {
            reported.none_reported = true;
            let (complete, error) = self.without_statistics(&page, generation).await;
            page = complete.unwrap_or(page);
            more.extend(error.map(Err));
        }
        let Page { mut items, pages, queues: queues_now } = page;
        items.append(&mut more);
        reported.check(&mut items, &self.reported.lock().unwrap_or_else(PoisonError::into_inner));
        let next = match (queues_now < queues, number) {
            // after a deletion, later queues have moved to the previous page
            (true, 2..) if rereads < MAX_REREADS => Some((number - 1, rereads + 1)),
            (true, 2..) => {
                let text = "queues are deleted faster than they can be listed: some may be missing";
                items.push(Err(read_error(Reason::Partial, text)));
                (number < pages).then_some((number + 1, rereads))
            }
            _ => (number < pages).then_some((number + 1, rereads)),
        };
        let cursor = match next {
            Some((number, rereads)) => Cursor::Page { number, queues: queues_now, rereads, generation, reported },
            None => {
                *self.reported.lock().unwrap_or_else(PoisonError::into_inner) = reported;
                items.extend(self.check_hidden(queues_now).await.map(Err));
                Cursor::End
            }
        };
        Ok(Some((items, cursor)))
    }

    fn parse(&self, response: &HttpResponse, generation: u64) -> Result<Page> {
        Page::parse(response.json_object()?, generation, self.totals_only.load(Ordering::Relaxed))
    }

    async fn get_queues(&self, page: u64, page_size: &str) -> Result<HttpResponse> {
        let mut url = self.client.url(&["api", "queues"])?;
        url.query_pairs_mut().append_pair("page", &page.to_string()).append_pair("page_size", page_size);
        if self.totals_only.load(Ordering::Relaxed) {
            url.query_pairs_mut().append_pair("disable_stats", "true").append_pair("enable_queue_totals", "true");
        }
        self.client.get(url).await
    }

    /// The first page, the generation of the counters, and the error if the cluster is partitioned. The nodes are read
    /// concurrently. If they cannot be read, the generation stays: then a decrease of a counter is a new baseline.
    async fn first_page(&self) -> Result<(HttpResponse, u64, Option<Error>)> {
        let (nodes, page) = (pin!(self.nodes()), pin!(self.get_queues(1, PAGE_SIZE)));
        let (nodes, page) = match select(nodes, page).await {
            Either::Left((nodes, page)) => (Ok(nodes), page.await),
            Either::Right((page, nodes)) => (timeout(NODES_DELAY, nodes).await, page),
        };
        let nodes = nodes.unwrap_or_else(|_| bail!("no response"));
        let mut restarts = self.restarts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut nodes_now = NodesHealth::default();
        let mut partitioned = None;
        match nodes {
            Ok(nodes) => {
                partitioned = partition(&nodes);
                add_health(&nodes, &mut nodes_now.health);
                nodes_now.has_alarm = has_alarm(&nodes);
                restarts.update(nodes);
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::debug!(error, "cannot read the nodes: restarts of the broker and its alarms are unknown");
            }
        }
        *self.nodes.lock().unwrap_or_else(PoisonError::into_inner) = nodes_now;
        Ok((page?, restarts.generation, partitioned))
    }

    async fn nodes(&self) -> Result<Vec<Node>> {
        let mut url = self.client.url(&["api", "nodes"])?;
        url.query_pairs_mut().append_pair("columns", nodes::COLUMNS);
        let response = self.client.get(url).await?;
        Ok(serde_json::from_slice(response.success_body()?)?)
    }

    fn set_overview(&self, overview: Option<Overview>) {
        *self.overview.lock().unwrap_or_else(PoisonError::into_inner) = overview;
    }

    async fn overview(&self) -> Option<Overview> {
        let response = self.client.get(self.client.url(&["api", "overview"]).ok()?).await.ok()?;
        response.json_object().ok()
    }

    /// Finds out why no queue of the first page has statistics. A broker that collects none still knows the numbers of
    /// messages: then this returns the page with them. Otherwise the broker was just started, which is an error.
    async fn without_statistics(&self, page: &Page, generation: u64) -> (Option<Page>, Option<Error>) {
        let overview = if page.items.is_empty() { None } else { self.overview().await };
        let error = |text: &str| Some(read_error(Reason::Partial, text));
        match overview.and_then(|overview| overview.disable_stats) {
            Some(true) if !self.totals_only.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    "RabbitMQ collects no statistics (management_agent.disable_metrics_collector = true): only the \
                     numbers of messages are exported"
                );
                let response = self.get_queues(1, PAGE_SIZE).await;
                let totals = response.and_then(|response| self.parse(&response, generation));
                match totals {
                    Ok(page) if !page.items.iter().all(has_name_only) => (Some(page), None),
                    Ok(_) => (None, error(NO_STATISTICS)),
                    Err(error) => (None, Some(error)),
                }
            }
            Some(true) => (None, error(NO_STATISTICS)),
            Some(false) => {
                self.totals_only.store(false, Ordering::Relaxed);
                (None, error("the broker has no statistics of its queues yet: it was probably just started"))
            }
            None => (None, None),
        }
    }

    /// Compares the number of listed queues with the number of existing ones, which the API reports to users with the tag
    /// `monitoring`. It lists only queues in virtual hosts on which the user has permissions.
    async fn check_hidden(&self, listed: u64) -> Option<Error> {
        let overview = self.overview().await;
        let existing = overview.as_ref().and_then(Overview::queues);
        let disable_stats = overview.as_ref().and_then(|overview| overview.disable_stats);
        self.set_overview(overview);
        if disable_stats == Some(false) {
            self.totals_only.store(false, Ordering::Relaxed); // the broker was restarted with statistics
        }
        let existing = existing.filter(|existing| *existing > listed)?;
        // a queue may have been declared in between: listed again, it is not hidden
        let response = self.get_queues(1, "1").await.ok()?;
        let listed = self.parse(&response, 0).ok()?.queues.max(listed);
        let hidden = existing.checked_sub(listed).filter(|hidden| *hidden > 0)?;
        self.hidden.store(hidden, Ordering::Relaxed);
        let text = format!(
            "the broker lists {listed} of its {existing} queues: give the user permissions on the virtual hosts of the \
             others"
        );
        Some(read_error(Reason::Auth, text))
    }
}

const NO_STATISTICS: &str = "RabbitMQ collects no statistics, and this version has no numbers of messages without them: set \
                             management_agent.disable_metrics_collector = false";

/// Whether an item has no statistics.
fn has_name_only(item: &Result<ListedQueue>) -> bool {
    let Ok(ListedQueue { statistics: Some(Ok(statistics)), .. }) = item else { return false };
    statistics.ready.is_none()
}

/// Parses one response about the health of the broker.
#[cfg(fuzzing)]
pub(crate) fn fuzz_health(data: &[u8]) {
    nodes::fuzz(data);
    overview::fuzz(data);
    connections::fuzz(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_api_is_accepted() {
        for path in ["", "/", "/api", "/api/", "/api/queues", "/api/queues/"] {
            assert_eq!(path_before_api(path), "", "{path}");
        }
        for (path, expected) in [("/mq/api", "/mq"), ("/mq/", "/mq"), ("/queues", "/queues"), ("/myapi", "/myapi")] {
            assert_eq!(path_before_api(path), expected);
        }
    }
}
