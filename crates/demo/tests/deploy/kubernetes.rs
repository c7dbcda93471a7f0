//! deploy/kubernetes rendered by kustomize: security contexts, probes, sidecars, monitors and schemas.

use std::collections::BTreeSet;

use exporter_common::testing::{real, run};
use exporter_common::yaml::{self, Node};
use serde_json::{Map, Value};

use crate::EXPORTERS;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/kubernetes");

/// Folders that can be applied: single exporters, sidecars with example applications, complete namespaces.
const RENDERED: &[&str] = &[
    "cpu",
    "queue",
    "app-status/native",
    "app-status/classic",
    "httpd-log/native",
    "httpd-log/classic",
    "overlays/annotations",
    "overlays/operator",
    "overlays/user-namespaces",
    HOST_PATHS,
];

/// The overlay that mounts paths of the host.
const HOST_PATHS: &str = "overlays/host-paths";

/// A rendered object and its location for messages.
struct Object {
    location: String,
    value: Value,
}

impl Object {
    fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap()
    }

    fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap()
    }

    /// Spec and metadata of a workload's pod.
    fn pod(&self) -> Option<(&Value, &Value)> {
        let template = &self.value["spec"]["template"];
        matches!(self.kind(), "Deployment" | "DaemonSet").then(|| (&template["spec"], &template["metadata"]))
    }

    /// The exporter that a workload contains.
    fn exporter(&self) -> Option<&str> {
        self.pod()?.1["labels"]["exporter"].as_str()
    }
}

/// The objects of some folders; `None` if kubectl is not installed.
fn objects(folders: &[&str]) -> Option<Vec<Object>> {
    let kubectl = real("kubectl")?;
    let mut objects = Vec::new();
    for folder in folders {
        let output = run(kubectl.to_str().unwrap(), ["kustomize", &format!("{FOLDER}/{folder}")]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !message.contains("eprecat"), "{folder}: {message}");
        for document in String::from_utf8(output.stdout).unwrap().split("\n---\n") {
            let value = json(&yaml::parse(document).unwrap());
            let location = format!("{folder}: {} {}", value["kind"], value["metadata"]["name"]).replace('"', "");
            objects.push(Object { location, value });
        }
    }
    Some(objects)
}

/// Converts YAML to JSON; scalars stay strings.
fn json(node: &Node) -> Value {
    match &node.value {
        yaml::NodeValue::Null => Value::Null,
        yaml::NodeValue::Text(text) => Value::from(text.as_str()),
        yaml::NodeValue::List(list) => list.iter().map(json).collect(),
        yaml::NodeValue::Map(map) => {
            map.iter().map(|(key, node)| (key.clone(), json(node))).collect::<Map<_, _>>().into()
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// All containers of a pod, init containers first.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(&pod["initContainers"]).chain(list(&pod["containers"]))
}

/// The containers whose image is an exporter.
fn exporters(pod: &Value) -> impl Iterator<Item = &Value> {
    containers(pod).filter(|container| container["image"].as_str().unwrap().contains("-exporter:"))
}

fn names(value: &Value) -> Vec<&str> {
    list(value).map(|item| item["name"].as_str().unwrap()).collect()
}

#[test]
fn every_pod_has_the_restricted_security_context() {
    let Some(objects) = objects(RENDERED) else { return };
    let mut pods = 0;
    for object in &objects {
        let Some((pod, _)) = object.pod() else { continue };
        pods += 1;
        let location = &object.location;
        for host in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[host].is_null(), "{location}: {host}");
        }
        let host_paths = list(&pod["volumes"]).filter(|volume| !volume["hostPath"].is_null()).count();
        assert_eq!(host_paths, if location.starts_with(HOST_PATHS) { 2 } else { 0 }, "{location}: hostPath volumes");
        for container in containers(pod) {
            let name = &container["name"];
            let setting = |path: &str| {
                let own = container["securityContext"].pointer(path);
                own.or_else(|| pod["securityContext"].pointer(path)).and_then(Value::as_str)
            };
            assert_eq!(setting("/runAsNonRoot"), Some("true"), "{location} {name}");
            assert!(!matches!(setting("/runAsUser"), None | Some("0")), "{location} {name}: runAsUser");
            assert_eq!(setting("/seccompProfile/type"), Some("RuntimeDefault"), "{location} {name}");
            let own = &container["securityContext"];
            assert_eq!(own["allowPrivilegeEscalation"], "false", "{location} {name}");
            assert_eq!(own["capabilities"], serde_json::json!({"drop": ["ALL"]}), "{location} {name}");
            assert!(own["privileged"].is_null(), "{location} {name}: privileged");
        }
    }
    assert!(pods >= 12, "only {pods} pods");
}

