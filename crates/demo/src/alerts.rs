//! The end of the line for alerts: takes what Alertmanager sends to a webhook, and logs a line for each alert.

use anyhow::Result;
use serde_json::Value;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::{Filter, Reply};

use crate::serve::{listen, serve};

/// The flags of `demo alerts`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where Alertmanager sends its notifications, by POST
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8085")]
    listen: String,
}

/// A notification of a thousand alerts is shorter.
const LONGEST: u64 = 4 << 20;

/// Takes notifications until the process is stopped.
pub(crate) async fn run(args: Args) -> Result<()> {
    serve("alerts", listen(&args.listen).await?, routes()).await
}

fn routes() -> BoxedFilter<(impl Reply,)> {
    let healthy = warp::path!("healthy").and(warp::get().or(warp::head()).unify()).map(|| StatusCode::OK);
    let sent_to = warp::path::end().or(warp::path!("heartbeat")).unify();
    let notified =
        sent_to.and(warp::post()).and(warp::body::content_length_limit(LONGEST)).and(warp::body::json()).map(
            |notification: Value| {
                let alerts = notification["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
                alerts.iter().for_each(tell);
                StatusCode::OK
            },
        );
    healthy.or(notified).unify().boxed()
}

/// One line for one alert: what a person who is called wants to know first.
fn tell(alert: &Value) {
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
