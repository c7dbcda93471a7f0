//! Tests of the configuration file.

use super::module::{ModuleConfig, load};

fn read(text: &str) -> Result<ModuleConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yml");
    std::fs::write(&path, text).unwrap();
    load(&path, "default", true)
        .map_err(|error| format!("{error:#}").replace(&format!("{}:", path.display()), "c.yml:"))
}

/// A module with one metric on line 4, with these additional keys.
fn metric(keys: &str) -> Result<ModuleConfig, String> {
    read(&format!("modules:\n  default:\n    metrics:\n    - {{name: m, {keys}}}\n"))
}

#[test]
fn errors_in_a_metric_are_reported_with_the_line() {
    for (keys, message) in [
        ("path: a", "m: \"a\" is literal text: write a path in braces, '{.a}'"),
        ("path: $.a", "m: \"$.a\" is literal text: write a path in braces, '{$.a}'"),
        ("path: '{.a}', type: object, values: {x: .b}", "m: \".b\" is literal text: write a path in braces, '{.b}'"),
        ("path: '{.a}', lables: {}", "unknown key lables in a metric; did you mean labels?"),
        ("path: '{.a}', valueType: gauge", "unknown key valueType in a metric; did you mean valuetype?"),
        ("pth: '{.a}'", "unknown key pth in a metric; did you mean path?"),
        ("help: x", "m: missing key path"),
        ("path: '{.a'", "\"{.a\" is not a JSONPath template: column 4: missing }"),
        ("path: '{.a}', type: objct", "type: \"objct\" is not one of value, object; did you mean object?"),
        ("path: '{.a}', type: object", "m: type object requires values, each a suffix and a path, or value"),
        ("path: '{.a}', value: 1, values: {x: 1}", "m: value and values are mutually exclusive"),
        ("path: '{.a}', values: {x: 1}", "m: values requires type: object"),
        ("path: 'a-{.a}', type: object, values: {x: 1}", "m: the path of the elements must be a single path in braces"),
        ("path: '{.a}', valuetype: guage", "m: valuetype \"guage\" is not one of gauge, counter,"),
        (
            "path: '{.a}', valuetype: stateset",
            "m: valuetype stateset requires states, and states requires valuetype stateset",
        ),
        ("path: '{.a}', valuetype: histogram", "m: valuetype histogram requires histogram"),
        ("path: '{.a}', engine: cel", "m: engine cel is not supported"),
        ("path: '{.a}', regex: '('", "\"(\" is not a regular expression: unclosed group"),
        ("path: '{.a}', format: sise", "format: \"sise\" is not one of number, quantity, duration, time"),
        ("path: '{.a}', map: {a: b}", "map: \"b\" is not a number"),
        ("path: '{.a}', if_null: nothing", "if_null: \"nothing\" is not error, skip or a number"),
        ("path: '{.a}', labels: {__a: b}", "\"__a\" is not a valid label name"),
        ("path: [a]", "path: expected a single value"),
        ("path: '{.a}', labels: []", "labels: expected a map"),
        ("path: '{.a}', allow_missing_key: perhaps", "allow_missing_key: expected true or false, not \"perhaps\""),
        (
            "path: '{.a}', valuetype: stateset, states: [a], if_null: 0",
            "m: if_missing, if_null and if_invalid must be error or skip",
        ),
        ("valuetype: info, scale: 2", "m: regex, map, format, scale and separators are not allowed"),
    ] {
        let found = metric(keys).map(|_| ()).unwrap_err();
        assert!(found.starts_with(&format!("c.yml:4: {message}")), "{keys}: {found}");
    }
}

#[test]
fn errors_in_a_module_are_reported_with_the_line() {
    for (module, message) in [
        ("metric: []", "3: unknown key metric in module default; did you mean metrics?"),
        ("valid_status_codes: [20]", "3: valid_status_codes: \"20\" is not a number from 100 to 599"),
        ("body: {content: a, templatize: true}", "3: body: templatize is not supported"),
        ("headers: {'a b': c}", "3: \"a b\" is not a valid header name"),
        ("body_size_limit: 2TB", "3: body_size_limit: \"2TB\" is not a size up to 1GiB: use a size such as 4MiB"),
        ("http_client_config: {basic_auth: {user: x}}", "3: unknown key user in basic_auth; did you mean username?"),
        (
            "http_client_config: {bearer_token: a, basic_auth: {username: b}}",
            "3: basic_auth, authorization, bearer_token and oauth2 are mutually exclusive",
        ),
        ("http_client_config: {bearer_token: a, bearer_token_env: B}", "3: bearer_token is set more than once"),
        ("http_client_config: {tls_config: {cert: a}}", "3: tls_config: a certificate requires a key"),
        (
            "http_client_config: {tls_config: {max_version: TLS11}}",
            "3: tls_config: min_version and max_version leave no supported version",
        ),
        (
            "http_client_config: {bearer_token_file: /dev/zero}",
            "3: bearer_token_file: cannot read /dev/zero: not a regular file",
        ),
        ("http_client_config: {proxy_url: 's3cret'}", "3: proxy_url is not an http or https URL"),
        ("http_client_config: {no_proxy: a}", "3: no_proxy requires proxy_url"),
        ("http_client_config: {proxy_connect_header: {a: [b]}}", "3: proxy_connect_header requires a proxy"),
        (
            "http_client_config: {proxy_url: 'http://a', proxy_from_environment: true}",
            "3: proxy_url and proxy_from_environment are mutually exclusive",
        ),
        (
            "http_client_config: {oauth2: {client_id: a, token_url: 'http://a/', grant_type: jwt-bearer}}",
            "3: oauth2: the only supported grant_type is client_credentials",
        ),
        (
            "metrics: [{name: a, path: '{.x}'}, {name: a, path: '{.x}', valuetype: gauge}]",
            "3: a: the valuetype differs from its first definition",
        ),
    ] {
        let found = read(&format!("modules:\n  default:\n    {module}\n")).map(|_| ()).unwrap_err();
        assert!(found.starts_with(&format!("c.yml:{message}")), "{module}: {found}");
    }
}

