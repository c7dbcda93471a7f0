//! A service in a process with its own runtime: on listeners, in axum, and in hyper.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use scrapewright::testing::{HttpResponse, get, value};
use scrapewright::{
    Collector, Family, Listener, Probe, ProbeRequest, Prober, Scrape, Service, Source, Sources, anyhow, async_trait,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A collector with this number of series.
struct Jobs(u32);

#[async_trait]
impl Collector for Jobs {
    fn name(&self) -> &str {
        "jobs"
    }

    async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
        let mut family = Family::gauge("shop_jobs", "Number of jobs.", &["number"]);
        for number in 0..self.0 {
            family.push(&[format!("{number:06}")], f64::from(number));
        }
        scrape.add(family);
        Ok(())
    }
}

/// Adds the target.
struct Echo;

#[async_trait]
impl Prober for Echo {
    async fn probe(&self, request: &ProbeRequest, scrape: &Scrape) -> anyhow::Result<()> {
        scrape.add(Family::info("echo_info", "The target.", &["target"]).with(&[request.target()], 1.0));
        Ok(())
    }
}

fn service(series: u32) -> Service {
    let sources = Sources::from(vec![Source::new(Jobs(series))]).probe(Probe::new(Echo, ["db-*".parse().unwrap()]));
    Service::builder("shop", "1.2.3", sources).revision(Some("abc")).build().unwrap()
}

/// A request from another thread, so that this one can serve it.
async fn request(address: SocketAddr, path: &str) -> HttpResponse {
    let url = format!("http://{address}{path}");
    tokio::task::spawn_blocking(move || get(&url, &[])).await.unwrap()
}

#[tokio::test]
async fn a_service_serves_on_listeners_until_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("shop.sock");
    let tcp = Listener::bind("127.0.0.1:0").await.unwrap();
    let unix = Listener::bind(&format!("unix:{}", socket.display())).await.unwrap();
    let address = tcp.address().unwrap().parse().unwrap();
    let worked = Arc::new(AtomicBool::new(false));
    let working = worked.clone();
    let source = Source::new(Jobs(3)).run(async move {
        working.store(true, Ordering::Relaxed);
        std::future::pending().await
    });
    let service = Service::builder("shop", "1.2.3", vec![source]).revision(Some("abc")).build().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(service.serve([tcp, unix], async {
        let _ = stopped.await;
    }));
    let metrics = request(address, "/metrics").await.body;
    assert_eq!(value(&metrics, "shop_jobs{number=\"000002\"}"), Some(2.0));
    assert!(metrics.contains("shop_build_info{revision=\"abc\",rustc="), "{metrics}");
    assert!(worked.load(Ordering::Relaxed));
    assert!(socket.exists());
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(!socket.exists());
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn a_service_is_mounted_in_axum() {
    let service = service(3);
    let (background, respond) = (service.clone(), service);
    tokio::spawn(async move { background.run().await });
    let respond =
        axum::routing::any(move |request: axum::extract::Request| async move { respond.respond(request).await });
    let app = axum::Router::new()
        .route("/metrics", respond.clone())
        .route("/probe", respond.clone())
        .route("/-/ready", respond)
        .route("/", axum::routing::get(|| async { "shop" }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    assert_eq!(request(address, "/").await.body, "shop");
    let metrics = request(address, "/metrics?collect[]=jobs").await;
    assert_eq!(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    assert_eq!(value(&metrics.body, "shop_jobs{number=\"000001\"}"), Some(1.0));
    assert_eq!(value(&metrics.body, "promhttp_metric_handler_requests_in_flight"), Some(1.0));
    while request(address, "/-/ready").await.status != 200 {}
    let probe = request(address, "/probe?target=db-1").await.body;
    assert_eq!(value(&probe, "echo_info{target=\"db-1\"}"), Some(1.0));
    assert_eq!(value(&probe, "probe_success"), Some(1.0));
    assert_eq!(request(address, "/probe?target=web-1").await.status, 403);
}

#[tokio::test]
async fn a_service_is_mounted_in_hyper_and_a_large_response_is_complete() {
    const SERIES: u32 = 100_000;
    let service = service(SERIES);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let respond = hyper::service::service_fn(|request| {
            let service = service.clone();
            async move { Ok::<_, std::convert::Infallible>(service.respond(request).await) }
        });
        let io = hyper_util::rt::TokioIo::new(stream);
        hyper::server::conn::http1::Builder::new().serve_connection(io, respond).await.unwrap();
    });
    let metrics = request(address, "/metrics").await.body;
    assert_eq!(metrics.lines().filter(|line| line.starts_with("shop_jobs{")).count() as u32, SERIES);
}

/// Requests the metrics, and reads the response up to the end of its headers.
async fn headers(address: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut headers = Vec::new();
    while !headers.ends_with(b"\r\n\r\n") {
        headers.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(headers).unwrap().to_ascii_lowercase())
}

#[tokio::test]
async fn a_scrape_beyond_the_memory_limit_is_refused_and_counted() {
    const REFUSED: &str = "exporter_scrapes_refused_total{reason=\"memory\"}";
    // more than half of the limit of 32 MiB; axum does not disconnect a client that does not read
    const SERIES: u32 = 800_000;
    let service = service(SERIES);
    let respond =
        axum::routing::any(move |request: axum::extract::Request| async move { service.respond(request).await });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().route("/metrics", respond);
    tokio::spawn(async { axum::serve(listener, app).await });
    let (mut first, response) = headers(address).await;
    assert!(response.starts_with("http/1.1 200 "), "{response}");
    let (_, response) = headers(address).await;
    assert!(response.starts_with("http/1.1 503 ") && response.contains("\r\nretry-after: 1\r\n"), "{response}");
    // the first response was not affected, and its end makes room
    let mut rest = String::new();
    first.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest.matches("\nshop_jobs{").count() as u32, SERIES);
    assert_eq!(value(&rest, REFUSED), Some(0.0));
    assert_eq!(value(&request(address, "/metrics").await.body, REFUSED), Some(1.0));
}

#[tokio::test]
async fn a_mounted_service_applies_the_authentication_of_its_web_configuration() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // the password is "secret"
    let hash = "$2y$04$8b5RZ8qlJjjcBwk7XYSZ5eWVqQZgJvJ2fI8.3aWkXqP2xgB1zqJ8K";
    std::fs::write(file.path(), format!("basic_auth_users:\n  prometheus: {hash}\n")).unwrap();
    let service = Service::builder("shop", "1", vec![Source::new(Jobs(1))]).web_config(file.path()).build().unwrap();
    let status = async |path: &str| service.respond(http::Request::get(path).body(()).unwrap()).await.status();
    assert_eq!(status("/metrics").await, 401);
    assert_eq!(status("/probe?target=x").await, 401);
    assert_eq!(status("/-/healthy").await, 200);
}

#[test]
fn an_invalid_service_is_not_built() {
    let error = |builder: scrapewright::ServiceBuilder| format!("{:#}", builder.build().err().unwrap());
    let builder = || Service::builder("shop", "1", vec![Source::new(Jobs(1))]);
    assert!(error(builder().metrics_path("metrics")).contains("must start with /"));
    assert!(error(builder().web_config("/nonexistent.yml")).contains("no such file"));
    let probe = Probe::new(Echo, ["*".parse().unwrap()]);
    let error = error(Service::builder("shop", "1", probe).metrics_path("/probe"));
    assert_eq!(error, "/probe is the path of probes: use another path");
}
