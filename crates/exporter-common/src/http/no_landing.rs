//! Without the feature `landing-page`: `/` is a link to the metrics.

use super::exporter_info::ExporterInfo;
use crate::exposition::Exposition;

/// The page's Content-Security-Policy.
pub(crate) const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// The page with a link to the metrics.
pub(crate) fn page(info: &ExporterInfo, telemetry_path: &str, _: Result<&Exposition, &str>) -> String {
    let text = format!("{} {}: {}", info.name, info.version, info.about);
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    format!("<!DOCTYPE html>\n<p>{}</p>\n<a href=\"{}\">Metrics</a>\n", escaped(&text), escaped(telemetry_path))
}
