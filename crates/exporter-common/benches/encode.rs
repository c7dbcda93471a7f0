//! Encodes 100,000 series with this library and with the crates `prometheus`, `prometheus-client` and
//! `metrics-exporter-prometheus`: `cargo bench -p scrapewright --bench encode`.
//!
//! All hold the same gauges with two labels, and encode them in turns. A scrape also includes the time until the encoder
//! has its input: this library's collector creates its family, `prometheus` gathers, and the others encode their metrics
//! directly. The times are medians of CPU time. `metrics-exporter-prometheus` has no protobuf here: its feature needs the
//! compiler `protoc`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

use std::hint::black_box;
use std::sync::atomic::AtomicU64;

use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, GaugeVec, Opts, ProtobufEncoder, Registry, TextEncoder};
use prometheus_client::encoding::{EncodeLabelSet, prometheus_protobuf, text};
use prometheus_client::metrics::family::Family as ClientFamily;
use prometheus_client::metrics::gauge::Gauge as ClientGauge;
use prometheus_client::registry::Registry as ClientRegistry;
use rustix::time::{ClockId, clock_gettime};
use scrapewright::{Family, to_protobuf, to_text};

const SERIES: u32 = 100_000;
const ROUNDS: usize = 21;
const HELP: &str = "One of many series.";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    number: String,
    parity: &'static str,
}

fn main() {
    let registry = Registry::new();
    let gauges = GaugeVec::new(Opts::new("series", HELP), &["number", "parity"]).unwrap();
    registry.register(Box::new(gauges.clone())).unwrap();
    let client_gauges = ClientFamily::<Labels, ClientGauge<f64, AtomicU64>>::default();
    let mut client_registry = ClientRegistry::default();
    client_registry.register("series", HELP, client_gauges.clone());
    let recorder = PrometheusBuilder::new().build_recorder();
    recorder.describe_gauge("series".into(), None, HELP.into());
    let metadata = Metadata::new(module_path!(), Level::INFO, None);
    for (number, parity, value) in series() {
        let labels = vec![Label::new("number", number.clone()), Label::new("parity", parity)];
        recorder.register_gauge(&Key::from_parts("series", labels), &metadata).set(value);
        gauges.with_label_values(&[&*number, parity]).set(value);
        client_gauges.get_or_create(&Labels { number, parity }).set(value);
    }
    let (family_of_all, gathered) = (family(), registry.gather());
    let recorded = recorder.handle();
    println!(
        "| 100,000 series | scrapewright | prometheus | prometheus-client | metrics-exporter-prometheus | times faster than the fastest other |"
    );
    println!("|---|---|---|---|---|---|");
    let client_text = || {
        let mut out = String::new();
        text::encode(&mut out, &client_registry).unwrap();
        out
    };
    let client_protobuf = || prometheus_protobuf::encode_to_vec(&client_registry).unwrap();
    row(
        "text, encoding",
        [
            &mut || time(family_of_all.clone(), |family| to_text([family])),
            &mut || time((), |()| encode(&TextEncoder::new(), &gathered)),
            &mut || time((), |()| client_text()),
            &mut || time((), |()| recorded.render()),
        ],
    );
    row(
        "protobuf, encoding",
        [
            &mut || time(family_of_all.clone(), |family| to_protobuf([family])),
            &mut || time((), |()| encode(&ProtobufEncoder::new(), &gathered)),
            &mut || time((), |()| client_protobuf()),
        ],
    );
    row(
        "text, whole scrape",
        [
            &mut || time((), |()| to_text([family()])),
            &mut || time((), |()| encode(&TextEncoder::new(), &registry.gather())),
            &mut || time((), |()| client_text()),
            &mut || time((), |()| recorded.render()),
        ],
    );
    row(
        "protobuf, whole scrape",
        [
            &mut || time((), |()| to_protobuf([family()])),
            &mut || time((), |()| encode(&ProtobufEncoder::new(), &registry.gather())),
            &mut || time((), |()| client_protobuf()),
        ],
    );
}

/// The labels and values of all series.
fn series() -> impl Iterator<Item = (String, &'static str, f64)> {
    (0..SERIES)
        .map(|number| (number.to_string(), if number % 2 == 0 { "even" } else { "odd" }, f64::from(number) * 1.1))
}

fn encode(encoder: &impl Encoder, families: &[MetricFamily]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.encode(families, &mut out).unwrap();
    out
}

fn family() -> Family {
    let mut family = Family::gauge("series", HELP, &["number", "parity"]);
    for (number, parity, value) in series() {
        family.push(&[&*number, parity], value);
    }
    family
}

/// The CPU time of some work in milliseconds, without dropping its result.
fn time<I, O>(input: I, work: impl FnOnce(I) -> O) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    };
    let started = now();
    let result = work(input);
    let milliseconds = now() - started;
    black_box(result);
    milliseconds
}

/// Measures the libraries in turns and prints the medians. The first one is this library; the last one may be missing.
fn row<const N: usize>(what: &str, mut libraries: [&mut dyn FnMut() -> f64; N]) {
    let mut times = [(); N].map(|()| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for (library, times) in libraries.iter_mut().zip(&mut times) {
            times.push(library());
        }
    }
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    });
    let shown = medians.iter().map(|median| format!("{median:.1} ms")).chain(["-".to_owned()]).take(4);
    let fastest = medians[1..].iter().copied().fold(f64::INFINITY, f64::min);
    println!("| {what} | {} | {:.1} |", shown.collect::<Vec<_>>().join(" | "), fastest / medians[0]);
}
