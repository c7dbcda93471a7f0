//! An exporter in a process with its own runtime: served on listeners, or mounted in an HTTP server.

use std::borrow::Cow;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::config::duration::LONGEST;
use crate::flags;
use crate::http::connection_limits::Connections;
use crate::http::exporter_info::ExporterInfo;
use crate::http::handler_metrics::HandlerMetrics;
use crate::http::listen::Listener;
use crate::http::router::{self, Router};
use crate::http::serve;
use crate::http::web_settings::WebConfiguration;
use crate::scrape::probe::Probe;
use crate::scrape::scrape_response::Exporter;
use crate::scrape::source::Source;
use crate::{log, process};

/// The sources of an exporter, and its probe if it has one.
///
/// ```
/// use scrapewright::{Probe, Source, Sources};
///
/// fn sources(source: Source, probe: Probe) -> Sources {
///     Sources::from(vec![source]).probe(probe)
/// }
/// ```
#[derive(Default)]
pub struct Sources {
    pub(crate) sources: Vec<Source>,
    pub(crate) probe: Option<Probe>,
}

impl From<Vec<Source>> for Sources {
    fn from(sources: Vec<Source>) -> Self {
        Self { sources, probe: None }
    }
}

impl From<Probe> for Sources {
    fn from(probe: Probe) -> Self {
        Self::default().probe(probe)
    }
}

impl Sources {
    /// Adds the probe, which is served at `/probe`.
    #[must_use]
    pub fn probe(mut self, probe: Probe) -> Self {
        self.probe = Some(probe);
        self
    }
}

