//! `postgres`: queues in tables of PostgreSQL, by the queries of known queue systems or your own.

mod connection;
mod presets;
mod rows;
mod tls;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use exporter_common::config::small_file;
use exporter_common::{UsageError, async_trait};
use futures_util::stream::BoxStream;
use reqwest::Url;
use tokio::time::Instant;

use self::connection::Connection;
use self::presets::{PRESETS, Preset};
use self::rows::{Row, queues};
use super::listing::list_from;
use super::remembered::RememberedQueues;
use crate::connection::{Credentials, take_parameters};
use crate::queue_system::{ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};
use crate::read_error::{Reason, read_error};

pub(super) const KIND: SystemKind = SystemKind {
    name: "postgres",
    schemes: &["postgres", "postgresql"],
    connect: |mut settings| {
        let query = settings.query_file.as_deref().map(read_query).transpose()?;
        let presets = take_presets(&mut settings.url, query.is_some())?;
        let ends = Mutex::new(Instant::now());
        let connection = Connection::new(settings)?;
        Ok(Box::new(Postgres { connection, presets, query, ends, remembered: RememberedQueues::default() }))
    },
};

struct Postgres {
    connection: Connection,
    /// The presets to look for.
    presets: Vec<&'static Preset>,
    /// The query of the file.
    query: Option<String>,
    /// When the current list must end.
    ends: Mutex<Instant>,
    remembered: RememberedQueues,
}

/// The presets that a URL names; without a name all, or none next to a query file. Removes them from the URL.
fn take_presets(url: &mut Url, has_query: bool) -> Result<Vec<&'static Preset>> {
    let presets = take_parameters(url, |name| name == "preset");
    for (_, name) in &presets {
        if !PRESETS.iter().any(|preset| preset.name == name) {
            let mut names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
            names.dedup();
            bail!(UsageError::new(format!("--queue.url: unknown preset: valid presets: {}", names.join(", "))));
        }
    }
    let is_wanted = |preset: &&Preset| match presets.is_empty() {
        true => !has_query,
        false => presets.iter().any(|(_, name)| preset.name == name),
    };
    Ok(PRESETS.iter().filter(is_wanted).collect())
}

/// Reads the query of a file.
fn read_query(file: &Path) -> Result<String> {
    let text = small_file::read(file).map_err(anyhow::Error::from);
    let text = text.and_then(|text| String::from_utf8(text).context("not UTF-8"));
    let text = text.with_context(|| format!("cannot read --queue.query-file {}", file.display()))?;
    let query = text.trim().trim_end_matches(';').trim_end();
    if query.is_empty() {
        bail!("--queue.query-file {} is empty: expected a query", file.display());
    }
    Ok(query.to_owned())
}

#[async_trait]
impl QueueSystem for Postgres {
    fn credentials(&self) -> Option<&Credentials> {
        self.connection.credentials()
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        let states: Vec<_> = self.presets.iter().flat_map(|preset| preset.states).collect();
        match metric {
            "queue_depth" => Origin::Native,
            "queue_messages" if self.query.is_some() || states.contains(&&detail) => Origin::Native,
            "queue_oldest_message_age_seconds" | "queue_oldest_in_flight_age_seconds" => Origin::Derived,
            _ => Origin::Unavailable,
        }
    }

    fn limit(&self, time: Duration) {
        // the rows must be complete before the collector gives up
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + time * 19 / 20;
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        list_from(self.read_queues())
    }
}

/// A query, and what its rows mean.
struct QueueQuery {
    text: String,
    /// Whether it returns the text of the actual query.
    is_generator: bool,
    scope: String,
    /// The states that it may return; empty if they are unknown.
    states: &'static [&'static str],
}

impl Postgres {
    /// The queues of all queries. If one query fails, the queues of the others are still listed.
    async fn read_queues(&self) -> Result<Vec<Result<ListedQueue>>> {
        let mut queries = self.installed().await?;
        queries.extend(self.query.clone().map(|text| QueueQuery {
            text,
            is_generator: false,
            scope: String::new(),
            states: &[],
        }));
        let mut listed = Vec::new();
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        let mut queries = queries.into_iter();
        while let Some(QueueQuery { text, is_generator, scope, states }) = queries.next() {
            // a slow query leaves the others their parts of the time
            let rows = match self.rows(text, is_generator, self.part(1 + queries.len())).await {
                Ok(rows) => rows,
                Err(error) => {
                    let source = if scope.is_empty() { "--queue.query-file" } else { &scope };
                    listed.push(Err(error.context(format!("the query of {source}"))));
                    failed.push(scope);
                    continue;
                }
            };
            for (name, statistics) in queues(&rows, states) {
                let queue = QueueId { name, scope: scope.clone() };
                found.push(queue.clone());
                listed.push(Ok(ListedQueue { queue, statistics: Some(statistics) }));
            }
        }
        // in most of these systems, a queue without jobs has no rows
        for queue in self.remembered.missing(&found) {
            if !failed.contains(&queue.scope) {
                let statistics = Statistics { ready: Some(0), ..Statistics::default() };
                listed.push(Ok(ListedQueue { queue, statistics: Some(Ok(statistics)) }));
            }
        }
        Ok(listed)
    }

