//! `demo web`: a web server with a few pages and an access log.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use exporter_common::config::calendar::MONTHS;
use tokio::sync::mpsc;
use warp::filters::BoxedFilter;
use warp::host::Authority;
use warp::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use warp::path::FullPath;
use warp::{Filter, Rejection, Reply};

use crate::numbers::whole;
use crate::server::{listen, serve};

/// The flags of `demo web`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Access log to append to, in the combined format
    #[arg(long, value_name = "FILE")]
    access_log: PathBuf,

    /// Size at which the access log is renamed to FILE.1 and a new one is started; 0 disables rotation
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = whole(0..=u64::MAX))]
    rotate_at: u64,

    /// Listen address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8081")]
    listen: String,
}

/// Maximum number of buffered log lines; above it, requests wait for the disk.
const MAX_BUFFERED_LINES: usize = 1024;

/// Runs the web server until it is stopped and all log lines are written.
pub(crate) async fn run(args: Args) -> Result<()> {
    let log = AccessLog::open(args.access_log, args.rotate_at)?;
    let listener = listen(&args.listen).await?;
    let (lines, waiting) = mpsc::channel(MAX_BUFFERED_LINES);
    let mut writer = tokio::task::spawn_blocking(move || log.write(waiting));
    tokio::select! {
        served = serve("web", listener, routes(lines)) => {
            served?; // the sender was dropped with the routes, so the writer finishes
            writer.await?
        }
        // Without a correct log the server is useless, so it exits.
        result = &mut writer => result?,
    }
}

/// The access log with its rotation.
struct AccessLog {
    path: PathBuf,
    file: File,
    size: u64,
    rotate_at: u64,
}

impl AccessLog {
    fn open(path: PathBuf, rotate_at: u64) -> Result<Self> {
        let (file, size) = append(&path)?;
        Ok(Self { path, file, size, rotate_at })
    }