/// An exporter in a process with its own runtime, command line and signals, which needs no [`Program`](crate::Program). It needs
/// tokio.
///
/// [`Service::serve`] serves it on listeners:
///
/// ```
/// # use scrapewright::{Collector, Scrape, Source, anyhow, async_trait};
/// # struct Jobs;
/// # #[async_trait]
/// # impl Collector for Jobs {
/// #     fn name(&self) -> &str { "jobs" }
/// #     async fn collect(&self, _: &Scrape) -> anyhow::Result<()> { Ok(()) }
/// # }
/// use scrapewright::{Listener, Service};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let service = Service::builder("shop", env!("CARGO_PKG_VERSION"), vec![Source::new(Jobs)]).build()?;
/// let listener = Listener::bind("127.0.0.1:0").await?;
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let serving = tokio::spawn(service.serve([listener], async {
///     let _ = stopped.await;
/// }));
/// drop(stop);
/// serving.await??;
/// # Ok(())
/// # }
/// ```
///
/// [`Service::respond`] responds to the requests of another HTTP server: hyper, axum, warp and all others with the
/// types of the crate `http`. In axum:
///
/// ```
/// # use scrapewright::{Collector, Scrape, Source, anyhow, async_trait};
/// # struct Jobs;
/// # #[async_trait]
/// # impl Collector for Jobs {
/// #     fn name(&self) -> &str { "jobs" }
/// #     async fn collect(&self, _: &Scrape) -> anyhow::Result<()> { Ok(()) }
/// # }
/// use axum::Router;
/// use axum::extract::Request;
/// use axum::routing::any;
/// use scrapewright::Service;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let service = Service::builder("shop", env!("CARGO_PKG_VERSION"), vec![Source::new(Jobs)]).build()?;
/// let background = service.clone();
/// tokio::spawn(async move { background.run().await }); // background work of the sources
/// let respond = any(move |request: Request| async move { service.respond(request).await });
/// let app: Router = Router::new().route("/metrics", respond);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Service {
    pub(crate) router: Arc<Router>,
}

/// The settings of a [`Service`].
///
/// ```
/// use std::time::Duration;
///
/// use scrapewright::{Service, Source, anyhow};
///
/// fn service(source: Source) -> anyhow::Result<Service> {
///     Service::builder("shop", env!("CARGO_PKG_VERSION"), vec![source])
///         .about("Exports the shop.")
///         .web_config("/etc/shop/web.yml")
///         .scrape_timeout(Duration::from_secs(5))
///         .timeout_offset(Duration::from_millis(100))
///         .max_requests(10)
///         .process_metrics(false)
///         .openmetrics_created(true)
///         .build()
/// }
/// ```
pub struct ServiceBuilder {
    info: ExporterInfo,
    revision: &'static str,
    sources: Sources,
    metrics_path: String,
    scrape_timeout: Duration,
    timeout_offset: Duration,
    max_requests: usize,
    process_metrics: bool,
    openmetrics_created: bool,
    web: WebSource,
}

/// Where the web configuration comes from.
enum WebSource {
    File(Option<PathBuf>),
    Loaded(Arc<WebConfiguration>),
}

impl ServiceBuilder {
    /// Sets the description on the landing page.
    #[must_use]
    pub fn about(mut self, about: impl Into<Cow<'static, str>>) -> Self {
        self.info.about = about.into();
        self
    }

    /// Sets the revision of the program's source, see [`Program::revision`](crate::Program::revision).
    #[must_use]
    pub fn revision(mut self, revision: Option<&'static str>) -> Self {
        self.revision = process::revision(revision);
        self
    }

    /// Sets the path of the metrics; `/metrics` by default.
    #[must_use]
    pub fn metrics_path(mut self, path: impl Into<String>) -> Self {
        self.metrics_path = path.into();
        self
    }

    /// Sets the maximum duration of a read of a source; 10 seconds by default.
    #[must_use]
    pub fn scrape_timeout(mut self, timeout: Duration) -> Self {
        self.scrape_timeout = timeout.min(LONGEST);
        self
    }

    /// Sets the safety margin subtracted from Prometheus's scrape timeout; 0.5 seconds by default.
    #[must_use]
    pub fn timeout_offset(mut self, offset: Duration) -> Self {
        self.timeout_offset = offset;
        self
    }

    /// Sets the maximum number of concurrent scrapes; 40 by default, 0 means no limit.
    #[must_use]
    pub fn max_requests(mut self, max: usize) -> Self {
        self.max_requests = max;
        self
    }

    /// Sets whether metrics about the exporter itself (`promhttp_*`, `process_*`) are exported; they are by default.
    #[must_use]
    pub fn process_metrics(mut self, exported: bool) -> Self {
        self.process_metrics = exported;
        self
    }

    /// Sets whether OpenMetrics responses have created timestamps, as additional series; by default not.
    #[must_use]
    pub fn openmetrics_created(mut self, added: bool) -> Self {
        self.openmetrics_created = added;
        self
    }

    /// Sets the web configuration file. [`Service::respond`] applies its authentication, rate limit and headers;
    /// [`Service::serve`] applies its TLS, too.
    #[must_use]
    pub fn web_config(mut self, file: impl Into<PathBuf>) -> Self {
        self.web = WebSource::File(Some(file.into()));
        self
    }

    pub(crate) fn loaded_web_config(mut self, web: Arc<WebConfiguration>) -> Self {
        self.web = WebSource::Loaded(web);
        self
    }

    /// The service.
    ///
    /// # Errors
    /// The path of the metrics is invalid or reserved; or the web configuration file, or a file that it names, is
    /// invalid.
    pub fn build(self) -> Result<Service> {
        let path =
            flags::telemetry_path(&self.metrics_path).map_err(anyhow::Error::msg).context("path of the metrics")?;
        ensure!(
            path != router::PROBE || self.sources.probe.is_none(),
            "{path} is the path of probes: use another path"
        );
        let web = match self.web {
            WebSource::File(file) => Arc::new(WebConfiguration::load(file.as_deref())?),
            WebSource::Loaded(web) => web,
        };
        let handler_metrics = Arc::new(HandlerMetrics::new()?);
        let connections = Connections::new();
        let (handler, clients) = (handler_metrics.clone(), connections.clone());
        let probes = self.sources.probe.as_ref().map(Probe::counters);
        let probes = move || probes.iter().map(|counters| counters.family()).collect();
        let own_metrics = move || [handler.families(), clients.families(), probes(), log::families()].concat();
        let (reload, web_files) = (web.clone(), web.clone());
        let exporter = Exporter {
            sources: self.sources.sources.into_iter().map(Arc::new).collect(),
            build_info: Arc::new(process::build_info(&self.info.name, &self.info.version, self.revision)),
            own_metrics: self.process_metrics.then(|| Box::new(own_metrics) as _),
            web_reload: Box::new(move || reload.reload_status()),
            web_metrics: Box::new(move || web_files.families()),
            timeout: self.scrape_timeout,
            duplicates: AtomicU64::new(0),
        };
        let router = Router::new(router::Settings {
            exporter,
            probe: self.sources.probe,
            web,
            info: self.info,
            telemetry_path: path,
            timeout_offset: self.timeout_offset,
            max_requests: self.max_requests,
            handler_metrics,
            connections,
            openmetrics_created: self.openmetrics_created,
        });
        Ok(Service { router: Arc::new(router) })
    }
}

impl Service {
    /// The settings of an exporter: its name and version, which are the name and a label of `NAME_build_info`; and its
    /// sources.
    pub fn builder(
        name: impl Into<Cow<'static, str>>,
        version: impl Into<Cow<'static, str>>,
        sources: impl Into<Sources>,
    ) -> ServiceBuilder {
        ServiceBuilder {
            info: ExporterInfo { name: name.into(), version: version.into(), about: Cow::Borrowed("") },
            revision: process::revision(None),
            sources: sources.into(),
            metrics_path: "/metrics".to_owned(),
            scrape_timeout: Duration::from_secs(10),
            timeout_offset: Duration::from_millis(500),
            max_requests: 40,
            process_metrics: true,
            openmetrics_created: false,
            web: WebSource::File(None),
        }
    }

    /// Serves on listeners until `shutdown` completes, then finishes the requests in progress within 5 seconds. It
    /// includes the background work of the sources, so do not call [`Service::run`]. A service cannot be served again.
    ///
    /// # Errors
    /// The address of a listener cannot be determined.
    pub async fn serve(
        self,
        listeners: impl IntoIterator<Item = Listener>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<()> {
        serve::serve(&self.router, listeners.into_iter().collect(), shutdown).await
    }

    /// Responds to a request of another HTTP server: the metrics, the landing page, `/-/healthy`, `/-/ready` and
    /// `/probe`, by the path of the request. The body of the request is not read.
    ///
    /// The server must disconnect clients that do not read: a large response uses memory until it is sent or dropped, and
    /// beyond 32 MiB scrapes get 503.
    pub async fn respond<B>(&self, request: http::Request<B>) -> http::Response<Body> {
        let (parts, _) = request.into_parts();
        let response = router::respond(&self.router, http::Request::from_parts(parts, ())).await;
        response.map(|body| Body(Box::pin(body.map_err(Into::into))))
    }

    /// Runs the background work of the sources and their first reads, until this future is dropped. A mounted service
    /// needs it if a source has background work or background reads, and for `/-/ready`.
    pub async fn run(&self) {
        let _tasks = serve::background(&self.router); // they stop when this is dropped
        std::future::pending().await
    }

    /// Reloads the web configuration file and the configuration files of the sources, as [`Program`](crate::Program) does
    /// on SIGHUP.
    pub async fn reload(&self) {
        self.router.reload().await;
    }
}

/// The body of a response. Large ones are encoded while they are sent.
pub struct Body(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>);

/// The error of a body.
type BodyError = Box<dyn std::error::Error + Send + Sync>;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
