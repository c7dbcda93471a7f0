//! The annotation-based scrape job in a real Prometheus that discovers pods of a fake Kubernetes API.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use exporter_common::testing::{Running, command, eventually, real};
use serde_json::{Value, json};

use crate::DEMO;
use crate::server::Prometheus;

const CONFIG: &str = include_str!("../../../../deploy/kubernetes/prometheus/prometheus.yml");

/// A pod in the format of the API.
fn pod(name: &str, ip: &str, labels: Value, annotations: Value, ports: &[u16], phase: &str) -> Value {
    let containers = ports.iter().enumerate().map(|(at, port)| {
        json!({"name": format!("container{at}"), "image": "x", "ports": [{"containerPort": port, "protocol": "TCP"}]})
    });
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": labels, "annotations": annotations},
        "spec": {"nodeName": "node-7", "containers": containers.collect::<Vec<_>>()},
        "status": {"phase": phase, "podIP": ip, "hostIP": "10.0.0.1"},
    })
}

/// Serves the list of pods until the process exits; returns the API's URL.
fn api(pods: Vec<Value>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": pods});
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let list = list.to_string();
            thread::spawn(move || respond(client, &list));
        }
    });
    url
}

fn respond(mut client: TcpStream, list: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let head = "Content-Type: application/json\r\nConnection: close";
    if !request.contains("watch=") {
        return write!(client, "HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: {}\r\n\r\n{list}", list.len());
    }
    if request.contains("sendInitialEvents") {
        // Without streaming lists, the client falls back to a plain list.
        let refused =
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422});
        let refused = refused.to_string();
        return write!(client, "HTTP/1.1 422 Invalid\r\n{head}\r\nContent-Length: {}\r\n\r\n{refused}", refused.len());
    }
    // The watch never reports a change.
    write!(client, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n")?;
    reader.read_line(&mut header).map(drop)
}

/// URL, labels and health of each target, after Prometheus discovered the given number of pods.
fn targets(prometheus: &Prometheus, pods: usize) -> Option<BTreeMap<String, (Value, String)>> {
    let data = prometheus.data("targets")?;
    let pod_targets = |kind: &str| {
        let all = data[kind].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|target| !target["discoveredLabels"]["__meta_kubernetes_pod_name"].is_null())
    };
    let names = pod_targets("activeTargets").chain(pod_targets("droppedTargets"));
    let names = names.map(|target| target["discoveredLabels"]["__meta_kubernetes_pod_name"].to_string());
    if names.collect::<BTreeSet<_>>().len() < pods {
        return None;
    }
    let target = |target: Value| {
        let url = target["scrapeUrl"].as_str().unwrap().to_owned();
        (url, (target["labels"].clone(), target["health"].as_str().unwrap().to_owned()))
    };
    let count = pod_targets("activeTargets").count();
    let targets: BTreeMap<_, _> = pod_targets("activeTargets").map(target).collect();
    assert_eq!(targets.len(), count, "duplicate target");
    Some(targets)
}

/// The expected labels of a target.
fn labels(job: &str, instance: &str, pod: &str) -> Value {
    json!({"job": job, "instance": instance, "pod": pod, "namespace": "shop", "node": "node-7"})
}

#[test]
fn pods_are_scraped_according_to_their_annotations() {
    // Debian's Prometheus 2 is built without Kubernetes service discovery.
    let Some(program) = real("prometheus-3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let exporter = folder.path().join("cpu-exporter");
    std::os::unix::fs::symlink(DEMO, &exporter).unwrap();
    let exporter = Running::spawn(command(exporter.to_str().unwrap()).arg("--web.listen-address=127.0.0.1:0"));
    let port = exporter.url.rsplit_once(':').unwrap().1.to_owned();
    let scraped = |port: &str| json!({"prometheus.io/scrape": "true", "prometheus.io/port": port});
    const PODS: usize = 8;
    let pods = [
        // The annotation selects one of two ports.
        pod("cpu", "127.0.0.1", json!({"exporter": "cpu-exporter"}), scraped(&port), &[80, 8000], "Running"),
        pod("queue", "127.0.0.2", json!({"app": "queue-exporter"}), scraped("9"), &[9], "Running"),
        pod(
            "shop",
            "127.0.0.3",
            json!({"app": "shop", "app.kubernetes.io/name": "shop"}),
            scraped("9"),
            &[9],
            "Running",
        ),
        pod(
            "six",
            "::1",
            json!({"exporter": "app-status-exporter"}),
            json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9", "prometheus.io/path": "/other",
                    "prometheus.io/scheme": "https"}),
            &[9],
            "Running",
        ),
        pod("any-port", "127.0.0.4", json!({}), json!({"prometheus.io/scrape": "true"}), &[9, 10], "Running"),
        pod("not", "127.0.0.5", json!({}), json!({"prometheus.io/port": "9"}), &[9], "Running"),
        pod("no", "127.0.0.6", json!({}), json!({"prometheus.io/scrape": "false"}), &[9], "Running"),
        pod("ended", "127.0.0.7", json!({}), scraped("9"), &[9], "Succeeded"),
    ];
    assert_eq!(pods.len(), PODS);
    let api = api(pods.to_vec());
    let config = CONFIG
        .replace("      - role: pod\n", &format!("      - role: pod\n        api_server: {api}\n"))
        .replace("interval: 15s", "interval: 1s");
    assert!(config.contains(&api));
    let prometheus = Prometheus::start(&program, &config, folder.path());
    let cpu = format!("http://127.0.0.1:{port}/metrics");
    let targets = eventually("the exporter is scraped", || {
        targets(&prometheus, PODS).filter(|targets| targets.get(&cpu).is_some_and(|(_, health)| health == "up"))
    });
    let found: BTreeMap<_, _> = targets.iter().map(|(url, (labels, _))| (url.as_str(), labels.clone())).collect();
    assert_eq!(
        found,
        BTreeMap::from([
            (cpu.as_str(), labels("cpu-exporter", "node-7", "cpu")),
            ("http://127.0.0.2:9/metrics", labels("queue-exporter", "127.0.0.2:9", "queue")),
            ("http://127.0.0.3:9/metrics", labels("shop", "127.0.0.3:9", "shop")),
            ("https://[::1]:9/other", labels("app-status-exporter", "[::1]:9", "six")),
            ("http://127.0.0.4:9/metrics", labels("kubernetes-pods", "127.0.0.4:9", "any-port")),
            ("http://127.0.0.4:10/metrics", labels("kubernetes-pods", "127.0.0.4:10", "any-port")),
        ]),
        "{}",
        program.display()
    );
}
