//! What is served: `/metrics`, `/`, `/-/healthy`, `/-/ready`.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Response, StatusCode};
use tokio::sync::Semaphore;
use warp::Filter;
use warp::path::FullPath;

use super::authentication::{AuthResult, Authenticator};
use super::connection_limits::RequestGuard;
use super::landing::{self, ExporterInfo};
use super::web_settings::WebConfiguration;

use crate::exposition::escaping::Escaping;
use crate::exposition::negotiation;
use crate::scrape::scrape_response::{Exporter, ScrapeFilter};

/// What is answered for a collector that may not be asked yet.
const CATCHING_UP: &str = "Catching up with what happened before the start, try again later.\n";

/// All that is served, to every client.
pub(crate) struct Router {
    pub(crate) exporter: Arc<Exporter>,
    pub(crate) web: Arc<WebConfiguration>,
    pub(crate) logins: Authenticator,
    pub(crate) about: ExporterInfo,
    pub(crate) telemetry_path: String,
    pub(crate) timeout_offset: Duration,
    pub(crate) max_requests: usize,
    pub(crate) scrapes: Semaphore,
    pub(crate) gzip: Gzip,
    pub(crate) ready: AtomicBool,
}

/// The routes for one connection; `begin` is called for each request.
pub(crate) fn routes(
    router: Arc<Router>,
    peer: Option<IpAddr>,
    begin: impl Fn() -> RequestGuard + Clone + Send + Sync + 'static,
) -> impl Filter<Extract = (Response<Bytes>,), Error = std::convert::Infallible> + Clone {
    warp::any()
        .map(move || (router.clone(), begin()))
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .then(move |(router, request): (Arc<Router>, RequestGuard), method, path: FullPath, query: String, headers| async move {
            let response = router.guarded(&method, path.as_str(), &query, &headers, peer).await;
            response.map(|body| request.answer(body))
        })
}

impl Router {
    /// The answer, for those who may have it, with the headers that the configuration wants.
    async fn guarded(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Response<Vec<u8>> {
        let settings = self.web.settings().await;
        let health = matches!(path, "/-/healthy" | "/-/ready");
        let limited = !health && settings.rate_limit.as_ref().is_some_and(|limit| !limit.allows());
        let login = match health || settings.users.is_empty() {
            _ if limited => AuthResult::Busy,
            true => AuthResult::Granted,
            false => self.logins.check(&settings.users, headers, peer).await,
        };
        let mut response = match login {
            AuthResult::Granted => self.answer(method, path, query, headers).await,
            AuthResult::Denied => {
                let mut response = plain(StatusCode::UNAUTHORIZED, "Unauthorized\n");
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
                response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                response
            }
            AuthResult::Busy => {
                let text = match limited {
                    true => "Too Many Requests\n",
                    false => "Too many logins are being checked, try again later.\n",
                };
                let mut response = plain(StatusCode::TOO_MANY_REQUESTS, text);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
        };
        response.headers_mut().extend(settings.headers.clone());
        response
    }

    async fn answer(&self, method: &Method, path: &str, query: &str, headers: &HeaderMap) -> Response<Vec<u8>> {
        let known = [self.telemetry_path.as_str(), "/", "/-/healthy", "/-/ready"].contains(&path);
        if known && !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            path if path == self.telemetry_path => self.metrics(query, headers).await,
            "/" => self.landing_page().await,
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
        let wanted = match ScrapeFilter::parse(query, &collectors) {
            Ok(wanted) => wanted,
            Err(why) => return plain(StatusCode::BAD_REQUEST, &format!("{why}\n")),
        };
        let (format, escaping) = negotiation::format(&joined(headers, ACCEPT));
        let (exposition, _) = self.exporter.scrape(&wanted, budget(headers, self.timeout_offset), escaping).await;
        let mut body = Vec::with_capacity(16 * 1024);
        format.encode(&exposition, &mut body);
        let mut response = Response::new(body);
        let content_type = HeaderValue::try_from(format.content_type(escaping));
        response.headers_mut().extend(content_type.map(|value| (CONTENT_TYPE, value)));
        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if negotiation::gzip(&joined(headers, ACCEPT_ENCODING))
            && let Ok(smaller) = self.gzip.compress(response.body())
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

    /// The page for people, with a scrape of its own.
    async fn landing_page(&self) -> Response<Vec<u8>> {
        let found = match self.scrapes.try_acquire() {
            Err(_) => Err("Too many scrapes are being answered: load the page again to see the metrics."),
            Ok(_) if !self.caught_up() => Err(CATCHING_UP),
            Ok(_permit) => {
                let wanted = ScrapeFilter::default();
                Ok(self.exporter.scrape(&wanted, self.exporter.timeout, Escaping::AllowUtf8).await.0)
            }
        };
        let page = landing::page(&self.about, &self.telemetry_path, found.as_ref().map_err(|why| *why));
        let mut response = plain(StatusCode::OK, &page);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(HeaderValue::from_str(&landing::POLICY).map(|policy| (CONTENT_SECURITY_POLICY, policy)));
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

/// The compressor, made once: its tables are far larger than most answers.
pub(crate) struct Gzip(Mutex<Compress>);

impl Gzip {
    pub(crate) fn new() -> Self {
        const WINDOW: u8 = 15; // bits: the largest
        Self(Mutex::new(Compress::new_gzip(Compression::fast(), WINDOW)))
    }

    fn compress(&self, body: &[u8]) -> Result<Vec<u8>, flate2::CompressError> {
        let mut compress = self.0.lock().unwrap_or_else(PoisonError::into_inner); // begun anew
        compress.reset();
        let mut smaller = Vec::with_capacity(body.len() / 4 + 64);
        loop {
            let read = compress.total_in() as usize; // of this body, whose length is a usize
            let status = compress.compress_vec(&body[read..], &mut smaller, FlushCompress::Finish)?;
            if status == Status::StreamEnd {
                return Ok(smaller);
            }
            smaller.reserve(smaller.capacity()); // it is full
        }
    }
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
        let gzip = Gzip::new();
        for lines in [0, 1, 100, 100_000] {
            let text: Vec<u8> = (0..lines).flat_map(|line| format!("series {}\n", line * 7919).into_bytes()).collect();
            let compressed = gzip.compress(&text).unwrap();
            let mut read = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&compressed[..]), &mut read).unwrap();
            assert_eq!(read, text);
            assert!(lines < 100 || compressed.len() < text.len(), "{lines}");
        }
    }
}
