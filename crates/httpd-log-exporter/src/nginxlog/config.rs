//! The configuration of prometheus-nginxlog-exporter: its settings and their defaults, checked.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use exporter_common::config::small_file;
use exporter_common::yaml;

use super::hcl;
use super::relabel::{Relabel, RelabelRule};
use super::setting::{self, Section, Setting, SettingValue};

/// A configuration.
#[derive(Debug)]
pub(crate) struct NginxlogConfig {
    /// The flag and its value, for errors.
    pub(super) origin: String,
    /// Where to serve metrics unless a flag says so.
    pub(crate) listen_address: String,
    pub(crate) metrics_path: String,
    pub(crate) namespaces: Vec<NamespaceConfig>,
    /// Settings that have no effect here.
    warnings: Vec<String>,
}

/// A namespace: logs with one format, and the metrics of their lines.
#[derive(Debug)]
pub(crate) struct NamespaceConfig {
    pub(crate) name: String,
    pub(super) line: usize,
    /// What metric names start with, with its underscore.
    pub(crate) prefix: String,
    /// Files and globs, then the syslog socket, as `--access-log` has them.
    pub(crate) sources: Vec<String>,
    /// The tags of the syslog messages that are counted; all if there are none.
    pub(crate) tags: Vec<String>,
    /// The text of the format; `None` for JSON.
    pub(crate) format: Option<String>,
    /// Labels that all series have, ordered by name.
    pub(crate) labels: Vec<(String, String)>,
    /// Whether the first one is the namespace's.
    pub(crate) has_label: bool,
    pub(crate) relabels: Vec<Relabel>,
    pub(crate) buckets: Vec<f64>,
}

/// The size limit of a configuration.
const MAX_SIZE: u64 = 1 << 20;
/// The maximum number of labels of a namespace, and of those with values of a line.
const MAX_LABELS: usize = 1_000;
const DEFAULT_PORT: i64 = 4040;
const DEFAULT_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Names that histograms and summaries use.
const RESERVED: [&str; 2] = ["le", "quantile"];

impl NginxlogConfig {
    /// Reads a file, whose ending gives the syntax.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let what = || format!("--config.file {}", path.display());
        let is_hcl = match path.extension().and_then(|ending| ending.to_str()) {
            Some("hcl") => true,
            Some("yaml" | "yml") => false,
            _ => bail!("{}: unknown syntax: the name must end in .hcl, .yaml or .yml", what()),
        };
        let mut text = Vec::new();
        let size = small_file::read_into(&mut text, MAX_SIZE, path).with_context(what)?;
        ensure!(size as u64 <= MAX_SIZE, "{}: larger than {} MiB", what(), MAX_SIZE >> 20);
        let text = String::from_utf8(text).map_err(|_| anyhow!("{}: it is not UTF-8", what()))?;
        let config = Self::parse(&text, is_hcl).map_err(|error| anyhow!("{}: {error}", what()))?;
        Ok(Self { origin: what(), ..config })
    }

    /// Parses the text of a file. An error is one line.
    pub(crate) fn parse(text: &str, is_hcl: bool) -> setting::Result<Self> {
        Self::read(text, is_hcl).map_err(|error| error.replace(char::is_control, " "))
    }

    fn read(text: &str, is_hcl: bool) -> setting::Result<Self> {
        let root =
            if is_hcl { hcl::parse(text)? } else { yaml::parse(text).map_err(|error| error.to_string())?.into() };
        let warnings = RefCell::default();
        let mut root = Section::of(root, "the file", &warnings)?;
        let (listen_address, metrics_path) = listen(&mut root)?;
        consul(&mut root)?;
        // both have had no effect since its version 1.0
        let _ = (root.flag("enable_experimental")?, root.flag("enableexperimentalfeatures")?);
        let namespaces = if is_hcl { hcl_namespaces(&mut root)? } else { yaml_namespaces(&mut root)? };
        if namespaces.is_empty() {
            return Err(format!("it has no {}", if is_hcl { "namespace block" } else { "namespaces" }));
        }
        let namespaces = namespaces.into_iter().map(|(name, section)| namespace(name, section, is_hcl));
        let namespaces = namespaces.collect::<setting::Result<Vec<_>>>()?;
        root.end();
        check_distinct(&namespaces)?;
        Ok(Self { origin: String::new(), listen_address, metrics_path, namespaces, warnings: warnings.into_inner() })
    }

    /// Logs settings without an effect here.
    pub(crate) fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{}: {warning}", self.origin);
        }
    }

    /// The sources of all namespaces.
    pub(crate) fn sources(&self) -> Vec<String> {
        self.namespaces.iter().flat_map(|namespace| namespace.sources.clone()).collect()
    }
}

