//! The sidecar's manifests: what an exporter beside an application must and must not have.

use exporter_common::yaml::{Node, Value, parse};

const NATIVE: &str = include_str!("../../../deploy/kubernetes/app-status/native/deployment.yaml");
const CLASSIC: &str = include_str!("../../../deploy/kubernetes/app-status/classic/deployment.yaml");

/// What stands under keys, one after the other.
fn at<'n>(node: &'n Node, path: &str) -> Option<&'n Node> {
    path.split('.').try_fold(node, |node, key| match &node.value {
        Value::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
        Value::List(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

fn text<'n>(node: &'n Node, path: &str) -> &'n str {
    match at(node, path).map(|node| &node.value) {
        Some(Value::Text(text)) => text,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn both_forms_have_eight_replicas_and_the_variables_of_the_sidecar() {
    for (manifest, place) in [(NATIVE, "initContainers.0"), (CLASSIC, "containers.1")] {
        let deployment = parse(manifest).unwrap();
        assert_eq!(text(&deployment, "spec.replicas"), "8");
        assert_eq!(text(&deployment, "spec.template.spec.containers.0.name"), "webapp");
        let exporter = at(&deployment, &format!("spec.template.spec.{place}")).unwrap();
        for (at, (name, value)) in
            [("APP_PORT", "5000"), ("EXPORTER_PORT", "9877"), ("POLLING_INTERVAL_SECONDS", "5")].iter().enumerate()
        {
            assert_eq!(
                (text(exporter, &format!("env.{at}.name")), text(exporter, &format!("env.{at}.value"))),
                (*name, *value)
            );
        }
        assert_eq!(text(exporter, "livenessProbe.httpGet.path"), "/-/healthy");
        for probe in ["startupProbe", "readinessProbe"] {
            assert!(at(exporter, probe).is_none(), "{probe}: the application's life must not hang on its exporter");
        }
        assert_eq!(text(exporter, "securityContext.readOnlyRootFilesystem"), "true");
        assert_eq!(text(exporter, "securityContext.runAsNonRoot"), "true");
    }
    let native = parse(NATIVE).unwrap();
    assert_eq!(text(&native, "spec.template.spec.initContainers.0.restartPolicy"), "Always");
}