#[test]
fn every_container_has_limits_and_a_read_only_root() {
    let Some(objects) = objects(RENDERED) else { return };
    for object in &objects {
        let Some((pod, _)) = object.pod() else { continue };
        let location = &object.location;
        let token = object.name() == "prometheus"; // discovers pods
        assert_eq!(pod["automountServiceAccountToken"], if token { "true" } else { "false" }, "{location}");
        assert_eq!(pod["enableServiceLinks"], "false", "{location}: service links become environment variables");
        for container in containers(pod) {
            let name = &container["name"];
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], "true", "{location} {name}");
            for bound in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
                assert!(container["resources"].pointer(bound).is_some(), "{location} {name}: {bound}");
            }
            assert!(container["resources"]["limits"]["cpu"].is_null(), "{location} {name}: a CPU limit delays scrapes");
            let (_, tag) = container["image"].as_str().unwrap().rsplit_once(':').unwrap();
            assert_ne!(tag, "latest", "{location} {name}");
        }
        for container in exporters(pod) {
            let version = concat!(":v", env!("CARGO_PKG_VERSION"));
            assert!(container["image"].as_str().unwrap().ends_with(version), "{location}: {}", container["image"]);
            assert_eq!(container["terminationMessagePolicy"], "FallbackToLogsOnError", "{location}");
        }
        for volume in list(&pod["volumes"]).filter(|volume| !volume["emptyDir"].is_null()) {
            assert!(volume["emptyDir"]["sizeLimit"].is_string(), "{location}: {} has no size limit", volume["name"]);
        }
    }
}

#[test]
fn probes_do_not_scrape_and_sidecars_do_not_affect_readiness() {
    let Some(objects) = objects(RENDERED) else { return };
    let mut sidecars = 0;
    for object in &objects {
        let Some((pod, _)) = object.pod() else { continue };
        let location = &object.location;
        for container in containers(pod) {
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                let path = container[probe]["httpGet"]["path"].as_str();
                assert!(path.is_none_or(|path| !path.contains("metrics")), "{location}: {probe} {path:?}");
            }
        }
        for exporter in exporters(pod) {
            assert_eq!(exporter["livenessProbe"]["httpGet"]["path"], "/-/healthy", "{location}");
            assert!(exporter["startupProbe"].is_null(), "{location}: it would delay the other containers");
            let is_sidecar = containers(pod).count() > 1;
            sidecars += usize::from(is_sidecar);
            match is_sidecar {
                true => assert!(
                    exporter["readinessProbe"].is_null(),
                    "{location}: it would remove the application from its service"
                ),
                false => assert_eq!(exporter["readinessProbe"]["httpGet"]["path"], "/-/ready", "{location}"),
            }
        }
    }
    assert_eq!(sidecars, 4);
}

#[test]
fn sidecars_are_init_or_plain_containers_with_the_documented_environment() {
    let Some(objects) = objects(RENDERED) else { return };
    let find =
        |folder: &str| objects.iter().find(|object| object.location.starts_with(folder) && object.pod().is_some());
    for (folder, application) in [("app-status", "webapp"), ("httpd-log", "nginx")] {
        let exporter = if folder == "app-status" { "exporter" } else { "httpd-log-exporter" };
        let (native, _) = find(&format!("{folder}/native")).unwrap().pod().unwrap();
        assert_eq!(
            (names(&native["initContainers"]), names(&native["containers"])),
            (vec![exporter], vec![application])
        );
        assert_eq!(native["initContainers"][0]["restartPolicy"], "Always");
        let (classic, _) = find(&format!("{folder}/classic")).unwrap().pod().unwrap();
        assert!(classic["initContainers"].is_null());
        let both: BTreeSet<_> = names(&classic["containers"]).into_iter().collect();
        assert_eq!(both, BTreeSet::from([exporter, application]));
        for pod in [native, classic] {
            let logs = exporters(pod).flat_map(|exporter| list(&exporter["volumeMounts"]));
            for mount in logs.filter(|mount| mount["name"] == "access-log") {
                assert_eq!(mount["readOnly"], "true", "{folder}");
            }
        }
    }
    for form in ["app-status/native", "app-status/classic"] {
        let webapp = find(form).unwrap();
        assert_eq!((webapp.name(), &webapp.value["spec"]["replicas"]), ("webapp", &Value::from("8")));
        let (pod, _) = webapp.pod().unwrap();
        let environment = list(&exporters(pod).next().unwrap()["env"]);
        let environment: Vec<_> =
            environment.map(|set| (set["name"].as_str().unwrap(), set["value"].as_str().unwrap())).collect();
        assert_eq!(environment, [("APP_PORT", "5000"), ("EXPORTER_PORT", "9877"), ("POLLING_INTERVAL_SECONDS", "5")]);
    }
}