    /// Writes lines until the channel is closed. Under load, several lines are written together.
    fn write(mut self, mut lines: mpsc::Receiver<String>) -> Result<()> {
        let mut batch = Vec::new();
        while lines.blocking_recv_many(&mut batch, MAX_BUFFERED_LINES) > 0 {
            let text = batch.concat();
            batch.clear();
            let cannot = || format!("cannot write to {}", self.path.display());
            self.file.write_all(text.as_bytes()).with_context(cannot)?;
            self.size += text.len() as u64;
            if self.rotate_at > 0 && self.size >= self.rotate_at {
                self.rotate()?;
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        std::fs::rename(&self.path, &old).with_context(|| format!("cannot rename {}", self.path.display()))?;
        (self.file, self.size) = append(&self.path)?;
        Ok(())
    }
}

fn append(path: &Path) -> Result<(File, u64)> {
    let cannot = || format!("cannot append to {}", path.display());
    let file = File::options().create(true).append(true).open(path).with_context(cannot)?;
    let size = file.metadata().with_context(cannot)?.len();
    Ok((file, size))
}

fn routes(lines: mpsc::Sender<String>) -> BoxedFilter<(impl Reply,)> {
    warp::method()
        .and(host().or(warp::path::full().map(|path: FullPath| path.as_str().to_owned())).unify())
        .and(warp::query::raw().map(|query| format!("?{query}")).or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::addr::remote())
        .then(move |method: Method, path: String, query: String, headers: HeaderMap, remote| {
            let lines = lines.clone();
            async move {
                let response = page(&method, &path);
                let sent = if method == Method::HEAD { 0 } else { response.body().len() };
                let target = format!("{path}{query}");
                let request = (&method, target.as_str(), response.status(), sent);
                // The writer receives lines until the server has stopped.
                let _ = lines.send(line(remote, SystemTime::now(), request, &headers)).await;
                response
            }
        })
        .boxed()
}

/// The host of a CONNECT request, which has no path: warp's path filter would panic.
fn host() -> impl Filter<Extract = (String,), Error = Rejection> + Clone {
    let connect = |method| async move { if method == Method::CONNECT { Ok(()) } else { Err(warp::reject()) } };
    let named = warp::host::optional().or(warp::any().map(|| None)).unify();
    warp::method().and_then(connect).untuple_one().and(named).map(|host: Option<Authority>| match host {
        Some(host) => host.to_string(),
        None => "-".to_owned(),
    })
}

/// The response for a path.
fn page(method: &Method, path: &str) -> Response<String> {
    let (status, body) = match (method.as_str(), path) {
        ("GET" | "HEAD", "/") => (StatusCode::OK, HOME.to_owned()),
        ("GET" | "HEAD", "/products") => (StatusCode::OK, (1..=100).map(|n| format!("Product {n}\n")).collect()),
        ("GET" | "HEAD", "/old") => (StatusCode::MOVED_PERMANENTLY, String::new()),
        ("GET" | "HEAD", "/broken") => (StatusCode::INTERNAL_SERVER_ERROR, "This page is broken.\n".to_owned()),
        ("POST", "/orders") => (StatusCode::CREATED, "Ordered.\n".to_owned()),
        ("CONNECT", _) | (_, "/" | "/products" | "/old" | "/broken" | "/orders") => {
            (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.\n".to_owned())
        }
        _ => (StatusCode::NOT_FOUND, "Not found.\n".to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if status == StatusCode::MOVED_PERMANENTLY {
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/products"));
    }
    response
}

const HOME: &str = "A shop: /products, POST /orders, /old has moved, /broken is broken.\n";

/// Formats a line of the combined format. The protocol is always HTTP/1.1, since warp does not report it.
fn line(
    remote: Option<SocketAddr>,
    time: SystemTime,
    (method, target, status, sent): (&Method, &str, StatusCode, usize),
    headers: &HeaderMap,
) -> String {
    let remote = remote.map_or_else(|| "-".to_owned(), |remote| remote.ip().to_string());
    let quoted = |name| escape(headers.get(name).map_or(b"-", HeaderValue::as_bytes));
    format!(
        "{remote} - - [{}] \"{method} {} HTTP/1.1\" {} {sent} \"{}\" \"{}\"\n",
        clock(time),
        escape(target.as_bytes()),
        status.as_u16(),
        quoted(header::REFERER),
        quoted(header::USER_AGENT),
    )
}

/// Escapes bytes sent by a client for use between quotes, like nginx and Apache.
fn escape(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'"' | b'\\' | 0..0x20 | 0x7f.. => format!("\\x{byte:02X}"),
        plain => char::from(*plain).to_string(),
    };
    bytes.iter().map(one).collect()
}

/// `20/Nov/2026:09:26:11 +0000`.
fn clock(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string(); // 2026-11-20T09:26:11Z
    let (date, clock) = text.split_at(10);
    let (year, month, day) = (&date[..4], &date[5..7], &date[8..]);
    let month = month.parse::<usize>().ok().and_then(|month| MONTHS.get(month - 1)).unwrap_or(&"???");
    format!("{day}/{month}/{year}:{} +0000", &clock[1..9])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn a_line_is_in_the_combined_format() {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static("a \"quoted\" agent"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_166_771);
        let remote = Some("127.0.0.1:5000".parse().unwrap());
        assert_eq!(
            line(remote, time, (&Method::POST, "/orders", StatusCode::CREATED, 9), &headers),
            "127.0.0.1 - - [20/Nov/2026:09:26:11 +0000] \"POST /orders HTTP/1.1\" 201 9 \"-\" \
             \"a \\x22quoted\\x22 agent\"\n"
        );
    }

    #[test]
    fn every_month_has_its_name() {
        for (seconds, expected) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, "28/Feb/2000:23:59:59 +0000"),
            (1_798_761_599, "31/Dec/2026:23:59:59 +0000"),
        ] {
            assert_eq!(clock(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn methods_that_a_page_does_not_support_are_refused() {
        for (method, path, status) in [
            (Method::GET, "/", 200),
            (Method::HEAD, "/products", 200),
            (Method::POST, "/orders", 201),
            (Method::GET, "/old", 301),
            (Method::DELETE, "/", 405),
            (Method::CONNECT, "example.com:443", 405),
            (Method::GET, "/orders", 405),
            (Method::GET, "/nothing", 404),
            (Method::GET, "/broken", 500),
        ] {
            assert_eq!(page(&method, path).status().as_u16(), status, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn a_connect_request_is_refused_and_logged() {
        let (lines, mut waiting) = mpsc::channel(10);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(warp::serve(routes(lines)).incoming(listener).run());
        for (request, logged) in [
            ("CONNECT a:80 HTTP/1.1\r\nHost: a:80", "CONNECT a:80 HTTP/1.1\" 405 "),
            ("CONNECT a:80 HTTP/1.1\r\nHost: other", "CONNECT - HTTP/1.1\" 405 "),
            ("CONNECT /x HTTP/1.1\r\nHost: a", "CONNECT a HTTP/1.1\" 405 "),
        ] {
            let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
            client.write_all(format!("{request}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
            let mut response = String::new();
            client.read_to_string(&mut response).await.unwrap();
            assert!(response.starts_with("HTTP/1.1 405 "), "{request}: {response}");
            let line = waiting.recv().await.unwrap();
            assert!(line.contains(logged), "{request}: {line}");
        }
        serving.abort();
    }
}