/// The address to listen on, and the path of the metrics.
fn listen(root: &mut Section<'_>) -> setting::Result<(String, String)> {
    let Some(mut listen) = root.section("listen")? else {
        return Ok((format!("0.0.0.0:{DEFAULT_PORT}"), "/metrics".to_owned()));
    };
    let port = listen.number("port")?.unwrap_or(DEFAULT_PORT);
    if u16::try_from(port).is_err() {
        return Err(listen.mistake(&format!("port {port} is not a port: use 0 to 65535")));
    }
    let host = listen.take("address").map(|host| host.text("address")).transpose()?;
    let path = listen.text("metrics_endpoint")?.unwrap_or_else(|| "/metrics".to_owned());
    if !path.starts_with('/') {
        return Err(listen.mistake(&format!("metrics_endpoint {path} does not start with /")));
    }
    listen.end();
    Ok((format!("{}:{port}", host.as_deref().unwrap_or("0.0.0.0")), path))
}

/// This exporter does not register itself.
fn consul(root: &mut Section<'_>) -> setting::Result<()> {
    if let Some(mut consul) = root.section("consul")? {
        if consul.flag("enable")? {
            consul.warn("this exporter does not register itself in Consul: add it to Prometheus, or register it there");
        }
        consul.ignore_rest();
    }
    Ok(())
}

/// The blocks `namespace "NAME" { … }`.
fn hcl_namespaces<'w>(root: &mut Section<'w>) -> setting::Result<Vec<(String, Section<'w>)>> {
    let mut namespaces = Vec::new();
    for block in root.all("namespace") {
        for (name, body) in labeled(block, "namespace")? {
            namespaces.push((name.clone(), root.inner(body, format!("namespace {name}"))?));
        }
    }
    Ok(namespaces)
}

/// The labels and bodies of blocks with one label.
fn labeled(block: Setting, key: &str) -> setting::Result<Vec<(String, Setting)>> {
    let line = block.line;
    let bodies = block.entries(key)?;
    let is_block = |(_, body): &(String, Setting)| matches!(body.value, SettingValue::Map(_) | SettingValue::Null);
    match bodies.iter().all(is_block) {
        true => Ok(bodies),
        false => Err(format!("line {line}: {key}: missing name: write {key} \"NAME\" {{")),
    }
}

/// The list `namespaces`.
fn yaml_namespaces<'w>(root: &mut Section<'w>) -> setting::Result<Vec<(String, Section<'w>)>> {
    let list = root.take("namespaces").map(|list| list.list("namespaces")).transpose()?.unwrap_or_default();
    let mut namespaces = Vec::new();
    for item in list {
        let mut section = root.inner(item, "a namespace")?;
        let name = section.text("name")?.unwrap_or_default();
        section.name = format!("namespace {name}");
        namespaces.push((name, section));
    }
    Ok(namespaces)
}

fn namespace(name: String, mut section: Section<'_>, is_hcl: bool) -> setting::Result<NamespaceConfig> {
    let prefix = match section.section("metrics_override")? {
        None => name.clone(),
        Some(mut overridden) => {
            let prefix = overridden.text("prefix")?.unwrap_or_default();
            overridden.end();
            prefix
        }
    };
    let is_name = |text: &str| {
        !text.starts_with(|c: char| c.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte))
    };
    if !is_name(&prefix) {
        let why = format!("'{prefix}' cannot start a metric name: set metrics_override with a prefix of letters and _");
        return Err(section.mistake(&why));
    }
    let (sources, tags) = sources(&mut section)?;
    let format = format(&mut section)?;
    let (labels, has_label) = labels(&name, &mut section)?;
    let relabels = relabels(&mut section, is_hcl)?;
    let mut names: BTreeSet<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
    for relabel in &relabels {
        if !names.insert(&relabel.label) {
            return Err(section.mistake(&format!("two labels have the name {}", relabel.label)));
        }
    }
    let buckets = buckets(&mut section)?;
    if section.flag("print_log")? {
        section.warn("print_log has no effect: `httpd-log-exporter explain` shows how lines are parsed");
    }
    let prefix = if prefix.is_empty() { prefix } else { format!("{prefix}_") };
    let line = section.line;
    section.end();
    Ok(NamespaceConfig { name, line, prefix, sources, tags, format, labels, has_label, relabels, buckets })
}