#[test]
fn colliding_names_are_reported_with_the_line() {
    let metrics = |metrics: &str| read(&format!("modules:\n  default:\n    metrics:\n{metrics}")).map(|_| ());
    let exporter = "is a metric of the exporter itself: choose another name";
    for (name, message) in [
        ("exporter_scrape_success", exporter),
        ("exporter.scrape.success", exporter),
        ("app_status_failures_total", exporter),
        ("app_status_exporter_build_info", exporter),
        (
            "process_resident_memory_bytes",
            "is a metric of the exporter's own process: choose another name, or set --web.disable-exporter-metrics",
        ),
    ] {
        let found = metrics(&format!("    - {{name: {name}, path: '{{.a}}'}}\n"));
        assert_eq!(found, Err(format!("c.yml:4: {name} {message}")));
    }
    let labels = "    - {name: m, path: '{.a}', labels: {l b: x, l_b: y}}\n";
    let message = "c.yml:4: m: the labels \"l b\" and \"l_b\" are both exposed as l_b";
    assert_eq!(metrics(labels), Err(message.to_owned()));
    let types = "    - {name: a b, path: '{.a}'}\n    - {name: a_b, path: '{.a}', valuetype: gauge}\n";
    assert_eq!(metrics(types), Err("c.yml:5: a_b: the valuetype differs from its first definition in a b".to_owned()));
    let histogram =
        "    - {name: h_count, path: '{.a}'}\n    - {name: h, valuetype: histogram, histogram: {buckets: '{.b[*]}'}}\n";
    assert_eq!(metrics(histogram), Err("c.yml:5: h: the series h_count is also one of h_count".to_owned()));
    let same = "    - {name: a, path: '{.a}', labels: {x: '1'}}\n    - {name: a, path: '{.b}', labels: {x: '2'}}\n";
    assert_eq!(metrics(same), Ok(()));
}

#[test]
fn process_metrics_are_allowed_if_the_exporter_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yml");
    std::fs::write(&path, "modules: {default: {metrics: [{name: process_open_fds, path: '{.a}'}]}}").unwrap();
    assert!(load(&path, "default", true).is_err());
    assert!(load(&path, "default", false).is_ok());
}

#[test]
fn separators_are_checked() {
    assert!(metric("path: '{.a}', decimal_separator: ',', thousands_separator: .").is_ok());
    for (keys, message) in [
        ("path: '{.a}', decimal_separator: ab", "decimal_separator: \"ab\" is not a separator"),
        ("path: '{.a}', decimal_separator: 1", "decimal_separator: \"1\" is not a separator"),
        ("path: '{.a}', thousands_separator: .", "thousands_separator and decimal_separator must differ"),
        ("path: '{.a}', decimal_separator: ',', format: time", "decimal_separator and thousands_separator require"),
    ] {
        let found = metric(keys).map(|_| ()).unwrap_err();
        assert!(found.starts_with(&format!("c.yml:4: {message}")), "{keys}: {found}");
    }
}

#[test]
fn errors_in_the_file_are_reported() {
    for (text, message) in [
        ("", "c.yml:1: no modules: write modules: and under it default:"),
        ("modules: {other: {}}", "c.yml:1: module default of --config.module not found: the modules are other"),
        (
            "modules:\n  metrics:\n    - {name: a}\n",
            "c.yml:2: metrics must be in a module: move it under a module name",
        ),
        ("moduls: {default: {}}", "c.yml:1: unknown key moduls in the file; did you mean modules?"),
        ("metrics: []", "c.yml:1: metrics must be in a module"),
        ("modules: [", "c.yml:2: invalid YAML: while parsing a node"),
    ] {
        let found = read(text).map(|_| ()).unwrap_err();
        assert!(found.starts_with(message), "{text}: {found}");
    }
}

#[test]
fn a_label_that_looks_like_a_path_without_braces_causes_a_warning() {
    let warnings = metric("path: '{.a}', labels: {x: $.b, y: .c, z: '.5', v: 'v1.2'}").map(|module| module.warnings);
    let warning =
        |name, text| format!("m: the label {name} is the literal text {text:?}; write a path in braces: '{{{text}}}'");
    assert_eq!(warnings, Ok(vec![warning("x", "$.b"), warning("y", ".c")]));
}

#[test]
fn other_modules_and_anchors_are_ignored() {
    let text = "x-labels: &labels {env: beta}\nmodules:\n  default:\n    metrics:\n    - name: a\n      path: '{.a}'\n      \
                labels: {<<: *labels, b: c}\n  other: {whatever: 1}\n";
    let module = read(text).unwrap();
    assert_eq!(module.warnings, [""; 0]);
    let labels: Vec<_> = module.metrics[0].labels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(labels, ["b", "env"]);
}