#[test]
fn every_exporter_has_valid_annotations_port_and_flags() {
    let Some(objects) = objects(RENDERED) else { return };
    let mut seen = BTreeSet::new();
    for object in &objects {
        let (Some(name), Some((pod, metadata))) = (object.exporter(), object.pod()) else { continue };
        let location = &object.location;
        let (name, line) =
            EXPORTERS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{location}: {name}"));
        seen.insert(*name);
        let line = line();
        let address = line.get_arguments().find(|flag| flag.get_long() == Some("web.listen-address")).unwrap();
        let port = address.get_default_values()[0].to_str().unwrap().trim_start_matches(':');
        assert_eq!(metadata["annotations"]["prometheus.io/scrape"], "true", "{location}");
        assert_eq!(metadata["annotations"]["prometheus.io/port"], port, "{location}");
        let container = exporters(pod).next().unwrap();
        assert!(container["image"].as_str().unwrap().contains(&format!("/{name}:")), "{location}");
        assert_eq!(container["ports"][0]["name"], "metrics", "{location}");
        assert_eq!(container["ports"][0]["containerPort"], port, "{location}");
        for argument in list(&container["args"]) {
            let flag = argument.as_str().unwrap().strip_prefix("--").unwrap().split('=').next();
            assert!(line.get_arguments().any(|known| known.get_long() == flag), "{location}: {argument}");
        }
    }
    assert_eq!(seen, EXPORTERS.iter().map(|(name, _)| *name).collect());
}

#[test]
fn queue_exporter_has_a_service_and_a_secret_file() {
    let Some(objects) = objects(&["overlays/annotations"]) else { return };
    let find = |kind: &str, name: &str| {
        let found = objects.iter().find(|object| object.kind() == kind && object.name() == name);
        &found.unwrap_or_else(|| panic!("{kind} {name}")).value
    };
    let deployment = find("Deployment", "queue-exporter");
    let service = find("Service", "queue-exporter");
    assert_eq!(deployment["metadata"]["namespace"], "monitoring");
    assert_eq!(deployment["spec"]["replicas"], "1");
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    assert_eq!(deployment["spec"]["selector"]["matchLabels"]["app"], "queue-exporter");
    assert_eq!(service["spec"]["selector"]["app"], "queue-exporter");
    assert_eq!(
        (&service["spec"]["ports"][0]["name"], &service["spec"]["ports"][0]["port"]),
        (&"metrics".into(), &"9100".into())
    );
    let pod = &deployment["spec"]["template"]["spec"];
    assert!(pod["containers"][0]["env"].is_null(), "secrets must not be environment variables");
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "queue-exporter");
}

