//! The routes: the metrics, probes, the landing page, `/-/healthy` and `/-/ready`.
//!
//! The filters are tried in this order: health, access control, pages, 404. So health needs no authentication, and
//! other paths do not reveal without authentication whether they exist.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Response, StatusCode};
use http_body_util::Empty;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::{Filter, Rejection, Reply};

use super::admission::Admission;
use super::authentication::{AuthClient, AuthResult, Authenticator};
use super::connection_limits::{Connections, RequestGuard};
use super::exporter_info::ExporterInfo;
use super::fair_queue::{FairQueue, QueueClient, Slot};
use super::gzip::Gzip;
use super::handler_metrics::HandlerMetrics;
use super::landing;
use super::refusal::Refusal;
use super::response_body::{ResponseBody, Unsendable};
use super::web_settings::WebConfiguration;
use crate::exposition::Exposition;
use crate::exposition::escaping::Escaping;
use crate::exposition::negotiation::{self, ExpositionFormat};
use crate::scrape::failure_log::{FailureLog, Transition};
use crate::scrape::probe::{Probe, ProbeError};
use crate::scrape::scrape_response::{Exporter, ScrapeFilter};

/// The response while a collector is not ready.
const CATCHING_UP: &str = "Catching up after the start, try again later.\n";

/// The limit of scrapes that wait.
const MAX_WAITING: usize = 1024;

/// The path of probes.
pub(crate) const PROBE: &str = "/probe";

/// What an exporter serves, and how.
pub(crate) struct Settings {
    pub(crate) exporter: Exporter,
    pub(crate) probe: Option<Probe>,
    pub(crate) web: Arc<WebConfiguration>,
    pub(crate) info: ExporterInfo,
    pub(crate) telemetry_path: String,
    pub(crate) timeout_offset: Duration,
    /// The limit of concurrent scrapes; 0 means no limit.
    pub(crate) max_requests: usize,
    pub(crate) handler_metrics: Arc<HandlerMetrics>,
    pub(crate) connections: Arc<Connections>,
    /// Whether OpenMetrics responses have created timestamps.
    pub(crate) openmetrics_created: bool,
}

/// The state that all requests share.
pub(crate) struct Router {
    pub(crate) exporter: Exporter,
    probe: Option<Probe>,
    pub(crate) web: Arc<WebConfiguration>,
    authenticator: Authenticator,
    pub(crate) info: ExporterInfo,
    telemetry_path: String,
    timeout_offset: Duration,
    max_requests: usize,
    scrapes: Arc<FairQueue>,
    handler_metrics: Arc<HandlerMetrics>,
    openmetrics_created: bool,
    gzip: Gzip,
    pub(super) connections: Arc<Connections>,
    admission: Arc<Admission>,
    refusals: Mutex<FailureLog>,
    /// Whether the first read of every source is over.
    pub(super) ready: AtomicBool,
}

/// Responds to one request of another HTTP server.
pub(crate) async fn respond(router: &Arc<Router>, mut request: http::Request<()>) -> warp::reply::Response {
    with_path(&mut request);
    let connections = router.connections.clone();
    let routes = routes(router.clone(), None, move || RequestGuard::unmonitored(&connections));
    let service = TowerToHyperService::new(warp::service(routes));
    let Ok(response) = service.call(request.map(|()| Empty::<Bytes>::new())).await;
    response
}

/// Gives a request for CONNECT, which has a host instead of a path, a path: without one, warp's path filter panics.
pub(super) fn with_path<B>(request: &mut http::Request<B>) {
    if request.uri().path_and_query().is_none() {
        *request.uri_mut() = http::Uri::from_static("/");
    }
}

/// A page, as a trait object: the futures of nested generic filters contain each other and made the programs larger.
type Page = BoxedFilter<(Response<ResponseBody>,)>;

