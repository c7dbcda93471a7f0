//! `--config.file`: json_exporter's configuration, read strictly, and what this exporter knows beyond it.
//!
//! Source: config/config.go of json_exporter, config/http_config.go of Prometheus' common library.

pub(crate) mod environment;
pub(crate) mod fields;
mod metric;
mod request;

use std::path::Path;

use anyhow::{Context, bail};
use exporter_common::reload::Files;
use exporter_common::yaml::{self, Node};

use crate::config::fields::{ConfigError, Fields, Result};
use crate::metrics::mapping::Metric;
pub(crate) use request::{Authentication, OAuth2Settings, ProxySettings, RequestSettings, TlsSettings};

/// One module: how pages are fetched, and what is taken from them.
pub(crate) struct ModuleConfig {
    pub(crate) metrics: Vec<Metric>,
    /// The pages the metrics are read from, relative to `--app.url`; the first is that URL itself.
    pub(crate) pages: Vec<String>,
    pub(crate) request: RequestSettings,
    /// The file itself and all files it names.
    pub(crate) files: Files,
    pub(crate) warnings: Vec<String>,
}

/// Reads one module of a file.
///
/// # Errors
/// What is wrong, with file and line.
pub(crate) fn load(path: &Path, module: &str) -> anyhow::Result<ModuleConfig> {
    let place = path.display();
    let files = Files::look([path.to_owned()]);
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {place}"))?;
    let root = yaml::parse(&text).with_context(|| place.to_string())?;
    let mut reader = ModuleReader { folder: path.parent().unwrap_or(Path::new("")), files, warnings: Vec::new() };
    match reader.file(root, module) {
        Ok((metrics, pages, request)) => {
            Ok(ModuleConfig { metrics, pages, request, files: reader.files, warnings: reader.warnings })
        }
        Err(fault) => bail!("{place}:{fault}"),
    }
}

/// Reads a configuration from its text, for fuzzing.
#[cfg(fuzzing)]
pub(crate) fn check(text: &str) -> anyhow::Result<()> {
    let folder = Path::new("/nowhere");
    ModuleReader { folder, files: Files::default(), warnings: Vec::new() }.file(yaml::parse(text)?, "default")?;
    Ok(())
}

/// Reads a configuration, and keeps what is to be known of it besides.
struct ModuleReader<'a> {
    /// What relative names of files are relative to.
    folder: &'a Path,
    files: Files,
    warnings: Vec<String>,
}

