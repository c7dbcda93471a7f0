"""Checks the charts with Helm: lint, schemas of Kubernetes and of the values, agreement with deploy/kubernetes.

Writes the rendered monitors of the Prometheus Operator to the file given as argument, for deploy/schema/monitors.js.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml
from helm_python import Chart, lint, package
from helm_python.errors import HelmError

HERE = pathlib.Path(__file__).parent
CHART, SIDECAR, LIBRARY = HERE / "exporters", HERE / "example-sidecar", HERE / "exporter-library"
# The newest version, and two older ones.
KUBERNETES = ["1.29", "1.33", "1.37"]
# The keys in which a container of Helm and of Kustomize must agree.
AGREE = ["env", "livenessProbe", "ports", "readinessProbe", "resources", "restartPolicy", "securityContext", "terminationMessagePolicy"]

failures = []


def expect(condition, message):
    if not condition:
        failures.append(message)


def render(chart, values):
    """The objects of a chart, and its notes."""
    with Chart.load(chart) as loaded:
        files = loaded.render(values, name="exporters", namespace="monitoring")
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    objects = [found for text in texts for found in yaml.safe_load_all(text) if found]
    return objects, "".join(text for path, text in files.items() if path.endswith("NOTES.txt"))


def template(found):
    """The pod of an object, if it has one."""
    return found["spec"] if found["kind"] == "Pod" else found.get("spec", {}).get("template", {}).get("spec")


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def check_objects(location, objects):
    """Every object is valid; every container satisfies Pod Security "restricted"."""
    names = [(found["kind"], found["metadata"]["name"]) for found in objects]
    expect(len(names) == len(set(names)), f"{location}: duplicate objects: {names}")
    for found in objects:
        name = f"{location}: {found['kind']} {found['metadata']['name']}"
        for version in KUBERNETES if "monitoring.coreos.com" not in found["apiVersion"] else []:
            try:
                kubernetes_validate.validate(found, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                failures.append(f"{name}: Kubernetes {version}: {error.message}")
        for container in containers(template(found) or {"containers": []}):
            if "exporter" not in container["image"]:
                continue
            context = container["securityContext"]
            expect(
                context["runAsNonRoot"] and context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
                and context["capabilities"] == {"drop": ["ALL"]} and context["seccompProfile"] == {"type": "RuntimeDefault"},
                f"{name}: {container['name']} is not restricted",
            )
            expect("cpu" not in container["resources"]["limits"], f"{name}: a CPU limit delays scrapes")


def kustomize(folder):
    """The first container of an exporter in a folder of deploy/kubernetes."""
    text = subprocess.run(["kubectl", "kustomize", HERE.parent / "kubernetes" / folder], check=True, capture_output=True).stdout
    pods = [template(found) for found in yaml.safe_load_all(text) if found["kind"] in ("DaemonSet", "Deployment")]
    return next(c for pod in pods for c in containers(pod) if "-exporter:" in c["image"])


def check_agreement(objects, program, folder):
    """The exporter's container has the same probes, ports, limits and security context as in Kustomize."""
    pods = [template(found) for found in objects if found["kind"] in ("DaemonSet", "Deployment", "StatefulSet")]
    own = next(c for pod in pods for c in containers(pod) if f"/{program}:" in c["image"])
    other = kustomize(folder)
    for key in AGREE:
        expect(own.get(key) == other.get(key), f"{program}: {key}: {own.get(key)} here, {other.get(key)} in {folder}")


def check_rules(objects):
    """Rules reach the cluster unchanged, although their annotations look like templates of Helm."""
    for found in objects:
        if found["kind"] == "PrometheusRule":
            file = HERE / "../../prometheus/rules" / (found["metadata"]["name"].removeprefix("exporters-") + ".yml")
            expect(found["spec"] == yaml.safe_load(file.read_text()), f"{found['metadata']['name']}: not equal to {file.name}")


def check_versions():
    """Charts and images have the version of the workspace."""
    cargo = (HERE / "../../Cargo.toml").read_text()
    version = re.search(r'^version = "(.+)"', cargo, re.MULTILINE)[1]
    for chart in (CHART, LIBRARY):
        metadata = yaml.safe_load((chart / "Chart.yaml").read_text())
        expect(metadata["version"] == metadata["appVersion"] == version, f"{chart.name}: version is not {version}")
    tag = f'default "v{version}"'
    expect(tag in (LIBRARY / "templates/_container.tpl").read_text(), f"_container.tpl: {tag} is missing")


def check_refusals():
    """Wrong values are refused with a message."""
    for values, message in [
        ({}, "image.registry: missing"),
        ({"image": {"registry": "r"}, "cpu": {"enabld": False}}, "enabld"),
        ({"image": {"registry": "r"}, "queue": {"enabled": True}}, "queue.instances: missing"),
        ({"image": {"registry": "r"}, "monitors": {"kind": "Monitor"}}, "kind"),
        ({"image": {"registry": "r"}, "defaults": {"image": {"digest": "latest"}}}, "digest"),
    ]:
        try:
            render(CHART, values)
            failures.append(f"accepted: {values}")
        except HelmError as error:
            expect(message in str(error), f"{values}: {error}")


def check_package():
    """The archive contains rules and dashboards, although they are links here."""
    with tempfile.TemporaryDirectory() as folder, Chart.load(package(CHART, destination=folder)) as chart:
        names = {found["name"] for found in chart.files}
    for name in ("files/rules/queue.yml", "files/dashboards/queue.json"):
        expect(name in names, f"the package lacks {name}")


def main():
    check_versions()
    operator = []
    for path in sorted((CHART / "ci").glob("*.yaml")):
        values = yaml.safe_load(path.read_text())
        for version in KUBERNETES:
            report = lint(CHART, values, strict=True, kube_version=f"v{version}.0")
            expect(not report["errors"], f"{path.name}: lint: {report['errors']}")
        objects, notes = render(CHART, values)
        check_objects(path.name, objects)
        expect("helm test exporters" in notes, f"{path.name}: notes: {notes}")
        operator += [found for found in objects if found["kind"].endswith("Monitor")]
        check_rules(objects)
        kinds = {found["kind"] for found in objects}
        expect("hostPath" not in json.dumps(objects) or path.name == "host-paths.yaml", f"{path.name}: hostPath")
        if path.name == "all.yaml":
            wanted = {"ConfigMap", "DaemonSet", "Deployment", "NetworkPolicy", "Pod", "PodMonitor", "PrometheusRule", "Service", "ServiceMonitor"}
            expect(kinds == wanted, f"{path.name}: {kinds}")
            check_agreement(objects, "queue-exporter", "queue")
        if path.name == "minimal.yaml":
            check_agreement(objects, "cpu-exporter", "cpu")
    for native in (True, False):
        objects, _ = render(SIDECAR, {"native": native})
        check_objects(f"sidecars, native: {native}", objects)
        expect({found["kind"] for found in objects} == {"DaemonSet", "Deployment", "StatefulSet"}, "sidecars: kinds")
        for program, folder in [("app-status-exporter", "app-status"), ("httpd-log-exporter", "httpd-log")]:
            check_agreement(objects, program, f"{folder}/{'native' if native else 'classic'}")
    check_refusals()
    check_package()
    pathlib.Path(sys.argv[1]).write_text(json.dumps(operator))
    print(*failures, f"charts checked with Kubernetes {', '.join(KUBERNETES)}, {len(failures)} faults", sep="\n")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