/// The routes of one connection. `start` creates the guard of a request.
pub(crate) fn routes(
    router: Arc<Router>,
    peer: Option<IpAddr>,
    start: impl Fn() -> RequestGuard + Clone + Send + Sync + 'static,
) -> impl Filter<Extract = (warp::reply::Response,), Error = Infallible> + Clone {
    let health = healthy().or(ready(router.clone())).unify();
    let client = router.scrapes.client(peer);
    let scrapes = metrics(router.clone(), client.clone()).or(probe(router.clone(), client.clone())).unify();
    let pages = scrapes.or(landing_page(router.clone(), client)).unify();
    let response = health
        .or(refused(router.clone(), router.authenticator.client(peer)))
        .unify()
        .or(pages)
        .unify()
        .or(warp::any().map(not_found))
        .unify();
    warp::any().map(start).then(RequestGuard::yield_if_pipelined).and(response).then(
        move |request: RequestGuard, mut response: Response<ResponseBody>| {
            let router = router.clone();
            async move {
                response.headers_mut().extend(router.web.settings().await.headers.clone());
                response.map(|body| match body {
                    ResponseBody::Complete(body) => request.complete(body).into(),
                    ResponseBody::Pieces(pieces) => {
                        warp::reply::stream(stream::iter(request.pieces(pieces))).into_response().into_body()
                    }
                })
            }
        },
    )
}

/// `/-/healthy`: the process serves requests.
fn healthy() -> Page {
    page("/-/healthy".to_owned(), warp::any().map(|| plain(StatusCode::OK, "Healthy.\n")).boxed())
}

/// `/-/ready`: the first read of every source is over, and every collector is ready.
fn ready(router: Arc<Router>) -> Page {
    page("/-/ready".to_owned(), warp::any().map(move || router.readiness()).boxed())
}

/// The metrics, by default at `/metrics`.
fn metrics(router: Arc<Router>, client: Arc<QueueClient>) -> Page {
    let path = router.telemetry_path.clone();
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let respond = query.and(warp::header::headers_cloned()).then(move |query: String, headers: HeaderMap| {
        let (router, client) = (router.clone(), client.clone());
        async move {
            let in_flight = router.handler_metrics.start();
            let response = router.metrics(&query, &headers, &client).await;
            in_flight.finish(response.status());
            response
        }
    });
    page(path, respond.boxed())
}

/// `/probe`: the metrics of one of many targets.
fn probe(router: Arc<Router>, client: Arc<QueueClient>) -> Page {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let respond = query.and(warp::header::headers_cloned()).then(move |query: String, headers: HeaderMap| {
        let (router, client) = (router.clone(), client.clone());
        async move {
            match &router.probe {
                Some(probe) => router.probe(probe, &query, &headers, &client).await,
                None => not_found(),
            }
        }
    });
    page(PROBE.to_owned(), respond.boxed())
}

/// `/`: the landing page.
fn landing_page(router: Arc<Router>, client: Arc<QueueClient>) -> Page {
    let respond = warp::any().then(move || {
        let (router, client) = (router.clone(), client.clone());
        async move { router.landing_page(&client).await }
    });
    page("/".to_owned(), respond.boxed())
}

/// Responds to requests that fail authentication or exceed the rate limit, and rejects all others.
fn refused(router: Arc<Router>, client: AuthClient) -> Page {
    let refusal = move |headers: HeaderMap| {
        let (router, client) = (router.clone(), client.clone());
        async move { router.refusal(&headers, &client).await.ok_or_else(warp::reject::not_found) }
    };
    warp::header::headers_cloned().and_then(refusal).boxed()
}

/// A page at exactly one path. Methods other than GET and HEAD get 405.
fn page(path: String, respond: Page) -> Page {
    exact(path).and(other_method().or(respond).unify()).boxed()
}

/// Responds 405 to methods other than GET and HEAD, and rejects these.
fn other_method() -> Page {
    let refusal = |method: Method| {
        let other = !matches!(method, Method::GET | Method::HEAD);
        std::future::ready(if other { Ok(method_not_allowed()) } else { Err(warp::reject::not_found()) })
    };
    warp::method().and_then(refusal).boxed()
}

/// Accepts exactly one path; `warp::path` would also accept a trailing slash.
fn exact(path: String) -> impl Filter<Extract = (), Error = Rejection> + Clone {
    let matches = move |full: FullPath| {
        let result = if full.as_str() == path { Ok(()) } else { Err(warp::reject::not_found()) };
        std::future::ready(result)
    };
    warp::path::full().and_then(matches).untuple_one()
}

