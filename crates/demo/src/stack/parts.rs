//! The parts of the demo: command lines, ports, links and displayed metrics.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::prometheus_config;
use super::series::Series;

/// One process of the demo.
pub(crate) struct Part {
    /// Name, also used as the process's argument 0.
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Pages for a browser.
    pub(crate) links: Vec<String>,
    /// URL of the metrics, and the displayed values.
    pub(crate) metrics: Option<String>,
    pub(crate) values: &'static [Series],
}

/// All parts. They store files in `folder`.
pub(crate) fn all(ports: &Ports, folder: &Path, prometheus: Option<PathBuf>) -> Result<Vec<Part>> {
    let this = std::env::current_exe().context("cannot get the path of this executable")?;
    let part = |name, arguments: &[String]| Part {
        name,
        program: this.clone(),
        arguments: arguments.iter().map(OsString::from).collect(),
        links: Vec::new(),
        metrics: None,
        values: &[],
    };
    let [cpu, httpd_log, app_metrics, app, web, queue, _, server, queue_exporter, app_status] = ports.chosen;
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
            values: const {
                &[Series::sum("requests_total", "responses"), Series::sum("rate_requests", "% with status 500")]
            },
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
            const {
                &[
                    Series {
                        metric: "cpu_exporter_cpu_usage_seconds_total",
                        wanted: |labels, _| !labels.contains("mode=\"idle\""),
                        name: "busy CPU seconds",
                    },
                    Series::sum("cpu_exporter_load1", "load"),
                ]
            },
        ),
        exporter(
            "httpd-log-exporter",
            httpd_log,
            &[format!("--access-log={access_log}"), "--access-log.start=beginning".to_owned()],
            const {
                &[
                    Series::sum("httpd_requests_total", "requests"),
                    Series {
                        metric: "httpd_requests_total",
                        wanted: |labels, _| labels.contains("status_code=\"5"),
                        name: "with status 5xx",
                    },
                ]
            },
        ),
        exporter(
            "app-status-exporter",
            app_status,
            &[format!("--app.url={}", url(app, "/status"))],
            const { &[Series::sum("app_requests_current", "in work"), Series::sum("app_requests_pending", "waiting")] },
        ),
        exporter(
            "queue-exporter",
            queue_exporter,
            &["--queue.system=http".to_owned(), format!("--queue.url={}", url(queue, "/queues"))],
            const { &[Series::sum("messages_processed_total", "jobs done"), Series::sum("queue_depth", "waiting")] },
        ),
    ];
    if let Some(program) = prometheus {
        parts.push(Part {
            program,
            links: vec![url(server, "/")],
            metrics: Some(url(server, "/metrics")),
            values: const {
                &[
                    Series::sum_above_0("prometheus_tsdb_head_series", "series"),
                    Series::sum_above_0("prometheus_tsdb_head_samples_appended_total", "samples"),
                ]
            },
            ..part("prometheus", &prometheus_config::arguments(folder, &local(server)))
        });
    }
    Ok(parts)
}

/// The highest default port.
pub(crate) const HIGHEST_PORT: u16 = DEFAULT_PORTS[9];

/// The default ports of all parts, sorted.
const DEFAULT_PORTS: [u16; 10] = [8000, 8001, 8002, 8080, 8081, 8082, 8090, 9090, 9100, 9877];

/// The ports: each the default port plus an offset, or the next one that is free.
pub(crate) struct Ports {
    chosen: [u16; DEFAULT_PORTS.len()],
    /// The ports in use by other programs, and their replacements.
    pub(crate) replaced: Vec<(u16, u16)>,
}

impl Ports {
    /// Chooses all ports. The offset must not exceed `u16::MAX - HIGHEST_PORT`.
    pub(crate) fn choose(offset: u16) -> Result<Self> {
        let mut chosen = DEFAULT_PORTS.map(|port| port + offset);
        let mut replaced = Vec::new();
        for at in 0..chosen.len() {
            let wanted = chosen[at];
            if is_free(wanted) {
                continue;
            }
            let port = (wanted..=u16::MAX).find(|port| !chosen.contains(port) && is_free(*port));
            chosen[at] = port.with_context(|| format!("port {wanted} is in use, and no higher port is free"))?;
            replaced.push((wanted, chosen[at]));
        }
        Ok(Self { chosen, replaced })
    }

    /// The port of the demo's page.
    pub(crate) fn page(&self) -> u16 {
        self.chosen[6]
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_has_no_values_before_its_first_scrape() {
        let parts = all(&Ports::choose(0).unwrap(), Path::new("/f"), Some("prometheus".into())).unwrap();
        let prometheus = parts.iter().find(|part| part.name == "prometheus").unwrap();
        let read = |text: &str| prometheus.values.iter().map(|series| series.read(text)).collect::<Vec<_>>();
        let empty = "prometheus_tsdb_head_series 0\nprometheus_tsdb_head_samples_appended_total{type=\"float\"} 0\n";
        assert_eq!(read(empty), [None, None]);
        let scraped = empty.replace(" 0\n", " 7\n");
        assert_eq!(read(&scraped), [Some(7.0), Some(7.0)]);
    }
}