#[test]
fn network_policies_allow_only_prometheus_in_and_the_broker_out() {
    let Some(objects) = objects(&["overlays/annotations", "overlays/operator"]) else { return };
    for overlay in ["overlays/annotations", "overlays/operator"] {
        let policies =
            objects.iter().filter(|object| object.kind() == "NetworkPolicy" && object.location.starts_with(overlay));
        let policies: Vec<_> = policies.collect();
        assert_eq!(policies.iter().map(|policy| policy.name()).collect::<Vec<_>>(), ["exporters", "queue-exporter"]);
        let (all, queue) = (&policies[0].value["spec"], &policies[1].value["spec"]);
        assert_eq!(all["podSelector"]["matchExpressions"][0]["key"], "exporter");
        assert_eq!(all["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
        assert!(all["egress"].is_null(), "egress must be denied by default");
        let from = &all["ingress"][0]["from"][0];
        assert_eq!(list(&all["ingress"]).count(), 1);
        assert_eq!(from["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], "monitoring");
        assert_eq!(from["podSelector"]["matchLabels"]["app.kubernetes.io/name"], "prometheus");
        assert_eq!(
            all["ingress"][0]["ports"],
            serde_json::json!([{"port": "8000"}, {"port": "8001"}, {"port": "9877"}, {"port": "9100"}])
        );
        assert_eq!(queue["policyTypes"], serde_json::json!(["Egress"]));
        for rule in list(&queue["egress"]) {
            assert!(list(&rule["to"]).count() > 0 && list(&rule["ports"]).count() > 0, "unrestricted egress: {rule}");
        }
    }
}

#[test]
fn monitors_select_existing_pods_and_services() {
    let Some(objects) = objects(RENDERED) else { return };
    let monitors: Vec<_> = objects.iter().filter(|object| object.kind().ends_with("Monitor")).collect();
    assert_eq!(monitors.len(), EXPORTERS.len());
    for monitor in monitors {
        let (name, spec) = (monitor.name(), &monitor.value["spec"]);
        assert_eq!(spec["jobLabel"], "exporter", "{name}");
        assert_eq!(spec["selector"]["matchLabels"]["exporter"], name);
        for bound in ["sampleLimit", "labelLimit"] {
            assert!(spec[bound].is_string(), "{name}: {bound}");
        }
        let (endpoint, selected) = match monitor.kind() {
            "PodMonitor" => {
                (&spec["podMetricsEndpoints"][0], objects.iter().any(|object| object.exporter() == Some(name)))
            }
            _ => (
                &spec["endpoints"][0],
                objects
                    .iter()
                    .any(|object| object.kind() == "Service" && object.value["metadata"]["labels"]["exporter"] == name),
            ),
        };
        assert!(selected, "{name} selects no object");
        assert_eq!(endpoint["port"], "metrics", "{name}");
        let seconds = |key: &str| endpoint[key].as_str().unwrap().trim_end_matches('s').parse::<u32>().unwrap();
        assert!(seconds("scrapeTimeout") < seconds("interval"), "{name}");
    }
}

#[test]
fn every_prometheus_rule_and_dashboard_equals_its_file() {
    let Some(objects) = objects(&["overlays/operator"]) else { return };
    let rules: Vec<_> = objects.iter().filter(|object| object.kind() == "PrometheusRule").collect();
    assert_eq!(rules.len(), 6);
    for rule in rules {
        let stem = rule.name().strip_prefix("exporters-").unwrap();
        let file = format!("{}/../../prometheus/rules/{stem}.yml", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(rule.value["spec"], json(&yaml::parse(&std::fs::read_to_string(file).unwrap()).unwrap()), "{stem}");
    }
    let dashboards: Vec<_> =
        objects.iter().filter(|object| object.value["metadata"]["labels"]["grafana_dashboard"] == "1").collect();
    assert_eq!(dashboards.len(), 5);
    for dashboard in dashboards {
        let stem = dashboard.name().strip_prefix("exporters-dashboard-").unwrap();
        let file = format!("{}/../../grafana/dashboards/{stem}.json", env!("CARGO_MANIFEST_DIR"));
        let file: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let own = dashboard.value["data"][format!("{stem}.json")].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(own).unwrap(), file, "{stem}");
        // kubectl apply stores an object in its annotation, which is limited to 256 KiB.
        assert!(own.len() < 200 << 10, "{stem}: {} bytes", own.len());
    }
}

#[test]
fn all_objects_match_the_schemas_of_kubernetes() {
    let (Some(kubectl), Some(validate)) = (real("kubectl"), real("kubernetes-validate")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let check = |rendered: &str, version: &str| {
        let file = folder.path().join("rendered.yaml");
        std::fs::write(&file, rendered).unwrap();
        run(validate.to_str().unwrap(), ["--strict", "-k", version, file.to_str().unwrap()])
    };
    for rendered in RENDERED {
        let output = run(kubectl.to_str().unwrap(), ["kustomize", &format!("{FOLDER}/{rendered}")]);
        let yaml = String::from_utf8(output.stdout).unwrap();
        for version in ["1.29", "1.33", "1.37"] {
            let output = check(&yaml, version);
            assert!(output.status.success(), "{rendered}, {version}: {}", String::from_utf8_lossy(&output.stderr));
        }
        if *rendered == "cpu" {
            assert!(!check(&yaml.replace("readOnlyRootFilesystem", "readOnlyRootFilesytem"), "1.37").status.success());
        }
    }
}
