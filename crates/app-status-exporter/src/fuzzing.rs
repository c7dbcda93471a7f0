//! The parsers that read what applications and people write, for the fuzz targets. Built by `cargo fuzz` only.

use crate::config;
use crate::json::document::Document;
use crate::json::jsonpath::{Match, Template};
use crate::metrics::conversion;

/// A template on one line, and the document it is walked over.
pub fn template(text: &str) {
    let (template, page) = text.split_once('\n').unwrap_or((text, "{\"a\": [1, {\"b\": \"x\"}, null]}"));
    let Ok(document) = Document::parse(page) else { return };
    if let Ok(template) = Template::parse(template) {
        let root = Match::Node(document.root());
        if let Ok(text) = template.text(&document, root) {
            let _ = conversion::Conversion::default().number(&text);
        }
        let _ = template.value(&document, root);
        let _ = template.items(&document, root);
    }
}

/// A number in every format.
pub fn number(text: &str) {
    for (_, format) in conversion::Format::NAMES {
        let conversion = conversion::Conversion { format: *format, ..conversion::Conversion::default() };
        let _ = conversion.number(text);
    }
}

/// A configuration that names no files.
pub fn configuration(text: &str) {
    let _ = config::check(text);
}
