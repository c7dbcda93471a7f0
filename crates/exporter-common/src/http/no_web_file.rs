//! Without the feature `yaml`: a web configuration file is refused.

use std::path::Path;

use anyhow::{Result, bail};

use super::settings::WebSettings;
use crate::config::reload::Files;

/// Refuses the file.
pub(super) fn read(_: &Path) -> Result<(WebSettings, Files)> {
    bail!("this exporter is built without the feature yaml")
}
