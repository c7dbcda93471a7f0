//! deploy/kubernetes, as kustomize renders it: Pod Security "restricted" rule by rule, and what the exporters need.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use exporter_common::testing::{real, run};
use exporter_common::yaml::{self, Node};
use serde_json::{Map, Value};

use crate::EXPORTERS;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/kubernetes");

/// What can be applied: exporters by themselves, sidecars with their examples, whole monitoring namespaces.
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

/// The one that asks for more than Pod Security "restricted" gives.
const HOST_PATHS: &str = "overlays/host-paths";

/// An object, and where it stands, for messages.
struct Object {
    place: String,
    value: Value,
}

impl Object {
    fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap()
    }

    fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap()
    }

    /// The pod of a workload, and its metadata.
    fn pod(&self) -> Option<(&Value, &Value)> {
        let template = &self.value["spec"]["template"];
        matches!(self.kind(), "Deployment" | "DaemonSet").then(|| (&template["spec"], &template["metadata"]))
    }

    /// The exporter that a workload runs or is put beside.
    fn exporter(&self) -> Option<&str> {
        self.pod()?.1["labels"]["exporter"].as_str()
    }
}

/// The objects of some folders; nothing without a kubectl.
fn objects(folders: &[&str]) -> Option<Vec<Object>> {
    let kubectl = real("kubectl")?;
    let mut objects = Vec::new();
    for folder in folders {
        let output = run(kubectl.to_str().unwrap(), ["kustomize", &format!("{FOLDER}/{folder}")]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("eprecat"), "{folder}: {said}");
        for document in String::from_utf8(output.stdout).unwrap().split("\n---\n") {
            let value = json(&yaml::parse(document).unwrap());
            let place = format!("{folder}: {} {}", value["kind"], value["metadata"]["name"]).replace('"', "");
            objects.push(Object { place, value });
        }
    }
    Some(objects)
}

