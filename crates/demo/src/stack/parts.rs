//! The parts of the demo: command lines, ports, links and displayed metrics.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::prometheus_config;

/// One process of the demo.
pub(crate) struct Part {
    /// Name, also used as the process's argument 0.
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Pages for a browser.
    pub(crate) links: Vec<String>,
    /// URL of the metrics, and the displayed ones with their label; all series of a metric are summed.
    pub(crate) metrics: Option<String>,
    pub(crate) values: &'static [(&'static str, &'static str)],
}

/// All parts. They store files in `folder`.
pub(crate) fn all(ports: &mut Ports, folder: &Path, prometheus: Option<PathBuf>) -> Result<Vec<Part>> {
    let this = std::env::current_exe().context("cannot get the path of this executable")?;
    let part = |name, arguments: &[String]| Part {
        name,
        program: this.clone(),
        arguments: arguments.iter().map(OsString::from).collect(),
        links: Vec::new(),
        metrics: None,
        values: &[],
    };
    let mut chosen = [0; DEFAULT_PORTS.len()];
    for (chosen, default) in chosen.iter_mut().zip(DEFAULT_PORTS) {
        *chosen = ports.choose(default)?;
    }
    let [cpu, httpd_log, app_metrics, app, web, queue, server, queue_exporter, app_status] = chosen;
    let local = |port| format!("127.0.0.1:{port}");
    let url = |port, path: &str| format!("http://127.0.0.1:{port}{path}");
    let exporter = |name, port, arguments: &[String], values| {
        let listen = format!("--web.listen-address={}", local(port));
        Part {
            links: vec![url(port, "/")],
            metrics: Some(url(port, "/metrics")),
            values,
            ..part(name, &[&[listen], arguments].concat())
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
                &["web".to_owned(), format!("--access-log={access_log}"), format!("--listen={}", local(web))],
            )
        },
        Part {
            links: vec![url(queue, "/queues")],
            ..part("demo-queue", &["queue".to_owned(), format!("--listen={}", local(queue))])
        },
        part(
            "demo-load",
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
            ..part("prometheus", &prometheus_config::arguments(folder, &local(server)))
        });
    }
    Ok(parts)
}

/// The highest default port.
pub(crate) const HIGHEST_PORT: u16 = DEFAULT_PORTS[8];

/// The default ports of all parts, sorted.
const DEFAULT_PORTS: [u16; 9] = [8000, 8001, 8002, 8080, 8081, 8082, 9090, 9100, 9877];

/// Chooses the ports: the default port plus an offset, or the next one that is free.
pub(crate) struct Ports {
    offset: u16,
    /// Ports that are not given to another part.
    reserved: Vec<u16>,
    /// The ports in use by other programs, and their replacements.
    pub(crate) replaced: Vec<(u16, u16)>,
}

impl Ports {
    /// Chooses no port yet. The offset must not exceed `u16::MAX - HIGHEST_PORT`.
    pub(crate) fn new(offset: u16) -> Self {
        Self { offset, reserved: DEFAULT_PORTS.map(|port| port + offset).to_vec(), replaced: Vec::new() }
    }

    fn choose(&mut self, default: u16) -> Result<u16> {
        let wanted = default + self.offset;
        if is_free(wanted) {
            return Ok(wanted);
        }
        let port = (wanted..=u16::MAX).find(|port| !self.reserved.contains(port) && is_free(*port));
        let port = port.with_context(|| format!("cannot listen on port {wanted}, and no higher port is free"))?;
        self.reserved.push(port);
        self.replaced.push((wanted, port));
        Ok(port)
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