/// The logs of a namespace, and the tags of its syslog messages.
fn sources(section: &mut Section<'_>) -> setting::Result<(Vec<String>, Vec<String>)> {
    let old = section.texts("source_files")?;
    let (mut sources, mut tags) = (Vec::new(), Vec::new());
    if let Some(mut source) = section.section("source")? {
        sources = source.texts("files")?;
        if let Some(mut syslog) = source.section("syslog")? {
            let address = syslog.text("listen_address")?.ok_or_else(|| syslog.mistake("listen_address is missing"))?;
            let source = syslog_source(&address).ok_or_else(|| {
                let expected = "expected udp://HOST:PORT, tcp://HOST:PORT or unix:///PATH";
                syslog.mistake(&format!("listen_address {address}: {expected}"))
            })?;
            let format = syslog.text("format")?.unwrap_or_default();
            if !matches!(format.as_str(), "" | "auto" | "rfc3164" | "rfc5424" | "rfc6587") {
                return Err(syslog.mistake(&format!("unknown format {format}: use auto")));
            }
            tags = syslog.texts("tags")?;
            if tags.is_empty() {
                syslog.warn("no tags: every message is counted, where prometheus-nginxlog-exporter counts none");
            }
            syslog.end();
            sources.push(source);
        }
        source.end();
    }
    if !old.is_empty() {
        // the old form replaces the files of the new one
        sources.retain(|source| source.starts_with("syslog+"));
        sources.splice(..0, old);
    }
    match () {
        () if sources.is_empty() => Err(section.mistake("it has no source: add files or syslog to source")),
        () if sources.iter().any(String::is_empty) => Err(section.mistake("a file has an empty name")),
        () => Ok((sources, tags)),
    }
}

/// The syslog socket at an address, as a source of `--access-log`.
fn syslog_source(address: &str) -> Option<String> {
    match address.split_once("://")? {
        ("udp" | "tcp", at) => {
            let (_, port) = at.rsplit_once(':')?;
            port.parse::<u16>().ok().map(|_| format!("syslog+{address}"))
        }
        ("unix", path) => path.starts_with('/').then(|| format!("syslog+unix:{path}")),
        _ => None,
    }
}

/// The format of text; `None` for JSON.
fn format(section: &mut Section<'_>) -> setting::Result<Option<String>> {
    let (parser, format) = (section.text("parser")?, section.text("format")?);
    match parser.as_deref() {
        Some("json") => return Ok(None),
        None | Some("text") => {}
        Some(other) => section.warn(&format!("unknown parser {other}: the logs are read as text")),
    }
    match format {
        Some(format) if format.contains('$') => Ok(Some(format)),
        Some(_) => Err(section.mistake("format has no variable such as $status: copy nginx's log_format")),
        None => Err(section.mistake("format is missing: copy nginx's log_format")),
    }
}

/// The labels that all series of a namespace have, and whether the first one is the namespace's.
fn labels(name: &str, section: &mut Section<'_>) -> setting::Result<(Vec<(String, String)>, bool)> {
    let mut labels = Vec::new();
    if let Some(label) = section.text("namespace_label")? {
        check_label(section, &label)?;
        labels.push((label, name.to_owned()));
    }
    let listed = section.take("labels").map(|labels| labels.entries("labels")).transpose()?.unwrap_or_default();
    check_count(section, "labels", listed.len())?;
    let mut fixed = BTreeMap::new();
    for (label, value) in listed {
        check_label(section, &label)?;
        let value = value.text(&label)?;
        fixed.insert(label, value); // a later block of HCL replaces it
    }
    if let Some((label, _)) = labels.iter().find(|(label, _)| fixed.contains_key(label)) {
        return Err(section.mistake(&format!("two labels have the name {label}")));
    }
    let has_label = !labels.is_empty();
    labels.extend(fixed);
    Ok((labels, has_label))
}

fn check_count(section: &Section<'_>, what: &str, count: usize) -> setting::Result<()> {
    match count <= MAX_LABELS {
        true => Ok(()),
        false => Err(section.mistake(&format!("{count} {what} are more than {MAX_LABELS}: remove some"))),
    }
}

fn check_label(section: &Section<'_>, label: &str) -> setting::Result<()> {
    let is_name = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !label.starts_with(|c: char| c.is_ascii_digit())
        && !label.starts_with("__")
        && !label.is_empty();
    match is_name && !RESERVED.contains(&label) {
        true => Ok(()),
        false => Err(section.mistake(&format!("'{label}' cannot be a label: use letters, digits and _"))),
    }
}

