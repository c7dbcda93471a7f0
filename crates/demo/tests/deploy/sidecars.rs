//! The sidecar components of deploy/kubernetes in every kind of workload.

use std::path::Path;

use exporter_common::testing::{real, run};

/// A workload of each kind. A pod template is the same in all of them.
fn workloads() -> String {
    let workload = |kind: &str, extra: &str| {
        format!(
            "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: app}}\nspec:\n{extra}  \
             selector: {{matchLabels: {{app: app}}}}\n  template:\n    metadata: {{labels: {{app: app}}}}\n    \
             spec: {{containers: [{{name: app, image: app:1.0.0}}]}}\n"
        )
    };
    [workload("Deployment", ""), workload("StatefulSet", "  serviceName: app\n"), workload("DaemonSet", "")]
        .join("---\n")
}

/// The path from one folder to another, because kustomize accepts only relative ones.
fn relative(from: &Path, to: &Path) -> String {
    let up = "../".repeat(from.canonicalize().unwrap().components().count() - 1);
    format!("{up}{}", to.canonicalize().unwrap().strip_prefix("/").unwrap().display())
}

#[test]
fn sidecar_components_patch_deployments_stateful_sets_and_daemon_sets() {
    let Some(kubectl) = real("kubectl") else { return };
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes");
    for component in [
        "app-status/sidecar/native",
        "app-status/sidecar/classic",
        "httpd-log/sidecar/native",
        "httpd-log/sidecar/classic",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let component = relative(folder.path(), &components.join(component));
        std::fs::write(folder.path().join("workloads.yaml"), workloads()).unwrap();
        let kustomization = format!("resources: [workloads.yaml]\ncomponents: [{component}]\n");
        std::fs::write(folder.path().join("kustomization.yaml"), kustomization).unwrap();
        let output = run(kubectl.to_str().unwrap(), ["kustomize", folder.path().to_str().unwrap()]);
        assert!(output.status.success(), "{component}: {}", String::from_utf8_lossy(&output.stderr));
        let rendered = String::from_utf8(output.stdout).unwrap();
        assert_eq!(rendered.matches("\nkind: ").count(), 3, "{component}");
        assert_eq!(rendered.matches("image: myregistry/").count(), 3, "{component}: {rendered}");
    }
}
