//! The queries of known queue systems. Each returns the columns queue, state, count and oldest; rows of the same queue
//! and state are added up. Completed jobs are not counted: their number may be large, and counting them slow.

/// A queue system with known tables.
#[derive(Debug)]
pub(super) struct Preset {
    pub(super) name: &'static str,
    /// A table and a column of it that only this version of the queue system has.
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    /// The usual schema.
    pub(super) schema: &'static str,
    /// The states that its query may return.
    pub(super) states: &'static [&'static str],
    /// The query; `{schema}` is the quoted name of the schema.
    pub(super) query: &'static str,
    /// Whether the query returns the text of the actual query.
    pub(super) is_generator: bool,
}

/// Every preset. Versions with other tables have the same name.
pub(super) const PRESETS: &[Preset] = &[
    Preset {
        name: "pg-boss",
        table: "job",
        column: "start_after",
        schema: "pgboss",
        states: &["ready", "in_flight", "delayed", "retry", "dead", "canceled"],
        query: "SELECT name AS queue, CASE state::text WHEN 'active' THEN 'in_flight' WHEN 'failed' THEN 'dead' \
                WHEN 'cancelled' THEN 'canceled' WHEN 'blocked' THEN 'blocked' ELSE CASE WHEN start_after <= now() \
                THEN 'ready' WHEN state::text = 'retry' THEN 'retry' ELSE 'delayed' END END AS state, \
                count(*) AS count, \
                min(CASE WHEN state::text = 'active' THEN started_on ELSE start_after END) AS oldest \
                FROM {schema}.job WHERE state::text <> 'completed' AND name NOT LIKE '\\_\\_pgboss\\_\\_%' GROUP BY 1, 2 \
                UNION ALL SELECT name, 'ready', 0, NULL FROM {schema}.queue WHERE name NOT LIKE '\\_\\_pgboss\\_\\_%'",
        is_generator: false,
    },
    Preset {
        name: "pg-boss", // up to version 9
        table: "job",
        column: "startafter",
        schema: "pgboss",
        states: &["ready", "in_flight", "delayed", "retry", "dead", "canceled"],
        query: "SELECT name AS queue, CASE state::text WHEN 'active' THEN 'in_flight' WHEN 'failed' THEN 'dead' \
                WHEN 'expired' THEN 'dead' WHEN 'cancelled' THEN 'canceled' ELSE CASE WHEN startafter <= now() \
                THEN 'ready' WHEN state::text = 'retry' THEN 'retry' ELSE 'delayed' END END AS state, \
                count(*) AS count, min(CASE WHEN state::text = 'active' THEN startedon ELSE startafter END) AS oldest \
                FROM {schema}.job WHERE state::text <> 'completed' AND name NOT LIKE '\\_\\_pgboss\\_\\_%' GROUP BY 1, 2",
        is_generator: false,
    },
    Preset {
        name: "graphile-worker",
        table: "jobs",
        column: "task_identifier",
        schema: "graphile_worker",
        states: &["ready", "in_flight", "delayed", "retry", "dead"],
        query: "SELECT task_identifier AS queue, CASE WHEN locked_at IS NOT NULL THEN 'in_flight' \
                WHEN attempts >= max_attempts THEN 'dead' WHEN run_at <= now() THEN 'ready' \
                WHEN attempts > 0 THEN 'retry' ELSE 'delayed' END AS state, count(*) AS count, \
                min(coalesce(locked_at, run_at)) AS oldest FROM {schema}.jobs GROUP BY 1, 2",
        is_generator: false,
    },
    Preset {
        name: "procrastinate",
        table: "procrastinate_jobs",
        column: "queueing_lock",
        schema: "public",
        states: &["ready", "in_flight", "delayed", "retry", "dead", "canceled"],
        query: "SELECT jobs.queue, jobs.state, jobs.count, least(jobs.scheduled, first.at) AS oldest FROM ( \
                SELECT queue_name AS queue, state, count(*) AS count, \
                min(scheduled_at) FILTER (WHERE state = 'ready') AS scheduled, \
                min(id) FILTER (WHERE state = 'ready' AND scheduled_at IS NULL) AS first \
                FROM (SELECT id, queue_name, scheduled_at, CASE status::text WHEN 'doing' THEN 'in_flight' \
                WHEN 'aborting' THEN 'in_flight' WHEN 'failed' THEN 'dead' WHEN 'todo' THEN \
                CASE WHEN coalesce(scheduled_at, now()) <= now() THEN 'ready' WHEN attempts > 0 THEN 'retry' \
                ELSE 'delayed' END ELSE 'canceled' END AS state \
                FROM {schema}.procrastinate_jobs WHERE status::text <> 'succeeded') AS states GROUP BY 1, 2) AS jobs \
                LEFT JOIN LATERAL (SELECT min(at) AS at FROM {schema}.procrastinate_events \
                WHERE job_id = jobs.first AND type::text = 'deferred') AS first ON true",
        is_generator: false,
    },
    Preset {
        name: "river",
        table: "river_job",
        column: "finalized_at",
        schema: "public",
        states: &["ready", "in_flight", "delayed", "retry", "dead", "blocked", "canceled"],
        query: "SELECT queue, CASE state::text WHEN 'available' THEN 'ready' WHEN 'running' THEN 'in_flight' \
                WHEN 'scheduled' THEN 'delayed' WHEN 'retryable' THEN 'retry' WHEN 'discarded' THEN 'dead' \
                WHEN 'pending' THEN 'blocked' ELSE 'canceled' END AS state, count(*) AS count, \
                min(CASE WHEN state::text = 'running' THEN attempted_at ELSE scheduled_at END) AS oldest \
                FROM {schema}.river_job WHERE state::text <> 'completed' GROUP BY 1, 2",
        is_generator: false,
    },
    Preset {
        name: "oban",
        table: "oban_jobs",
        column: "attempted_at",
        schema: "public",
        states: &["ready", "in_flight", "delayed", "retry", "dead", "blocked", "canceled"],
        query: "SELECT queue, CASE state::text WHEN 'available' THEN 'ready' WHEN 'executing' THEN 'in_flight' \
                WHEN 'scheduled' THEN 'delayed' WHEN 'retryable' THEN 'retry' WHEN 'discarded' THEN 'dead' \
                WHEN 'suspended' THEN 'blocked' ELSE 'canceled' END AS state, count(*) AS count, \
                min(CASE WHEN state::text = 'executing' THEN attempted_at ELSE scheduled_at END) AS oldest \
                FROM {schema}.oban_jobs WHERE state::text <> 'completed' GROUP BY 1, 2",
        is_generator: false,
    },
    Preset {
        name: "solid-queue",
        table: "solid_queue_jobs",
        column: "active_job_id",
        schema: "public",
        states: &["ready", "in_flight", "delayed", "dead", "blocked"],
        query: "SELECT queue_name AS queue, 'ready' AS state, count(*) AS count, min(created_at) AS oldest \
                FROM {schema}.solid_queue_ready_executions GROUP BY 1 \
                UNION ALL SELECT queue_name, 'delayed', count(*), NULL FROM {schema}.solid_queue_scheduled_executions \
                GROUP BY 1 \
                UNION ALL SELECT queue_name, 'blocked', count(*), NULL FROM {schema}.solid_queue_blocked_executions \
                GROUP BY 1 \
                UNION ALL SELECT jobs.queue_name, 'in_flight', count(*), min(claimed.created_at) \
                FROM {schema}.solid_queue_claimed_executions AS claimed \
                JOIN {schema}.solid_queue_jobs AS jobs ON jobs.id = claimed.job_id GROUP BY 1 \
                UNION ALL SELECT jobs.queue_name, 'dead', count(*), NULL \
                FROM {schema}.solid_queue_failed_executions AS failed \
                JOIN {schema}.solid_queue_jobs AS jobs ON jobs.id = failed.job_id GROUP BY 1",
        is_generator: false,
    },
    Preset {
        name: "good-job",
        table: "good_jobs",
        column: "active_job_id",
        schema: "public",
        states: &["ready", "in_flight", "delayed", "retry", "dead"],
        query: "SELECT coalesce(queue_name, 'default') AS queue, CASE WHEN finished_at IS NOT NULL THEN 'dead' \
                WHEN coalesce(scheduled_at, created_at) > now() AND error IS NOT NULL THEN 'retry' \
                WHEN coalesce(scheduled_at, created_at) > now() THEN 'delayed' \
                WHEN performed_at IS NOT NULL THEN 'in_flight' ELSE 'ready' END AS state, count(*) AS count, \
                min(coalesce(performed_at, scheduled_at, created_at)) AS oldest \
                FROM {schema}.good_jobs WHERE finished_at IS NULL OR error IS NOT NULL GROUP BY 1, 2",
        is_generator: false,
    },
    Preset {
        name: "pgmq",
        table: "meta",
        column: "is_unlogged",
        schema: "pgmq",
        states: &["ready", "in_flight", "delayed"],
        query: "SELECT 'SELECT queue_name AS queue, ''ready'' AS state, 0 AS count, NULL::timestamptz AS oldest \
                FROM {schema}.meta' || coalesce(string_agg(format(' UNION ALL SELECT %L, CASE WHEN vt <= now() \
                THEN ''ready'' WHEN read_ct = 0 THEN ''delayed'' ELSE ''in_flight'' END, count(*), \
                min(CASE WHEN read_ct = 0 THEN greatest(enqueued_at, vt) WHEN vt <= now() THEN enqueued_at END) \
                FROM {schema}.%I GROUP BY 2', queue_name, 'q_' || lower(queue_name)), ''), '') FROM {schema}.meta",
        is_generator: true,
    },
];
