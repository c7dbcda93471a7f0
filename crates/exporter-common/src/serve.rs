//! The accept loop and the routes: `/metrics`, `/`, `/-/healthy`, `/-/ready`.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY,
};
use http::{Method, Response, StatusCode};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use warp::Filter;
use warp::path::FullPath;

use crate::answer::{Exporter, Wanted};
use crate::escaping::Escaping;
use crate::flags::{Common, ListenAddress};
use crate::negotiate;

/// What the landing page says.
pub(crate) struct About {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) about: &'static str,
}

/// How many connections are open at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 512;
/// How long a connection may take to send the head of a request, and so how long it may be idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(120);
/// How long requests under way have to end when the process is stopped.
const DRAIN: Duration = Duration::from_secs(5);

/// What is answered for a collector that may not be asked yet.
const CATCHING_UP: &str = "Catching up with what happened before the start, try again later.\n";

struct Site {
    exporter: Arc<Exporter>,
    about: About,
    telemetry_path: String,
    timeout_offset: Duration,
    max_requests: usize,
    scrapes: Semaphore,
    ready: AtomicBool,
}

/// Serves until SIGTERM or SIGINT, then drains.
pub(crate) async fn serve(exporter: Arc<Exporter>, about: About, common: Common) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot handle SIGHUP")?;
    let mut listeners = Vec::new();
    for address in &common.listen_addresses {
        listeners.push(bind(address).await.with_context(|| format!("cannot listen on {address}"))?);
    }
    let permits = if common.max_requests == 0 { Semaphore::MAX_PERMITS } else { common.max_requests };
    let site = Arc::new(Site {
        exporter: exporter.clone(),
        about,
        telemetry_path: common.telemetry_path,
        timeout_offset: common.timeout_offset,
        max_requests: common.max_requests,
        scrapes: Semaphore::new(permits),
        ready: AtomicBool::new(false),
    });
    let mut tasks = JoinSet::new();
    for source in &exporter.sources {
        tasks.spawn(source.clone().run(exporter.timeout));
    }
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = Arc::new(GracefulShutdown::new());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let address = listener.local_addr().context("cannot tell the address")?;
        tracing::info!(%address, version = site.about.version, "listening");
        accepting.spawn(accept(listener, site.clone(), connections.clone(), graceful.clone()));
    }
    let first = site.clone();
    tasks.spawn(async move {
        first.exporter.scrape(&Wanted::default(), first.exporter.timeout, Escaping::AllowUtf8).await;
        first.ready.store(true, Ordering::Relaxed);
    });
    let signal = loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hangup.recv() => {
                if exporter.reloaded().next().is_none() {
                    tracing::info!("SIGHUP: no configuration file to read again");
                }
                for source in &exporter.sources {
                    let source = source.clone();
                    tasks.spawn(async move { source.reload().await });
                }
            }
        }
    };
    tracing::info!(signal, "stopping");
    accepting.shutdown().await; // closes the listeners
    if let Some(graceful) = Arc::into_inner(graceful)
        && tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err()
    {
        tracing::warn!("requests were still under way at the end");
    }
    tasks.shutdown().await;
    Ok(())
}

/// Binds the address; without a host all of IPv6 and IPv4, or IPv4 alone where there is no IPv6.
async fn bind(address: &ListenAddress) -> std::io::Result<TcpListener> {
    let Some(host) = &address.host else {
        return match TcpListener::bind(("::", address.port)).await {
            Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
                TcpListener::bind(("0.0.0.0", address.port)).await
            }
            bound => bound,
        };
    };
    let mut candidates: Vec<SocketAddr> = lookup_host((host.as_str(), address.port)).await?.collect();
    candidates.sort_by_key(SocketAddr::is_ipv6); // localhost is 127.0.0.1, as for Go programs
    TcpListener::bind(&candidates[..]).await
}

async fn accept(listener: TcpListener, site: Arc<Site>, connections: Arc<Semaphore>, graceful: Arc<GracefulShutdown>) {
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await; // out of descriptors: let some be closed
                continue;
            }
        };
        let _ = stream.set_nodelay(true); // only slower without
        let connection = graceful.watch(connection(stream, site.clone()));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended badly");
            }
            drop(permit);
        });
    }
}

fn connection(
    stream: TcpStream,
    site: Arc<Site>,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    let routes = warp::any()
        .map(move || site.clone())
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .then(|site: Arc<Site>, method: Method, path: FullPath, query: String, headers: HeaderMap| async move {
            site.answer(&method, path.as_str(), &query, &headers).await
        });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(warp::service(routes)))
}