    async fn rows(&self, mut text: String, is_generator: bool, mut limit: Duration) -> Result<Vec<Row>> {
        if is_generator {
            limit /= 2;
            let rows = self.connection.query(&text, limit).await?;
            text = rows.into_iter().next().and_then(|[text, ..]| text).context("no query was generated")?;
        }
        self.connection.query(&with_columns(&text), limit).await
    }

    /// The queries of the presets whose tables exist.
    async fn installed(&self) -> Result<Vec<QueueQuery>> {
        if self.presets.is_empty() {
            return Ok(Vec::new());
        }
        let tables = self.connection.query(&tables(&self.presets), self.part(2)).await?;
        let mut queries = Vec::new();
        for row in tables {
            let [Some(schema), Some(quoted), Some(at), _] = row else { continue };
            let Some(preset) = at.parse().ok().and_then(|at: usize| self.presets.get(at)) else { continue };
            let usual = schema == preset.schema;
            if preset.is_generator && !usual {
                continue; // its query has the schema in a string, in which a quoted identifier is not safe
            }
            let scope = if usual { preset.name.to_owned() } else { format!("{schema}/{}", preset.name) };
            let text = preset.query.replace("{schema}", &quoted);
            queries.push(QueueQuery { text, is_generator: preset.is_generator, scope, states: preset.states });
        }
        if queries.is_empty() {
            let mut names: Vec<_> = self.presets.iter().map(|preset| preset.name).collect();
            names.dedup();
            let names = names.join(", ");
            let text = format!("no tables of {names} in this database: check the database in --queue.url");
            return Err(read_error(Reason::Partial, text));
        }
        Ok(queries)
    }

    /// An equal part of the time that the current list has left.
    fn part(&self, parts: usize) -> Duration {
        let ends = *self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.saturating_duration_since(Instant::now()) / u32::try_from(parts).unwrap_or(u32::MAX)
    }
}

/// The query for the tables of presets: schema, quoted schema, and the preset's position.
fn tables(presets: &[&Preset]) -> String {
    let values = presets.iter().enumerate();
    let values: Vec<_> =
        values.map(|(at, preset)| format!("({at}, '{}', '{}')", preset.table, preset.column)).collect();
    format!(
        "SELECT nspname, quote_ident(nspname), preset.at, NULL FROM pg_catalog.pg_class AS tables \
         JOIN pg_catalog.pg_namespace AS schemas ON schemas.oid = relnamespace \
         JOIN pg_catalog.pg_attribute AS columns ON attrelid = tables.oid AND NOT attisdropped \
         JOIN (VALUES {}) AS preset (at, \"table\", \"column\") ON relname = \"table\" AND attname = \"column\" \
         WHERE relkind IN ('r', 'p', 'v', 'm') ORDER BY 1, 3",
        values.join(", ")
    )
}

/// The query with its columns as this program reads them. The line breaks end a comment in its last line.
fn with_columns(query: &str) -> String {
    format!(
        "SELECT rows.queue::text, rows.state::text, rows.count::bigint, \
         extract(epoch FROM clock_timestamp() - rows.oldest)::double precision FROM (\n{query}\n) AS rows"
    )
}

/// Parses lines of fields, separated by tabs, as rows.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) -> Vec<Result<ListedQueue>> {
    let text = String::from_utf8_lossy(data);
    let row = |line: &str| {
        let mut fields = line.split('\t').map(|field| (!field.is_empty()).then(|| field.to_owned()));
        std::array::from_fn(|_| fields.next().flatten())
    };
    let rows: Vec<_> = text.lines().map(row).collect();
    let listed = |(name, statistics)| Ok(ListedQueue { queue: QueueId::named(name), statistics: Some(statistics) });
    queues(&rows, &[]).into_iter().map(listed).collect()
}
