//! Reads one module of a json_exporter configuration, strictly, with the keys that this exporter adds.
//!
//! Source: config/config.go of json_exporter, config/http_config.go of Prometheus' common library.

use std::path::Path;

use anyhow::{Context, anyhow};
use exporter_common::config::fields::Fields;
use exporter_common::config::small_file;
use exporter_common::reload::Files;
use exporter_common::yaml::{self, Node, Result, YamlError};

use super::collisions::SampleNames;
use super::metric::metric;
use super::request::request;
use super::secrets::SecretReader;
use crate::formats::PageFormat;
use crate::http::settings::RequestSettings;
use crate::metrics::metric::Metric;

/// One module: how pages are requested, and which metrics are read from them.
pub(crate) struct ModuleConfig {
    pub(crate) metrics: Vec<Metric>,
    /// The pages of the metrics, relative to `--app.url`; the first is that URL.
    pub(crate) pages: Vec<String>,
    /// The format of all pages.
    pub(crate) format: PageFormat,
    pub(crate) request: RequestSettings,
    /// The configuration file and all files that it names.
    pub(crate) files: Files,
    pub(crate) warnings: Vec<String>,
}

/// Reads one module of a file. `process_metrics` is whether the exporter exports its own process metrics, whose names
/// are then reserved.
///
/// # Errors
/// The file, or a file that it names, cannot be read or is invalid. The message has the file and the line.
pub(crate) fn load(path: &Path, module: &str, process_metrics: bool) -> anyhow::Result<ModuleConfig> {
    let files = Files::snapshot([path.to_owned()]);
    let text = small_file::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let module =
        yaml::parse(&text).and_then(|root| read(root, module, SecretReader::new(folder, files), process_metrics));
    module.map_err(|error| anyhow!("{}:{}: {}", path.display(), error.line, error.message))
}

/// The names of the modules of a file.
///
/// # Errors
/// The file cannot be read, or is not a map with modules.
pub(crate) fn names(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = small_file::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let modules = yaml::parse(&text).and_then(|root| Fields::of(root, "the file")?.entries("modules"));
    let modules = modules.map_err(|error| anyhow!("{}:{}: {}", path.display(), error.line, error.message))?;
    Ok(modules.into_iter().map(|(name, _)| name).collect())
}

/// Parses the module `default` of a configuration that names no files.
///
/// # Errors
/// The configuration is invalid.
pub(crate) fn parse(text: &str) -> Result<ModuleConfig> {
    read(yaml::parse(text)?, "default", SecretReader::new(Path::new("/nowhere"), Files::default()), true)
}

fn read(root: Node, name: &str, mut secrets: SecretReader<'_>, process_metrics: bool) -> Result<ModuleConfig> {
    let mut module = select(root, name)?;
    let request = request(&mut module, &mut secrets)?;
    let (mut metrics, mut pages, mut warnings) = (Vec::<Metric>::new(), vec![String::new()], Vec::new());
    let format = module.choice("page_format", &PageFormat::names())?.unwrap_or(PageFormat::JSON);
    let mut names = SampleNames::default();
    for node in module.list("metrics")? {
        let line = node.line;
        let metric = metric(Fields::of(node, "a metric")?, &mut pages, &mut warnings)?;
        names.add(&metric, process_metrics).map_err(|message| YamlError::new(line, message))?;
        metrics.push(metric);
    }
    module.end()?;
    Ok(ModuleConfig { metrics, pages, format, request, files: secrets.into_files(), warnings })
}

/// The fields of a module. Other modules are not read.
fn select(root: Node, module: &str) -> Result<Fields> {
    let mut file = Fields::of(root, "the file")?;
    if file.has("metrics") {
        let message = "metrics must be in a module: move the content of the file under modules: and default:";
        return Err(YamlError::new(file.line, message));
    }
    let modules = file.entries("modules")?;
    if let Some((name, node)) = modules.iter().find(|(_, node)| matches!(node.value, yaml::NodeValue::List(_))) {
        let message = format!("{name} must be in a module: move it under a module name such as default:");
        return Err(YamlError::new(node.line, message));
    }
    file.ignore(|key| key.starts_with("x-")); // for anchors, as in compose files
    let line = file.line;
    file.end()?;
    let names: Vec<_> = modules.iter().map(|(name, _)| name.as_str()).collect();
    let missing = match names[..] {
        [] => "no modules: write modules: and under it default:".to_owned(),
        _ => format!("module {module} of --config.module not found: the modules are {}", names.join(", ")),
    };
    let found = modules.into_iter().find(|(name, _)| name == module);
    let (name, node) = found.ok_or_else(|| YamlError::new(line, missing))?;
    Fields::of(node, format!("module {name}"))
}