impl ModuleReader<'_> {
    fn file(&mut self, root: Node, module: &str) -> Result<(Vec<Metric>, Vec<String>, RequestSettings)> {
        let mut file = Fields::of(root, "the file")?;
        if file.has("metrics") {
            let what = "metrics stand in a module: put this file's content under modules: and default:";
            return Err(ConfigError::new(file.line, what));
        }
        let modules = file.entries("modules")?;
        if let Some((name, node)) = modules.iter().find(|(_, node)| matches!(node.value, yaml::Value::List(_))) {
            let what = format!("{name} stands in a module: put it under a name of its own, such as default:");
            return Err(ConfigError::new(node.line, what));
        }
        file.ignore(|key| key.starts_with("x-")); // a place for anchors, as in compose files
        let line = file.line;
        file.end()?;
        let names: Vec<_> = modules.iter().map(|(name, _)| name.as_str()).collect();
        let missing = match names[..] {
            [] => "there is no module: write modules: and under it default:".to_owned(),
            _ => format!("there is no module {module}, which --config.module asks for; there are {}", names.join(", ")),
        };
        let found = modules.into_iter().find(|(name, _)| name == module);
        let (name, node) = found.ok_or_else(|| ConfigError::new(line, missing))?;
        self.module(Fields::of(node, format!("module {name}"))?)
    }

    fn module(&mut self, mut module: Fields) -> Result<(Vec<Metric>, Vec<String>, RequestSettings)> {
        let request = self.request(&mut module)?;
        let (mut metrics, mut pages) = (Vec::<Metric>::new(), vec![String::new()]);
        for node in module.list("metrics")? {
            let line = node.line;
            let metric = self.metric(Fields::of(node, "a metric")?, &mut pages)?;
            for (name, _) in &metric.values {
                let same = |other: &&Metric| other.values.iter().any(|(other, _)| other == name);
                if let Some(other) = metrics.iter().find(same).filter(|other| other.kind != metric.kind) {
                    let what = format!("{name} has another valuetype here than where {} is defined first", other.name);
                    return Err(ConfigError::new(line, what));
                }
            }
            metrics.push(metric);
        }
        module.end()?;
        Ok((metrics, pages, request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<ModuleConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yml");
        std::fs::write(&path, text).unwrap();
        load(&path, "default").map_err(|error| format!("{error:#}").replace(&format!("{}:", path.display()), "c.yml:"))
    }

    /// A module with one metric, whose further keys these are, on line 4.
    fn metric(keys: &str) -> std::result::Result<ModuleConfig, String> {
        read(&format!("modules:\n  default:\n    metrics:\n    - {{name: m, {keys}}}\n"))
    }

    #[test]
    fn what_is_wrong_with_a_metric_is_told_with_its_line() {
        for (keys, fault) in [
            ("path: a", "m: \"a\" is plain text; a path stands in braces: '{.a}'"),
            ("path: $.a", "m: \"$.a\" is plain text; a path stands in braces: '{$.a}'"),
            ("path: '{.a}', type: object, values: {x: .b}", "m: \".b\" is plain text; a path stands in braces: '{.b}'"),
            ("path: '{.a}', lables: {}", "a metric has no key lables; did you mean labels?"),
            ("path: '{.a}', valueType: gauge", "a metric has no key valueType; did you mean valuetype?"),
            ("pth: '{.a}'", "a metric has no key pth; did you mean path?"),
            ("help: x", "m: it has no path"),
            ("path: '{.a'", "\"{.a\" is no JSONPath: } is missing at its end"),
            ("path: '{.a}', type: objct", "type: \"objct\" is none of value, object; did you mean object?"),
            ("path: '{.a}', type: object", "m: type object needs values, a suffix and a path each, or one value"),
            ("path: '{.a}', value: 1, values: {x: 1}", "m: value and values exclude each other"),
            ("path: '{.a}', values: {x: 1}", "m: values go with type: object"),
            ("path: 'a-{.a}', type: object, values: {x: 1}", "m: the path of objects is one path in braces"),
            ("path: '{.a}', valuetype: guage", "m: valuetype \"guage\" is none of gauge, counter,"),
            ("path: '{.a}', valuetype: stateset", "m: states go with valuetype stateset, and it with states"),
            ("path: '{.a}', valuetype: histogram", "m: histogram goes with valuetype histogram"),
            ("path: '{.a}', engine: cel", "m: engine cel is not supported"),
            ("path: '{.a}', regex: '('", "\"(\" is no regular expression: unclosed group"),
            ("path: '{.a}', format: sise", "format: \"sise\" is none of number, quantity, duration, time"),
            ("path: '{.a}', map: {a: b}", "map: \"b\" is no number"),
            ("path: '{.a}', if_null: nothing", "if_null: \"nothing\" is neither error nor skip nor a number"),
            ("path: '{.a}', labels: {__a: b}", "\"__a\" cannot be the name of a label"),
            ("path: [a]", "path is one value"),
            ("path: '{.a}', labels: []", "labels is a block of names and values"),
            ("path: '{.a}', allow_missing_key: perhaps", "allow_missing_key: \"perhaps\" is neither true nor false"),
            (
                "path: '{.a}', valuetype: stateset, states: [a], if_null: 0",
                "m: with this valuetype a series is left out",
            ),
            ("valuetype: info, scale: 2", "m: regex, map, format and scale make a number"),
        ] {
            let found = metric(keys).map(|_| ()).unwrap_err();
            assert!(found.starts_with(&format!("c.yml:4: {fault}")), "{keys}: {found}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_module_is_told_with_its_line() {
        for (module, fault) in [
            ("metric: []", "3: module default has no key metric; did you mean metrics?"),
            ("valid_status_codes: [20]", "3: a status code is a number from 100 to 599"),
            ("body: {content: a, templatize: true}", "3: body: templatize is not supported"),
            ("headers: {'a b': c}", "3: \"a b\" cannot be the name of a header"),
            ("body_size_limit: 2TB", "3: body_size_limit: \"2TB\" is no size up to 1GiB, write 4MiB"),
            ("http_client_config: {basic_auth: {user: x}}", "3: basic_auth has no key user; did you mean username?"),
            (
                "http_client_config: {bearer_token: a, basic_auth: {username: b}}",
                "3: of basic_auth, authorization, bearer_token and oauth2 there is one at most",
            ),
            (
                "http_client_config: {bearer_token: a, bearer_token_env: B}",
                "3: bearer_token is given in more than one way",
            ),
            ("http_client_config: {tls_config: {cert: a}}", "3: tls_config: a certificate and its key go together"),
            (
                "http_client_config: {tls_config: {max_version: TLS11}}",
                "3: tls_config: of the versions TLS12 and TLS13",
            ),
            (
                "http_client_config: {bearer_token_file: /dev/zero}",
                "3: bearer_token_file: cannot read /dev/zero: it is not a small file",
            ),
            ("http_client_config: {proxy_url: 's3cret'}", "3: proxy_url is no URL of http or https"),
            ("http_client_config: {no_proxy: a}", "3: no_proxy goes with proxy_url"),
            ("http_client_config: {proxy_connect_header: {a: [b]}}", "3: proxy_connect_header goes with a proxy"),
            (
                "http_client_config: {proxy_url: 'http://a', proxy_from_environment: true}",
                "3: proxy_url and proxy_from_environment exclude each other",
            ),
            (
                "http_client_config: {oauth2: {client_id: a, token_url: 'http://a/', grant_type: jwt-bearer}}",
                "3: oauth2: of the grant types client_credentials is supported",
            ),
            (
                "metrics: [{name: a, path: '{.x}'}, {name: a, path: '{.x}', valuetype: gauge}]",
                "3: a has another valuetype here",
            ),
        ] {
            let found = read(&format!("modules:\n  default:\n    {module}\n")).map(|_| ()).unwrap_err();
            assert!(found.starts_with(&format!("c.yml:{fault}")), "{module}: {found}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        for (text, fault) in [
            ("", "c.yml:1: there is no module: write modules: and under it default:"),
            (
                "modules: {other: {}}",
                "c.yml:1: there is no module default, which --config.module asks for; there are other",
            ),
            ("modules:\n  metrics:\n    - {name: a}\n", "c.yml:2: metrics stands in a module: put it under a name"),
            ("moduls: {default: {}}", "c.yml:1: the file has no key moduls; did you mean modules?"),
            ("metrics: []", "c.yml:1: metrics stand in a module"),
            ("modules: [", "c.yml: line "),
        ] {
            let found = read(text).map(|_| ()).unwrap_err();
            assert!(found.starts_with(fault), "{text}: {found}");
        }
    }

    #[test]
    fn a_label_that_looks_like_a_path_without_braces_is_warned_of() {
        let warnings =
            metric("path: '{.a}', labels: {x: $.b, y: .c, z: '.5', v: 'v1.2'}").map(|module| module.warnings);
        let warning =
            |name, text| format!("m: the label {name} is the text {text:?}; a path stands in braces: '{{{text}}}'");
        assert_eq!(warnings, Ok(vec![warning("x", "$.b"), warning("y", ".c")]));
    }

    #[test]
    fn other_modules_and_anchors_are_passed_over() {
        let text = "x-labels: &labels {env: beta}\nmodules:\n  default:\n    metrics:\n    - name: a\n      path: '{.a}'\n      \
                    labels: {<<: *labels, b: c}\n  other: {whatever: 1}\n";
        let module = read(text).unwrap();
        assert_eq!(module.warnings, [""; 0]);
        let labels: Vec<_> = module.metrics[0].labels.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(labels, ["b", "env"]);
    }
}
