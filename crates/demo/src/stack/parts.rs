//! The parts of the demo: command lines, ports, links and displayed metrics.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::prometheus_config;

/// One process of the demo.
pub(crate) struct Part {
    /// Name, also used as the process's argument 0.
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) ports: Vec<u16>,
    /// Pages for a browser.
    pub(crate) links: Vec<String>,
    /// URL of the metrics, and the displayed ones with their label; all series of a metric are summed.
    pub(crate) metrics: Option<String>,
    pub(crate) values: &'static [(&'static str, &'static str)],
}

/// All parts, with `offset` added to their ports. They store files in `folder`.
pub(crate) fn all(offset: u16, folder: &Path, prometheus: Option<PathBuf>) -> Result<Vec<Part>> {
    let this = std::env::current_exe().context("cannot get the path of this executable")?;
    let part = |name, ports: &[u16], arguments: &[String]| Part {
        name,
        program: this.clone(),
        arguments: arguments.iter().map(OsString::from).collect(),
        ports: ports.to_vec(),
        links: Vec::new(),
        metrics: None,
        values: &[],
    };
    // The flag's limit keeps the highest port valid.
    let [app, app_metrics, web, queue] = [8080, 8002, 8081, 8082].map(|port| port + offset);
    let [cpu, httpd_log, app_status, queue_exporter, server] = [8000, 8001, 9877, 9100, 9090].map(|port| port + offset);
    let local = |port| format!("127.0.0.1:{port}");
    let url = |port, path: &str| format!("http://127.0.0.1:{port}{path}");
    let exporter = |name, port, arguments: &[String], values| {
        let metrics = url(port, "/metrics");
        let listen = format!("--web.listen-address={}", local(port));
        Part {
            links: vec![metrics.clone()],
            metrics: Some(metrics),
            values,
            ..part(name, &[port], &[&[listen], arguments].concat())
        }
    };
    let access_log = folder.join("access.log").display().to_string();

    let mut parts = vec![
        Part {
            links: vec![url(app, "/status"), url(app_metrics, "/metrics")],
            metrics: Some(url(app_metrics, "/metrics")),
            values: &[("requests_total", "responses"), ("rate_requests", "% with status 500")],
            ..part(
                "demo-app",
                &[app, app_metrics],
                &[
                    "app".to_owned(),
                    "--success-rate=50".to_owned(),
                    "--work=100ms".to_owned(),
                    format!("--listen={}", local(app)),
                    format!("--metrics-listen={}", local(app_metrics)),
                ],
            )
        },
        Part {
            links: vec![url(web, "/")],
            ..part(
                "demo-web",
                &[web],
                &["web".to_owned(), format!("--access-log={access_log}"), format!("--listen={}", local(web))],
            )
        },
        Part {
            links: vec![url(queue, "/queues")],
            ..part("demo-queue", &[queue], &["queue".to_owned(), format!("--listen={}", local(queue))])
        },
        part(
            "demo-load",
            &[],
            &[
                "load".to_owned(),
                format!("--app={}", url(app, "/")),
                format!("--web={}", url(web, "/")),
                format!("--queue={}", url(queue, "/queues")),
            ],
        ),
        exporter(
            "cpu-exporter",
            cpu,
            &[],
            &[("cpu_exporter_cpu_usage_seconds_total", "CPU seconds"), ("cpu_exporter_load1", "load")],
        ),
        exporter(
            "httpd-log-exporter",
            httpd_log,
            &[format!("--access-log={access_log}"), "--access-log.start=beginning".to_owned()],
            &[("httpd_requests_total", "requests"), ("httpd_bytes_sent_total", "bytes")],
        ),
        exporter(
            "app-status-exporter",
            app_status,
            &[format!("--app.url={}", url(app, "/status"))],
            &[("app_requests_current", "in work"), ("app_requests_pending", "waiting")],
        ),
        exporter(
            "queue-exporter",
            queue_exporter,
            &["--queue.system=http".to_owned(), format!("--queue.url={}", url(queue, "/queues"))],
            &[("messages_processed_total", "jobs done"), ("queue_depth", "waiting")],
        ),
    ];
    if let Some(program) = prometheus {
        parts.push(Part {
            program,
            links: vec![url(server, "/")],
            metrics: Some(url(server, "/metrics")),
            values: &[
                ("prometheus_tsdb_head_series", "series"),
                ("prometheus_tsdb_head_samples_appended_total", "samples"),
            ],
            ..part("prometheus", &[server], &prometheus_config::arguments(folder, &local(server)))
        });
    }
    Ok(parts)
}

/// The highest default port.
pub(crate) const HIGHEST_PORT: u16 = 9877;

/// Fails if a port is not free, and proposes an offset with free ports.
pub(crate) fn check_ports(parts: &[Part], offset: u16) -> Result<()> {
    let wanted = || parts.iter().flat_map(|part| part.ports.iter().map(|port| (part.name, *port)));
    let taken: Vec<_> = wanted()
        .filter_map(|(name, port)| Some((name, port, listen(port).err()?)))
        .map(|(name, port, error)| format!("port {port} for {name} ({})", error.kind()))
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    let all_free =
        |offset: &u16| wanted().all(|(_, port)| port.checked_add(*offset).is_some_and(|port| listen(port).is_ok()));
    let alternative = (1..=u16::MAX / 1000).map(|thousands| thousands * 1000).find(all_free);
    let example = alternative.map(|alternative| format!(", for example --port-offset {}", offset + alternative));
    bail!("cannot listen on {}; --port-offset N adds N to all ports{}", taken.join(", "), example.unwrap_or_default())
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}
