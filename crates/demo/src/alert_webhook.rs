//! `demo alerts`: receives notifications of Alertmanager (webhook, page, mail) and logs them.

use anyhow::Result;
use serde_json::Value;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::{Filter, Reply};

use crate::alert_mail;
use crate::notification::{self, notification};
use crate::server::{listen, serve};

/// The flags of `demo alerts`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Listen address for notifications that Alertmanager posts
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8085")]
    listen: String,

    /// Listen address for mail from Alertmanager (SMTP)
    #[arg(long, value_name = "HOST:PORT")]
    mail_listen: Option<String>,
}

/// Receives notifications until the process is stopped.
pub(crate) async fn run(args: Args) -> Result<()> {
    if let Some(address) = &args.mail_listen {
        tokio::spawn(alert_mail::run(listen(address).await?));
    }
    serve("alerts", listen(&args.listen).await?, routes()).await
}

fn routes() -> BoxedFilter<(impl Reply,)> {
    let healthy =
        warp::path!("healthy").and(warp::get().or(warp::head()).unify()).map(|| StatusCode::OK.into_response());
    let metrics = warp::path!("metrics").and(warp::get()).map(|| notification::metrics().into_response());
    let paths = warp::path::end().or(warp::path!("heartbeat")).unify();
    let notified =
        paths.and(warp::post()).and(notification()).map(|received: Result<Value, StatusCode>| match received {
            Ok(notification) => {
                let alerts = notification["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
                alerts.iter().for_each(log_alert);
                StatusCode::OK.into_response()
            }
            Err(status) => status.into_response(),
        });
    // events in the format of PagerDuty, version 2
    let page = warp::path!("page").and(warp::post()).and(notification());
    let paged = page.map(|received: Result<Value, StatusCode>| match received {
        Ok(event) => {
            log_page(&event);
            warp::reply::with_status(r#"{"status": "success"}"#, StatusCode::ACCEPTED).into_response()
        }
        Err(status) => status.into_response(),
    });
    healthy.or(metrics).unify().or(notified).unify().or(paged).unify().boxed()
}

/// Logs a page with its links.
fn log_page(event: &Value) {
    let links = event["links"].as_array().map(Vec::as_slice).unwrap_or_default();
    let links: Vec<_> = links.iter().filter_map(|link| link["href"].as_str()).collect();
    let action = event["event_action"].as_str().unwrap_or_default();
    let summary = event["payload"]["summary"].as_str().unwrap_or_default();
    tracing::info!(action, summary, links = links.join(" "), "page");
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