/// The labels with values of a line: the ones in the file, then method and status unless the file has them.
fn relabels(section: &mut Section<'_>, is_hcl: bool) -> setting::Result<Vec<Relabel>> {
    let mut blocks = Vec::new();
    if is_hcl {
        for block in section.all("relabel") {
            blocks.extend(labeled(block, "relabel")?);
        }
    } else if let Some(list) = section.take("relabel_configs") {
        blocks.extend(list.list("relabel_configs")?.into_iter().map(|item| (String::new(), item)));
    }
    check_count(section, "relabel rules", blocks.len())?;
    let mut relabels: Vec<Relabel> = Vec::new();
    for (label, body) in blocks {
        let mut block = section.inner(body, format!("relabel {label}"))?;
        let label = match is_hcl {
            true => label,
            false => block.text("target_label")?.ok_or_else(|| block.mistake("target_label is missing"))?,
        };
        check_label(&block, &label)?;
        block.name = format!("relabel {label}");
        relabels.push(relabel(label, block, is_hcl)?);
    }
    for default in Relabel::defaults() {
        if !relabels.iter().any(|relabel| relabel.label == default.label) {
            relabels.push(default);
        }
    }
    Ok(relabels)
}

fn relabel(label: String, mut block: Section<'_>, is_hcl: bool) -> setting::Result<Relabel> {
    let mut relabel = Relabel::new(label, block.text("from")?.unwrap_or_default());
    relabel.split = block.number("split")?.and_then(|split| usize::try_from(split).ok()).filter(|split| *split > 0);
    relabel.separator = block.text("separator")?.unwrap_or_else(|| " ".to_owned());
    relabel.only_counter = block.flag("only_counter")?;
    let whitelist = block.texts("whitelist")?;
    relabel.whitelist = (!whitelist.is_empty()).then(|| whitelist.into_iter().map(String::into_bytes).collect());
    let mut rules = Vec::new();
    if is_hcl {
        for rule in block.all("match") {
            rules.extend(labeled(rule, "match")?);
        }
    } else if let Some(list) = block.take("matches") {
        rules.extend(list.list("matches")?.into_iter().map(|item| (String::new(), item)));
    }
    for (regex, body) in rules {
        let mut rule = block.inner(body, format!("match of {}", block.name))?;
        let regex = if is_hcl { regex } else { rule.text("regexp")?.unwrap_or_default() };
        let replacement = rule.text("replacement")?.unwrap_or_default();
        relabel.rules.push(RelabelRule::new(&regex, replacement).map_err(|error| rule.mistake(&error))?);
        rule.end();
    }
    if relabel.from.is_empty() {
        return Err(block.mistake("from is missing: name the field of the log"));
    }
    block.end();
    Ok(relabel)
}

fn buckets(section: &mut Section<'_>) -> setting::Result<Vec<f64>> {
    let texts = section.texts("histogram_buckets")?;
    if texts.is_empty() {
        return Ok(DEFAULT_BUCKETS.to_vec());
    }
    let bound = |text: &String| match text.replace(".inf", "inf").parse::<f64>() {
        Ok(bound) if bound >= 0.0 => Ok(bound),
        _ => Err(section.mistake(&format!("histogram_buckets: '{text}' is not a number of seconds"))),
    };
    let mut bounds = texts.iter().map(bound).collect::<setting::Result<Vec<_>>>()?;
    if !bounds.is_sorted_by(|a, b| a < b) {
        return Err(section.mistake("histogram_buckets: the bounds must be in ascending order"));
    }
    bounds.pop_if(|last| last.is_infinite()); // the encoders add this bucket
    Ok(bounds)
}

/// Refuses two namespaces with the same series, and two logs with one name: prometheus-nginxlog-exporter answers every
/// scrape of the former with an error, and a line of the latter cannot belong to two formats.
fn check_distinct(namespaces: &[NamespaceConfig]) -> setting::Result<()> {
    let (mut series, mut logs) = (BTreeMap::new(), BTreeMap::new());
    for namespace in namespaces {
        let mistake = |why: String| Err(format!("line {}: namespace {}: {why}", namespace.line, namespace.name));
        let label = namespace.labels.first().filter(|_| namespace.has_label);
        if let Some(other) = series.insert((&namespace.prefix, label), &namespace.name) {
            return mistake(format!("namespace {other} has the same metrics: set namespace_label"));
        }
        for source in &namespace.sources {
            let other = *logs.entry(source).or_insert(namespace);
            if !std::ptr::eq(other, namespace) {
                return mistake(format!("{source} is also a source of namespace {}", other.name));
            }
        }
    }
    Ok(())
}