impl Site {
    async fn answer(&self, method: &Method, path: &str, query: &str, headers: &HeaderMap) -> Response<Vec<u8>> {
        let known = [self.telemetry_path.as_str(), "/", "/-/healthy", "/-/ready"].contains(&path);
        if known && !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            path if path == self.telemetry_path => self.metrics(query, headers).await,
            "/" => self.landing_page(),
            "/-/healthy" => plain(StatusCode::OK, "Healthy.\n"),
            "/-/ready" if !self.caught_up() => plain(StatusCode::SERVICE_UNAVAILABLE, CATCHING_UP),
            "/-/ready" if self.ready.load(Ordering::Relaxed) => plain(StatusCode::OK, "Ready.\n"),
            "/-/ready" => plain(StatusCode::SERVICE_UNAVAILABLE, "The first read is under way.\n"),
            _ => plain(StatusCode::NOT_FOUND, "Not found.\n"),
        }
    }

    async fn metrics(&self, query: &str, headers: &HeaderMap) -> Response<Vec<u8>> {
        let Ok(_permit) = self.scrapes.try_acquire() else {
            let text = format!("Limit of concurrent requests reached ({}), try again later.\n", self.max_requests);
            return plain(StatusCode::SERVICE_UNAVAILABLE, &text);
        };
        if !self.caught_up() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, CATCHING_UP);
        }
        let collectors: Vec<_> = self.exporter.sources.iter().map(|source| source.name()).collect();
        let wanted = match Wanted::parse(query, &collectors) {
            Ok(wanted) => wanted,
            Err(why) => return plain(StatusCode::BAD_REQUEST, &format!("{why}\n")),
        };
        let (format, escaping) = negotiate::format(&joined(headers, ACCEPT));
        let (exposition, _) = self.exporter.scrape(&wanted, budget(headers, self.timeout_offset), escaping).await;
        let mut body = Vec::with_capacity(16 * 1024);
        format.encode(&exposition, &mut body);
        let mut response = Response::new(body);
        let content_type = HeaderValue::try_from(format.content_type(escaping));
        response.headers_mut().extend(content_type.map(|value| (CONTENT_TYPE, value)));
        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if negotiate::gzip(&joined(headers, ACCEPT_ENCODING))
            && let Ok(smaller) = gzip(response.body())
        {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            *response.body_mut() = smaller;
        }
        response
    }

    /// Whether every collector may be asked.
    fn caught_up(&self) -> bool {
        self.exporter.sources.iter().all(|source| source.ready())
    }

    fn landing_page(&self) -> Response<Vec<u8>> {
        let About { name, version, about } = &self.about;
        let metrics = &self.telemetry_path;
        let page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{name}</title>\n\
             <style>body {{ font-family: sans-serif; margin: 2rem auto; max-width: 40rem }}</style>\n</head>\n\
             <body>\n<h1>{name}</h1>\n<p>{about}</p>\n<p>Version {version}</p>\n<ul>\n\
             <li><a href=\"{metrics}\">Metrics</a></li>\n<li><a href=\"/-/healthy\">Healthy</a></li>\n\
             <li><a href=\"/-/ready\">Ready</a></li>\n</ul>\n</body>\n</html>\n",
            about = escape_html(about),
            metrics = escape_html(metrics),
        );
        let mut response = plain(StatusCode::OK, &page);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
        response
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(text.as_bytes().to_vec());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// How long Prometheus will wait, less the time an answer takes to get there; forever without its header.
fn budget(headers: &HeaderMap, offset: Duration) -> Duration {
    let header = headers.get("X-Prometheus-Scrape-Timeout-Seconds").and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.parse::<f64>().ok()).filter(|seconds| *seconds > 0.0);
    let announced = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    announced.map_or(Duration::MAX, |announced| announced.saturating_sub(offset).max(announced / 2))
}

/// The values of a header that may stand more than once, as one list.
fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_the_header_less_the_offset_but_at_least_half_of_it() {
        for (header, millis) in [("10", 9500), ("0.6", 300), ("1", 500), ("1.5", 1000)] {
            let mut headers = HeaderMap::new();
            headers.insert("x-prometheus-scrape-timeout-seconds", HeaderValue::from_static(header));
            assert_eq!(budget(&headers, Duration::from_millis(500)), Duration::from_millis(millis), "{header}");
        }
        for header in ["0", "-1", "NaN", "ten", "inf", "1e400"] {
            let mut headers = HeaderMap::new();
            headers.insert("x-prometheus-scrape-timeout-seconds", HeaderValue::from_static(header));
            assert_eq!(budget(&headers, Duration::ZERO), Duration::MAX, "{header}");
        }
    }

    #[test]
    fn what_is_compressed_can_be_read_again() {
        let text = b"cpu_exporter_load1 0.5\n".repeat(100);
        let compressed = gzip(&text).unwrap();
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&compressed[..]), &mut read).unwrap();
        assert_eq!(read, text);
        assert!(compressed.len() < text.len() / 4);
    }
}
