//! docker-compose.yml: hardening, limits, health checks and published ports of the services.

use std::path::Path;

use exporter_common::testing::{real, run};
use serde_json::{Map, Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker-compose.yml");

/// The configuration as parsed by docker-compose, with the services of all profiles.
fn config() -> Option<Value> {
    let compose = real("docker-compose")?;
    let output = run(compose.to_str().unwrap(), ["-f", FILE, "--profile", "*", "config", "--format", "json"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

#[test]
fn every_service_is_hardened_bounded_and_checked() {
    let Some(config) = config() else { return };
    let services = object(&config["services"]);
    assert!(services.len() >= 14, "{:?}", services.keys());
    for (name, service) in services {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        assert_eq!(service["init"], true, "{name}");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        let user = service["user"].as_str().unwrap_or_else(|| panic!("{name}: user is missing"));
        assert!(!user.starts_with("0") && !user.starts_with("root"), "{name} runs as {user}");
        // A drill needs the processes of the service it suspends.
        let is_drill = name.starts_with("drill-") && service["network_mode"] == "none";
        let shares_service = service["pid"].as_str().is_some_and(|pid| pid.starts_with("service:"));
        assert!(service.get("pid").is_none() || is_drill && shares_service, "{name}: pid");
        for forbidden in ["privileged", "cap_add", "container_name", "ipc", "devices"] {
            assert!(service.get(forbidden).is_none_or(|value| value == false), "{name}: {forbidden}");
        }
        for limit in ["cpus", "memory", "pids"] {
            assert!(!service["deploy"]["resources"]["limits"][limit].is_null(), "{name}: no limit of {limit}");
        }
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}: unlimited log size");
        assert!(service["stop_grace_period"].is_string(), "{name}");
        let health = &service["healthcheck"];
        assert_eq!(health["test"][0], "CMD", "{name}: the health check must not need a shell");
        for key in ["interval", "timeout", "start_period", "start_interval"] {
            assert!(health[key].is_string(), "{name}: health check without {key}");
        }
        let dependencies = service.get("depends_on").map(object).into_iter().flatten();
        for (dependency, how) in dependencies {
            assert_eq!(how["condition"], "service_healthy", "{name} needs {dependency}");
        }
        for volume in service.get("volumes").and_then(Value::as_array).into_iter().flatten() {
            let allowed = volume["type"] == "volume" || volume["read_only"] == true;
            assert!(allowed, "{name} can write to {} of the host", volume["source"]);
        }
    }
}

#[test]
fn only_prometheus_and_grafana_are_published_on_loopback() {
    let Some(config) = config() else { return };
    let published = object(&config["services"]).iter().filter(|(_, service)| service.get("ports").is_some());
    let names: Vec<_> = published.clone().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["grafana", "prometheus"]);
    for (name, service) in published {
        for port in service["ports"].as_array().unwrap() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}");
        }
    }
    assert_eq!(config["networks"]["backend"]["internal"], true);
    for (name, service) in object(&config["services"]) {
        let open = service["networks"].get("frontend").is_some();
        assert_eq!(open, names.contains(&name.as_str()), "{name}: network frontend");
    }
}

#[test]
fn every_version_is_pinned_in_one_place() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let images: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
    assert!(images.len() >= 10, "{images:?}");
    for image in images {
        assert!(image.starts_with("exporters-demo/") || image.ends_with("_VERSION}"), "{image}");
    }
    let versions = std::fs::read_to_string(Path::new(FILE).with_file_name(".env")).unwrap();
    for line in versions.lines().filter(|line| line.contains("_VERSION=")) {
        let version = line.split('=').nth(1).unwrap().trim_start_matches('v');
        let dots = version.split('-').next().unwrap().matches('.').count();
        assert!(dots == 2, "{line}: not a full version");
    }
}

#[test]
fn every_file_target_is_a_port_of_a_service() {
    let Some(config) = config() else { return };
    let services = object(&config["services"]);
    let folder = Path::new(FILE).with_file_name("deploy").join("compose/targets");
    let mut targets = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for target in text.split('"').skip(1).step_by(2) {
            let (host, port) = target.split_once(':').unwrap();
            let has_alias = |service: &Value| {
                let aliases = service["networks"]["backend"]["aliases"].as_array().cloned().unwrap_or_default();
                aliases.iter().any(|alias| alias == host)
            };
            let service = services.get(host).filter(|service| service.get("expose").is_some());
            let service = service.or_else(|| services.values().find(|service| has_alias(service)));
            let service = service.unwrap_or_else(|| panic!("no service named {host}"));
            assert!(service["expose"].as_array().unwrap().iter().any(|open| open == port), "{target}");
            targets += 1;
        }
    }
    assert!(targets >= 6);
}

#[test]
fn every_dns_target_is_a_service_of_a_profile() {
    let Some(config) = config() else { return };
    let services = object(&config["services"]);
    let prometheus =
        std::fs::read_to_string(Path::new(FILE).with_file_name("prometheus").join("prometheus.yml")).unwrap();
    let found = prometheus.split("names: [").skip(1).map(|rest| {
        let (names, rest) = rest.split_once(']').unwrap();
        let port = rest.split_once("port: ").unwrap().1.lines().next().unwrap();
        (names.split(", ").collect::<Vec<_>>(), port)
    });
    let mut exporters = Vec::new();
    for (names, port) in found {
        for name in names {
            let service = services.get(name).unwrap_or_else(|| panic!("no service named {name}"));
            assert!(service["profiles"].is_array(), "{name} is not in a profile, so it belongs in a target file");
            assert!(service["expose"].as_array().unwrap().iter().any(|open| open == port), "{name}:{port}");
            exporters.push(name);
        }
    }
    let brokers = services.iter().filter(|(name, service)| {
        name.starts_with("queue-exporter-")
            && service["profiles"].as_array().is_some_and(|it| it.contains(&"brokers".into()))
    });
    assert!(brokers.clone().count() >= 3);
    for (name, _) in brokers {
        assert!(exporters.contains(&name.as_str()), "{name} is not scraped");
    }
}

#[test]
fn images_use_the_compiler_and_the_version_of_the_workspace() {
    let root = Path::new(FILE).parent().unwrap();
    let dockerfile = std::fs::read_to_string(root.join("deploy/Dockerfile")).unwrap();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let manifest_value = |key: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = ")).unwrap();
        line.trim_matches('"').to_owned()
    };
    let version = format!("org.opencontainers.image.version=\"{}\"", manifest_value("version"));
    assert!(dockerfile.contains(&version), "{version}");
    let compiler = format!("ARG BUILD_IMAGE=rust:{}-", manifest_value("rust-version"));
    assert!(dockerfile.contains(&compiler), "{compiler}");
    // A syntax line would make the build download a front end.
    assert!(!dockerfile.to_lowercase().contains("syntax="));
    for program in ["cpu-exporter", "httpd-log-exporter", "app-status-exporter", "queue-exporter"] {
        assert!(dockerfile.contains(&format!("FROM runtime AS {program}\n")), "{program}");
        assert!(dockerfile.contains(&format!("CMD [\"/usr/bin/{program}\", \"healthcheck\"]\n")), "{program}");
    }
}
