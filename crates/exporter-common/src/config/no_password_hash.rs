//! Without the feature `basic-auth`: users are refused.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

/// Refuses a hash.
pub(crate) fn check_hash(_: &str) -> Result<()> {
    bail!("this exporter is built without the feature basic-auth")
}

/// No warnings.
pub(crate) fn warnings(_: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    std::iter::empty()
}
