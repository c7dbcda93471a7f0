//! Tests of the settings, their defaults and their errors.

use super::*;

/// A configuration with every setting.
const HCL: &str = r#"
listen {
  port = 4041
  address = "10.1.2.3"
  metrics_endpoint = "/stats"
}
consul { enable = false }
enable_experimental = true

namespace "shop" {
  source {
    files = ["/var/log/nginx/shop.log", "/var/log/nginx/*.shop.log"]
    syslog {
      listen_address = "udp://127.0.0.1:5531"
      format = "rfc3164"
      tags = ["nginx", "edge"]
    }
  }
  format = "$host \"$request\" $status $request_time"
  metrics_override = { prefix = "web" }
  namespace_label = "site"
  labels { team = "a", env = "prod" }
  relabel "host" {
    from = "host"
    whitelist = ["a.example", "b.example"]
  }
  relabel "path" {
    from = "request"
    split = 2
    separator = " "
    only_counter = true
    match "^/users/[0-9]+" { replacement = "/users/:id" }
    match "^/(a|b)" { replacement = "/$1" }
  }
  histogram_buckets = [.1, 1, 2.5]
}
"#;

/// The same configuration.
const YAML: &str = r#"
listen: {port: 4041, address: 10.1.2.3, metrics_endpoint: /stats}
consul: {enable: false}
enable_experimental: true
namespaces:
  - name: shop
    source:
      files: [/var/log/nginx/shop.log, /var/log/nginx/*.shop.log]
      syslog: {listen_address: "udp://127.0.0.1:5531", format: rfc3164, tags: [nginx, edge]}
    format: "$host \"$request\" $status $request_time"
    metrics_override: {prefix: web}
    namespace_label: site
    labels: {team: a, env: prod}
    relabel_configs:
      - target_label: host
        from: host
        whitelist: [a.example, b.example]
      - target_label: path
        from: request
        split: 2
        separator: " "
        only_counter: true
        matches:
          - {regexp: "^/users/[0-9]+", replacement: "/users/:id"}
          - {regexp: "^/(a|b)", replacement: "/$1"}
    histogram_buckets: [.1, 1, 2.5]
"#;

#[test]
fn both_syntaxes_give_the_same_configuration() {
    for (text, is_hcl) in [(HCL, true), (YAML, false)] {
        let config = NginxlogConfig::parse(text, is_hcl).unwrap();
        assert_eq!((config.listen_address.as_str(), config.metrics_path.as_str()), ("10.1.2.3:4041", "/stats"));
        assert_eq!(config.warnings, [""; 0]);
        let [shop] = &config.namespaces[..] else { panic!("{config:?}") };
        let sources = ["/var/log/nginx/shop.log", "/var/log/nginx/*.shop.log", "syslog+udp://127.0.0.1:5531"];
        assert_eq!(
            (config.sources(), &shop.tags[..]),
            (sources.map(str::to_owned).to_vec(), &["nginx", "edge"].map(str::to_owned)[..])
        );
        assert_eq!((shop.name.as_str(), shop.prefix.as_str(), shop.has_label), ("shop", "web_", true));
        assert_eq!(shop.format.as_deref(), Some("$host \"$request\" $status $request_time"));
        let labels: Vec<_> = shop.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(labels, ["site=shop", "env=prod", "team=a"]);
        let relabels: Vec<_> = shop.relabels.iter().map(|relabel| relabel.label.as_str()).collect();
        assert_eq!(relabels, ["host", "path", "method", "status"]);
        let path = &shop.relabels[1];
        assert_eq!((path.split, path.only_counter, path.rules.len()), (Some(2), true, 2));
        assert_eq!(shop.buckets, [0.1, 1.0, 2.5]);
    }
}

/// The smallest namespace, with more settings.
fn minimal(name: &str, more: &str) -> String {
    let label = name.strip_suffix('!').map_or("namespace_label = \"n\"", |_| "");
    let format = "format = \"$request $status\"";
    format!("namespace \"{name}\" {{\n{format}\n{label}\nsource_files = [\"/log/{name}\"]\n{more}\n}}\n")
        .replace('!', "")
}

#[test]
fn missing_settings_have_the_defaults_of_prometheus_nginxlog_exporter() {
    let config = NginxlogConfig::parse(&minimal("a!", ""), true).unwrap();
    assert_eq!((config.listen_address.as_str(), config.metrics_path.as_str()), ("0.0.0.0:4040", "/metrics"));
    let namespace = &config.namespaces[0];
    assert_eq!(
        (namespace.prefix.as_str(), &namespace.buckets[..], namespace.has_label),
        ("a_", &DEFAULT_BUCKETS[..], false)
    );
    assert!(namespace.tags.is_empty() && namespace.labels.is_empty());
    let without_prefix = NginxlogConfig::parse(&minimal("a-b!", "metrics_override = { prefix = \"\" }"), true).unwrap();
    assert_eq!(without_prefix.namespaces[0].prefix, "");
    let listen =
        NginxlogConfig::parse(&("listen {\nport = 1\naddress = \"\"\n}\n".to_owned() + &minimal("a", "")), true);
    assert_eq!(listen.unwrap().listen_address, ":1");
    let json = NginxlogConfig::parse("namespaces: [{name: a, parser: json, source: {files: /log}}]", false).unwrap();
    assert_eq!((json.namespaces[0].format.as_deref(), &json.sources()[..]), (None, &["/log".to_owned()][..]));
}

#[test]
fn settings_without_effect_are_warnings() {
    for (text, warning) in [
        ("port = 4040\n".to_owned() + &minimal("a", ""), "line 1: unknown setting port in the file is ignored"),
        (minimal("a", "routes = [\"^/a\"]"), "line 5: unknown setting routes in namespace a is ignored"),
        (minimal("a", "parser = \"xml\""), "line 1: namespace a: unknown parser xml: the logs are read as text"),
        (minimal("a", "print_log = true"), "line 1: namespace a: print_log has no effect"),
        (
            "consul {\nenable = true\nservice { id = \"x\" }\n}\n".to_owned() + &minimal("a", ""),
            "line 1: consul: this exporter does not register itself in Consul",
        ),
        (
            minimal("a", "source { syslog { listen_address = \"tcp://:601\" } }"),
            "line 5: syslog: no tags: every message is counted",
        ),
        (
            minimal("a", "relabel \"x\" {\nfrom = \"y\"\nmtach \"a\" {}\n}"),
            "line 7: unknown setting mtach in relabel x is ignored",
        ),
    ] {
        let config = NginxlogConfig::parse(&text, true).unwrap();
        assert!(config.warnings[0].starts_with(warning), "{warning}: {:?}", config.warnings);
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    }
}

#[test]
fn a_mistake_is_an_error_with_its_line() {
    for (text, error) in [
        (String::new(), "it has no namespace block"),
        ("namespace {\nformat = \"x\"\n}\n".to_owned(), "line 1: namespace: missing name: write namespace \"NAME\" {"),
        (minimal("a-b!", ""), "line 1: namespace a-b: 'a-b' cannot start a metric name: set metrics_override"),
        (minimal("a", "labels { le = \"x\" }"), "line 1: namespace a: 'le' cannot be a label"),
        (minimal("a", "labels { method = \"x\" }"), "line 1: namespace a: two labels have the name method"),
        (minimal("a", "labels { n = \"x\" }"), "line 1: namespace a: two labels have the name n"),
        (minimal("a", "relabel \"x\" { }"), "line 5: relabel x: from is missing"),
        (
            minimal("a", "relabel \"x\" {\nfrom = \"y\"\nmatch \"(\" { }\n}"),
            "line 7: match of relabel x: '(' is not a regular expression: unclosed group",
        ),
        (
            minimal("a", "histogram_buckets = [1, 1]"),
            "line 1: namespace a: histogram_buckets: the bounds must be in asc",
        ),
        (minimal("a", "histogram_buckets = [\"x\"]"), "line 1: namespace a: histogram_buckets: 'x' is not a number"),
        (
            minimal("a", "source { syslog { listen_address = \"x:1\" } }"),
            "line 5: syslog: listen_address x:1: expected udp",
        ),
        (minimal("a", "format = \"%s\""), "line 1: namespace a: format has no variable such as $status"),
        (minimal("a", "print_log = maybe"), "line 5: print_log: expected true or false, not \"maybe\""),
        (minimal("a", "format = [\"x\"]"), "line 5: format: expected a single value"),
        ("listen { port = 70000 }\n".to_owned() + &minimal("a", ""), "line 1: listen: port 70000 is not a port"),
        ("listen { port = x }\n".to_owned() + &minimal("a", ""), "line 1: port: expected a whole number"),
        (
            "listen { metrics_endpoint = \"x\" }\n".to_owned() + &minimal("a", ""),
            "line 1: listen: metrics_endpoint x does not start with /",
        ),
        (
            minimal("a", "metrics_override = { prefix = \"p\" }\nnamespace_label = \"\"")
                + &minimal("b!", "metrics_override = { prefix = \"p\" }"),
            "line 8: namespace b: namespace a has the same metrics: set namespace_label",
        ),
        (
            minimal("a", "") + &minimal("b", "source_files = [\"/log/a\"]"),
            "line 7: namespace b: /log/a is also a source of namespace a",
        ),
        ("namespace \"a\" { format = \"$status\" }".to_owned(), "line 1: namespace a: it has no source"),
        ("namespace \"a\" { source_files = [\"/a\"] }".to_owned(), "line 1: namespace a: format is missing"),
    ] {
        let found = NginxlogConfig::parse(&text, true).unwrap_err();
        assert!(found.starts_with(error) && !found.contains('\n'), "{found}\nexpected {error}");
    }
    let control = NginxlogConfig::parse("a = \"\\\n\"", true).unwrap_err();
    assert_eq!(control, "line 2: unknown escape \\ : write \\\\ for a backslash");
    let yaml = |text| NginxlogConfig::parse(text, false).unwrap_err();
    assert_eq!(yaml("listen: {port: 1}\n"), "it has no namespaces");
    assert_eq!(yaml("namespaces:\n  a: b\n"), "line 1: namespaces: expected a list");
    assert_eq!(yaml("namespaces: [\n"), yaml("namespaces: [\n").lines().next().unwrap());
}

#[test]
fn many_labels_are_refused() {
    let many = |one: &dyn Fn(usize) -> String| (0..=MAX_LABELS).map(one).collect::<String>();
    for (more, error) in [
        (
            many(&|number| format!("labels \"l{number}\" {{ }}\n")),
            "line 1: namespace a: 1001 labels are more than 1000",
        ),
        (
            many(&|number| format!("relabel \"l{number}\" {{ from = \"f{number}\" }}\n")),
            "line 1: namespace a: 1001 relabel rules are more than 1000: remove some",
        ),
    ] {
        let found = NginxlogConfig::parse(&minimal("a", &more), true).unwrap_err();
        assert!(found.starts_with(error) && !found.contains('\n'), "{found}\nexpected {error}");
    }
}
