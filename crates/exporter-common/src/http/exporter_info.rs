//! The name, version and description on the landing page.

use std::borrow::Cow;

/// The name, version and description of the exporter.
pub(crate) struct ExporterInfo {
    pub(crate) name: Cow<'static, str>,
    pub(crate) version: Cow<'static, str>,
    pub(crate) about: Cow<'static, str>,
}