impl Router {
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings {
            exporter,
            probe,
            web,
            info,
            telemetry_path,
            timeout_offset,
            max_requests,
            handler_metrics,
            connections,
            openmetrics_created,
        } = settings;
        let slots = if max_requests == 0 { usize::MAX } else { max_requests };
        Self {
            exporter,
            probe,
            web,
            authenticator: Authenticator::new(),
            info,
            telemetry_path,
            timeout_offset,
            max_requests,
            scrapes: FairQueue::new(slots, MAX_WAITING, MAX_WAITING),
            handler_metrics,
            openmetrics_created,
            gzip: Gzip::default(),
            admission: Admission::new(connections.clone()),
            connections,
            refusals: Mutex::default(),
            ready: AtomicBool::new(false),
        }
    }

    /// Reloads the web configuration and the configuration files of the sources.
    pub(crate) async fn reload(&self) {
        self.web.reload().await;
        join_all(self.exporter.sources.iter().map(|source| source.reload_files())).await;
    }

    /// The response to a request that is denied access, or `None` if access is granted.
    async fn refusal(&self, headers: &HeaderMap, client: &AuthClient) -> Option<Response<ResponseBody>> {
        let settings = self.web.settings().await;
        if settings.rate_limit.as_ref().is_some_and(|limit| !limit.allows()) {
            return Some(too_many_requests("Too Many Requests\n"));
        }
        if settings.users.is_empty() {
            return None;
        }
        match self.authenticator.check(&settings.users, headers, client).await {
            AuthResult::Granted => None,
            AuthResult::Denied => Some(unauthorized()),
            AuthResult::Busy => Some(too_many_requests("Too many passwords are being checked, try again later.\n")),
        }
    }

    fn readiness(&self) -> Response<ResponseBody> {
        if !self.collectors_are_ready() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, CATCHING_UP);
        }
        match self.ready.load(Ordering::Relaxed) {
            true => plain(StatusCode::OK, "Ready.\n"),
            false => plain(StatusCode::SERVICE_UNAVAILABLE, "The first read is in progress.\n"),
        }
    }

    async fn metrics(&self, query: &str, headers: &HeaderMap, client: &Arc<QueueClient>) -> Response<ResponseBody> {
        let limit = time_limit(headers, self.timeout_offset);
        let started = Instant::now();
        let Some(_slot) = self.slot(client, limit).await else { return self.refuse(Refusal::MaxRequests) };
        if !self.collectors_are_ready() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, CATCHING_UP);
        }
        let collectors: Vec<_> = self.exporter.sources.iter().map(|source| source.name()).collect();
        let filter = match ScrapeFilter::parse(query, &collectors) {
            Ok(filter) => filter,
            Err(error) => return plain(StatusCode::BAD_REQUEST, &format!("{error}\n")),
        };
        let (format, escaping) = negotiation::format(&joined(headers, ACCEPT));
        if !self.admission.room(limit.saturating_sub(started.elapsed())).await {
            return self.refuse(Refusal::Memory);
        }
        let limit = limit.saturating_sub(started.elapsed());
        let (exposition, _) = self.exporter.scrape(&filter, limit, escaping).await;
        self.exposition(exposition, format, escaping, headers)
    }

    /// A slot for a scrape, if there is one in time.
    async fn slot(&self, client: &Arc<QueueClient>, time_limit: Duration) -> Option<Slot> {
        let slot = self.scrapes.slot(client, false);
        // the other half is for the scrape: otherwise its collectors would seem to have failed
        tokio::time::timeout((time_limit / 2).min(self.exporter.timeout), slot).await.ok().flatten()
    }

    /// The metrics of a probe.
    async fn probe(
        &self,
        probe: &Probe,
        query: &str,
        headers: &HeaderMap,
        client: &Arc<QueueClient>,
    ) -> Response<ResponseBody> {
        let limit = time_limit(headers, self.timeout_offset);
        let started = Instant::now();
        let Some(_slot) = self.slot(client, limit).await else { return self.refuse(Refusal::MaxRequests) };
        let request = match probe.parse(query) {
            Ok(request) => request,
            Err(ProbeError::Invalid(error)) => return plain(StatusCode::BAD_REQUEST, &format!("{error}\n")),
            Err(ProbeError::Forbidden(error)) => return plain(StatusCode::FORBIDDEN, &format!("{error}\n")),
        };
        let (format, escaping) = negotiation::format(&joined(headers, ACCEPT));
        let limit = limit.min(probe.own_timeout().unwrap_or(self.exporter.timeout));
        let mut families = probe.run(&request, limit.saturating_sub(started.elapsed())).await;
        escaping.apply(&mut families);
        let exposition = Exposition::merge(families);
        self.exporter.duplicates.fetch_add(exposition.duplicates, Ordering::Relaxed);
        self.exposition(exposition, format, escaping, headers)
    }

    /// The response with metrics in a format.
    fn exposition(
        &self,
        exposition: Exposition,
        format: ExpositionFormat,
        escaping: Escaping,
        headers: &HeaderMap,
    ) -> Response<ResponseBody> {
        let compressor = self.gzip.negotiate(&joined(headers, ACCEPT_ENCODING));
        let compressed = compressor.is_some();
        let body = match ResponseBody::of(exposition, format, self.openmetrics_created, compressor, &self.admission) {
            Ok(body) => body,
            Err(Unsendable::NoRoom) => return self.refuse(Refusal::Memory),
            Err(Unsendable::Gzip(error)) => {
                return plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("cannot compress the metrics: {error}\n"));
            }
        };
        self.log_refusal(None);
        let mut response = Response::new(body);
        let content_type = HeaderValue::try_from(format.content_type(escaping));
        response.headers_mut().extend(content_type.map(|value| (CONTENT_TYPE, value)));
        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if compressed {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    /// The response to a scrape that exceeds a limit.
    fn refuse(&self, reason: Refusal) -> Response<ResponseBody> {
        let limit = match reason {
            Refusal::MaxRequests => format!("Limit of concurrent requests reached ({})", self.max_requests),
            Refusal::Memory => "Limit of memory for unsent responses reached".to_owned(),
        };
        self.handler_metrics.refuse(reason);
        self.log_refusal(Some(&limit));
        let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, &format!("{limit}, try again later.\n"));
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    /// Logs the first refused scrape, and the first accepted one after it.
    fn log_refusal(&self, limit: Option<&str>) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner); // always consistent
        match refusals.transition(limit) {
            Transition::None => {}
            Transition::Recovered => tracing::info!("scrapes are accepted again"),
            Transition::Failed | Transition::ReasonChanged => {
                tracing::warn!(reason = limit.unwrap_or_default(), "scrape refused with status 503");
            }
        }
    }

    fn collectors_are_ready(&self) -> bool {
        self.exporter.sources.iter().all(|source| source.is_ready())
    }

    /// The landing page, with the metrics of a scrape.
    async fn landing_page(&self, client: &Arc<QueueClient>) -> Response<ResponseBody> {
        let scraped = match self.slot(client, self.exporter.timeout).await {
            None => Err("The limit of concurrent scrapes is reached: reload the page to see the metrics."),
            Some(_) if !self.collectors_are_ready() => Err(CATCHING_UP),
            Some(_slot) => {
                let everything = ScrapeFilter::default();
                Ok(self.exporter.scrape(&everything, self.exporter.timeout, Escaping::AllowUtf8).await.0)
            }
        };
        let page = landing::page(&self.info, &self.telemetry_path, scraped.as_ref().map_err(|why| *why));
        let mut response = plain(StatusCode::OK, &page);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(landing::POLICY));
        response
    }
}