/// The tree as JSON; scalars stay text.
fn json(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Text(text) => Value::from(text.as_str()),
        yaml::Value::List(list) => list.iter().map(json).collect(),
        yaml::Value::Map(map) => map.iter().map(|(key, node)| (key.clone(), json(node))).collect::<Map<_, _>>().into(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Every container of a pod, those that start first before the others.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(&pod["initContainers"]).chain(list(&pod["containers"]))
}

/// The containers that are exporters: by their images.
fn exporters(pod: &Value) -> impl Iterator<Item = &Value> {
    containers(pod).filter(|container| container["image"].as_str().unwrap().contains("-exporter:"))
}

fn names(value: &Value) -> Vec<&str> {
    list(value).map(|item| item["name"].as_str().unwrap()).collect()
}

/// What Pod Security "restricted" has against a pod, which is all of "baseline" and more.
fn against_restricted(pod: &Value) -> Vec<String> {
    let mut against = Vec::new();
    let mut rule = |kept: bool, what: &str| {
        if !kept {
            against.push(what.to_owned());
        }
    };
    for namespace in ["hostNetwork", "hostPID", "hostIPC"] {
        rule(matches!(pod[namespace].as_str(), None | Some("false")), namespace);
    }
    const VOLUMES: &[&str] = &[
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in list(&pod["volumes"]) {
        let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        rule(kinds.clone().count() == 1, "a volume of one kind");
        rule(kinds.into_iter().all(|kind| VOLUMES.contains(&kind.as_str())), "volume types");
    }
    let context = &pod["securityContext"];
    rule(context["sysctls"].is_null(), "sysctls");
    rule(context["windowsOptions"].is_null(), "HostProcess");
    for container in containers(pod) {
        let own = &container["securityContext"];
        // a container's own word counts before its pod's
        let says = |key: &str| own[key].as_str().or(context[key].as_str());
        rule(says("runAsNonRoot") == Some("true"), "runAsNonRoot");
        rule(!matches!(says("runAsUser"), None | Some("0")), "runAsUser");
        let seccomp = own["seccompProfile"]["type"].as_str().or(context["seccompProfile"]["type"].as_str());
        rule(matches!(seccomp, Some("RuntimeDefault" | "Localhost")), "seccompProfile");
        for profile in ["appArmorProfile", "seLinuxOptions", "procMount", "windowsOptions"] {
            rule(own[profile].is_null() && context[profile].is_null(), profile);
        }
        rule(own["allowPrivilegeEscalation"].as_str() == Some("false"), "allowPrivilegeEscalation");
        rule(matches!(own["privileged"].as_str(), None | Some("false")), "privileged");
        rule(list(&own["capabilities"]["drop"]).any(|dropped| dropped == "ALL"), "capabilities.drop");
        rule(list(&own["capabilities"]["add"]).all(|added| added == "NET_BIND_SERVICE"), "capabilities.add");
        rule(list(&container["ports"]).all(|port| matches!(port["hostPort"].as_str(), None | Some("0"))), "hostPort");
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            rule(container[probe]["httpGet"]["host"].is_null(), "the host of a probe");
        }
    }
    against
}

#[test]
fn every_pod_but_that_with_paths_of_its_host_is_restricted() {
    let Some(objects) = objects(RENDERED) else { return };
    let mut pods = 0;
    for object in &objects {
        let Some((pod, _)) = object.pod() else { continue };
        pods += 1;
        let against = against_restricted(pod);
        match object.place.starts_with(HOST_PATHS) {
            true => assert_eq!(against, ["volume types", "volume types"], "{}", object.place),
            false => assert!(against.is_empty(), "{}: {against:?}", object.place),
        }
    }
    assert!(pods >= 12, "{pods}");
}

#[test]
fn what_pod_security_refuses_is_found() {
    let pod = r#"{"containers": [{"securityContext": {"runAsNonRoot": "true", "runAsUser": "1",
        "allowPrivilegeEscalation": "false", "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"}}}]}"#;
    let with = |place: &str, value: &str| {
        let mut pod: Value = serde_json::from_str(pod).unwrap();
        let (parent, key) = place.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = serde_json::from_str(value).unwrap();
        against_restricted(&pod)
    };
    assert!(with("/ok", "1").is_empty());
    for (place, value) in [
        ("/hostNetwork", r#""true""#),
        ("/hostPID", r#""true""#),
        ("/volumes", r#"[{"name": "proc", "hostPath": {"path": "/proc"}}]"#),
        ("/containers/0/securityContext/runAsNonRoot", "null"),
        ("/containers/0/securityContext/runAsUser", r#""0""#),
        ("/containers/0/securityContext/allowPrivilegeEscalation", "null"),
        ("/containers/0/securityContext/privileged", r#""true""#),
        ("/containers/0/securityContext/capabilities", r#"{"drop": ["ALL"], "add": ["SYS_TIME"]}"#),
        ("/containers/0/securityContext/capabilities", "{}"),
        ("/containers/0/securityContext/seccompProfile", r#"{"type": "Unconfined"}"#),
        ("/containers/0/ports", r#"[{"hostPort": "9100"}]"#),
        ("/initContainers", r#"[{"name": "bare"}]"#),
    ] {
        assert!(!with(place, value).is_empty(), "{place} {value}");
    }
}

#[test]
fn every_container_is_bounded_and_writes_to_its_volumes_only() {
    let Some(objects) = objects(RENDERED) else { return };
    for object in &objects {
        let Some((pod, _)) = object.pod() else { continue };
        let place = &object.place;
        let token = object.name() == "prometheus"; // which finds pods
        assert_eq!(pod["automountServiceAccountToken"], if token { "true" } else { "false" }, "{place}");
        assert_eq!(pod["enableServiceLinks"], "false", "{place}: a service's name becomes variables");
        for container in containers(pod) {
            let name = &container["name"];
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], "true", "{place} {name}");
            for bound in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
                assert!(container["resources"].pointer(bound).is_some(), "{place} {name}: {bound}");
            }
            assert!(container["resources"]["limits"]["cpu"].is_null(), "{place} {name}: a throttled scrape is late");
            let (_, tag) = container["image"].as_str().unwrap().rsplit_once(':').unwrap();
            assert_ne!(tag, "latest", "{place} {name}");
        }
        for container in exporters(pod) {
            let version = concat!(":v", env!("CARGO_PKG_VERSION"));
            assert!(container["image"].as_str().unwrap().ends_with(version), "{place}: {}", container["image"]);
            assert_eq!(container["terminationMessagePolicy"], "FallbackToLogsOnError", "{place}");
        }
        for volume in list(&pod["volumes"]).filter(|volume| !volume["emptyDir"].is_null()) {
            assert!(volume["emptyDir"]["sizeLimit"].is_string(), "{place}: {} has no bound", volume["name"]);
        }
    }
}

#[test]
fn no_probe_scrapes_and_no_sidecar_keeps_its_application_from_its_service() {
    let Some(objects) = objects(RENDERED) else { return };
    let mut sidecars = 0;
    for object in &objects {
        let Some((pod, _)) = object.pod() else { continue };
        let place = &object.place;
        for container in containers(pod) {
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                let path = container[probe]["httpGet"]["path"].as_str();
                assert!(path.is_none_or(|path| !path.contains("metrics")), "{place}: {probe} {path:?}");
            }
        }
        for exporter in exporters(pod) {
            assert_eq!(exporter["livenessProbe"]["httpGet"]["path"], "/-/healthy", "{place}");
            assert!(exporter["startupProbe"].is_null(), "{place}: it would hold others back");
            let beside = containers(pod).count() > 1;
            sidecars += usize::from(beside);
            match beside {
                true => assert!(exporter["readinessProbe"].is_null(), "{place}: it would take the application out"),
                false => assert_eq!(exporter["readinessProbe"]["httpGet"]["path"], "/-/ready", "{place}"),
            }
        }
    }
    assert_eq!(sidecars, 4);
}

#[test]
fn sidecars_stand_where_their_form_says_with_the_variables_and_replicas_that_are_known() {
    let Some(objects) = objects(RENDERED) else { return };
    let find = |folder: &str| objects.iter().find(|object| object.place.starts_with(folder) && object.pod().is_some());
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
fn every_exporter_names_its_job_its_port_and_flags_that_it_has() {
    let Some(objects) = objects(RENDERED) else { return };
    let mut seen = BTreeSet::new();
    for object in &objects {
        let (Some(name), Some((pod, metadata))) = (object.exporter(), object.pod()) else { continue };
        let place = &object.place;
        let (name, line) =
            EXPORTERS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{place}: {name}"));
        seen.insert(*name);
        let line = line();
        let address = line.get_arguments().find(|flag| flag.get_long() == Some("web.listen-address")).unwrap();
        let port = address.get_default_values()[0].to_str().unwrap().trim_start_matches(':');
        assert_eq!(metadata["annotations"]["prometheus.io/scrape"], "true", "{place}");
        assert_eq!(metadata["annotations"]["prometheus.io/port"], port, "{place}");
        let container = exporters(pod).next().unwrap();
        assert!(container["image"].as_str().unwrap().contains(&format!("/{name}:")), "{place}");
        assert_eq!(container["ports"][0]["name"], "metrics", "{place}");
        assert_eq!(container["ports"][0]["containerPort"], port, "{place}");
        for argument in list(&container["args"]) {
            let flag = argument.as_str().unwrap().strip_prefix("--").unwrap().split('=').next();
            assert!(line.get_arguments().any(|known| known.get_long() == flag), "{place}: {argument}");
        }
    }
    assert_eq!(seen, EXPORTERS.iter().map(|(name, _)| *name).collect());
}

#[test]
fn the_queue_exporter_has_its_service_and_its_secret_as_a_file() {
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
    assert!(pod["containers"][0]["env"].is_null(), "a variable is no place for a secret");
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "queue-exporter");
}

#[test]
fn nothing_but_prometheus_gets_in_and_only_what_must_gets_out() {
    let Some(objects) = objects(&["overlays/annotations", "overlays/operator"]) else { return };
    for overlay in ["overlays/annotations", "overlays/operator"] {
        let policies =
            objects.iter().filter(|object| object.kind() == "NetworkPolicy" && object.place.starts_with(overlay));
        let policies: Vec<_> = policies.collect();
        assert_eq!(policies.iter().map(|policy| policy.name()).collect::<Vec<_>>(), ["exporters", "queue-exporter"]);
        let (all, queue) = (&policies[0].value["spec"], &policies[1].value["spec"]);
        assert_eq!(all["podSelector"]["matchExpressions"][0]["key"], "exporter");
        assert_eq!(all["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
        assert!(all["egress"].is_null(), "nothing gets out unless another policy lets it");
        let from = &all["ingress"][0]["from"][0];
        assert_eq!(list(&all["ingress"]).count(), 1);
        assert_eq!(from["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], "monitoring");
        assert_eq!(from["podSelector"]["matchLabels"]["app.kubernetes.io/name"], "prometheus");
        assert_eq!(all["ingress"][0]["ports"], serde_json::json!([{"port": "metrics"}]));
        assert_eq!(queue["policyTypes"], serde_json::json!(["Egress"]));
        for way in list(&queue["egress"]) {
            assert!(list(&way["to"]).count() > 0 && list(&way["ports"]).count() > 0, "a way without an end: {way}");
        }
    }
}

#[test]
fn monitors_select_the_pods_and_services_that_there_are() {
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
        assert!(selected, "{name} selects nothing");
        assert_eq!(endpoint["port"], "metrics", "{name}");
        let seconds = |key: &str| endpoint[key].as_str().unwrap().trim_end_matches('s').parse::<u32>().unwrap();
        assert!(seconds("scrapeTimeout") < seconds("interval"), "{name}");
    }
}

/// The rules of prometheus/rules as the Prometheus Operator takes them: each file an object.
fn prometheus_rules() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../prometheus/rules");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "yml")).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no rules");
    let mut made = String::from(
        "# Made from prometheus/rules: UPDATE_EXPECT=1 cargo test -p demo --test deploy prometheus_rule\n",
    );
    for (at, path) in files.iter().enumerate() {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if at > 0 {
            made += "---\n";
        }
        let head = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n";
        write!(made, "{head}  name: exporters-{stem}\n  labels: {{app.kubernetes.io/part-of: monitoring}}\nspec:\n")
            .unwrap();
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let indent = if line.is_empty() { "" } else { "  " };
            writeln!(made, "{indent}{line}").unwrap();
        }
    }
    made
}

#[test]
fn every_prometheus_rule_is_equal_to_its_file() {
    let made = Path::new(FOLDER).join("components/operator/prometheus-rules.yaml");
    expect_test::expect_file![made].assert_eq(&prometheus_rules());
    // and kustomize leaves them what they are
    let Some(objects) = objects(&["overlays/operator"]) else { return };
    let rules: Vec<_> = objects.iter().filter(|object| object.kind() == "PrometheusRule").collect();
    assert!(!rules.is_empty());
    for rule in rules {
        let stem = rule.name().strip_prefix("exporters-").unwrap();
        let file = format!("{}/../../prometheus/rules/{stem}.yml", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(rule.value["spec"], json(&yaml::parse(&std::fs::read_to_string(file).unwrap()).unwrap()), "{stem}");
    }
}

#[test]
fn a_misspelt_key_of_a_core_kind_is_refused_and_there_is_none() {
    let (Some(kubectl), Some(validate)) = (real("kubectl"), real("kubernetes-validate")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let check = |rendered: &str| {
        let file = folder.path().join("rendered.yaml");
        std::fs::write(&file, rendered).unwrap();
        run(validate.to_str().unwrap(), ["--strict", "-k", "1.37", file.to_str().unwrap()])
    };
    for rendered in RENDERED {
        let output = run(kubectl.to_str().unwrap(), ["kustomize", &format!("{FOLDER}/{rendered}")]);
        let yaml = String::from_utf8(output.stdout).unwrap();
        let said = check(&yaml);
        assert!(said.status.success(), "{rendered}: {}", String::from_utf8_lossy(&said.stderr));
        if *rendered == "cpu" {
            assert!(!check(&yaml.replace("readOnlyRootFilesystem", "readOnlyRootFilesytem")).status.success());
        }
    }
}
