//! `demo alerts`: a webhook receiver for Alertmanager that logs each alert.

use anyhow::Result;
use serde_json::Value;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::{Filter, Reply};

use crate::server::{listen, serve};

/// The flags of `demo alerts`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Listen address for notifications that Alertmanager posts
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8085")]
    listen: String,
}

/// Size limit of a notification; one with a thousand alerts is smaller.
const MAX_BODY: u64 = 4 << 20;

/// Receives notifications until the process is stopped.
pub(crate) async fn run(args: Args) -> Result<()> {
    serve("alerts", listen(&args.listen).await?, routes()).await
}

fn routes() -> BoxedFilter<(impl Reply,)> {
    let healthy = warp::path!("healthy").and(warp::get().or(warp::head()).unify()).map(|| StatusCode::OK);
    let paths = warp::path::end().or(warp::path!("heartbeat")).unify();
    let notified = paths.and(warp::post()).and(warp::body::content_length_limit(MAX_BODY)).and(warp::body::json()).map(
        |notification: Value| {
            let alerts = notification["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
            alerts.iter().for_each(log_alert);
            StatusCode::OK
        },
    );
    healthy.or(notified).unify().boxed()
}

/// Logs one alert with the fields that the on-call engineer needs first.
fn log_alert(alert: &Value) {
    let text = |part: &str, name: &str| alert[part][name].as_str().unwrap_or_default().to_owned();
    tracing::info!(
        status = alert["status"].as_str().unwrap_or_default(),
        alertname = text("labels", "alertname"),
        severity = text("labels", "severity"),
        instance = text("labels", "instance"),
        summary = text("annotations", "summary"),
        runbook = text("annotations", "runbook_url"),
        dashboard = text("annotations", "dashboard_url"),
        "alert",
    );
}
