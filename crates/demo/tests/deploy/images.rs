//! deploy/Dockerfile: one target per exporter without a shell and without root.

use exporter_common::testing::{real, run};

use crate::EXPORTERS;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/Dockerfile");

/// The instructions of a stage, each joined to one line.
fn stage(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(FILE).unwrap().replace("\\\n", "");
    let lines = text.lines().skip_while(|line| !line.starts_with("FROM ") || !line.ends_with(&format!(" AS {name}")));
    let own = lines.enumerate().take_while(|(at, line)| *at == 0 || !line.starts_with("FROM "));
    own.map(|(_, line)| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[test]
fn hadolint_reports_nothing() {
    let Some(hadolint) = real("hadolint") else { return };
    let output = run(hadolint.to_str().unwrap(), ["--failure-threshold", "style", FILE]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn every_image_runs_without_root_and_has_its_labels() {
    let runtime = stage("runtime");
    assert!(runtime[0].starts_with("FROM ${RUNTIME_IMAGE}"), "{runtime:?}");
    assert!(runtime.contains(&"USER 65532:65532".to_owned()), "runAsNonRoot needs a numeric user: {runtime:?}");
    let labels = runtime.iter().find(|line| line.starts_with("LABEL ")).unwrap();
    for label in ["version", "revision", "source", "licenses", "base.name"] {
        assert!(labels.contains(&format!("org.opencontainers.image.{label}=")), "{label}");
    }
    for (name, line) in EXPORTERS {
        let image = stage(name);
        let address = line();
        let address = address.get_arguments().find(|flag| flag.get_long() == Some("web.listen-address")).unwrap();
        let port = address.get_default_values()[0].to_str().unwrap().trim_start_matches(':');
        assert_eq!(image[0], format!("FROM runtime AS {name}"));
        for label in ["title", "description"] {
            assert!(image[1].contains(&format!("org.opencontainers.image.{label}=\"")), "{name}: {label}");
        }
        assert_eq!(image[2], format!("COPY --from=build /out/{name} /usr/bin/{name}"));
        // Commands are lists, since there is no shell. This one proves that the program runs in the image.
        assert_eq!(image[3], format!("RUN [\"/usr/bin/{name}\", \"--version\"]"));
        assert_eq!(image[4], format!("EXPOSE {port}"));
        assert!(
            image[5].starts_with("HEALTHCHECK ")
                && image[5].ends_with(&format!("CMD [\"/usr/bin/{name}\", \"healthcheck\"]"))
        );
        assert_eq!(image[6..], [format!("ENTRYPOINT [\"/usr/bin/{name}\"]")]);
    }
}