fn plain(status: StatusCode, text: &str) -> Response<ResponseBody> {
    let mut response = Response::new(text.as_bytes().to_vec().into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn not_found() -> Response<ResponseBody> {
    plain(StatusCode::NOT_FOUND, "Not found.\n")
}

fn method_not_allowed() -> Response<ResponseBody> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn unauthorized() -> Response<ResponseBody> {
    let mut response = plain(StatusCode::UNAUTHORIZED, "Unauthorized\n");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn too_many_requests(text: &str) -> Response<ResponseBody> {
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Prometheus's scrape timeout minus the safety margin; no limit without Prometheus's header.
fn time_limit(headers: &HeaderMap, offset: Duration) -> Duration {
    let header = headers.get("X-Prometheus-Scrape-Timeout-Seconds").and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.parse::<f64>().ok()).filter(|seconds| *seconds > 0.0);
    let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    timeout.map_or(Duration::MAX, |timeout| timeout.saturating_sub(offset).max(timeout / 2))
}

/// The values of a repeatable header as one list.
fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_limit_is_the_header_minus_the_offset_and_at_least_half_of_the_header() {
        for (header, millis) in [("10", 9500), ("0.6", 300), ("1", 500), ("1.5", 1000)] {
            let mut headers = HeaderMap::new();
            headers.insert("x-prometheus-scrape-timeout-seconds", HeaderValue::from_static(header));
            assert_eq!(time_limit(&headers, Duration::from_millis(500)), Duration::from_millis(millis), "{header}");
        }
        for header in ["0", "-1", "NaN", "ten", "inf", "1e400"] {
            let mut headers = HeaderMap::new();
            headers.insert("x-prometheus-scrape-timeout-seconds", HeaderValue::from_static(header));
            assert_eq!(time_limit(&headers, Duration::ZERO), Duration::MAX, "{header}");
        }
    }
}
