//! Entry points of the fuzz targets, for the parsers of pages and configurations. Built only by `.ci/fuzz`.

use crate::config;
use crate::formats::PageFormat;
use crate::json::document::Document;
use crate::json::jsonpath::{Match, Template, print};
use crate::metrics::conversion::{Conversion, Format};

/// Evaluates the template on the first line on the document after it.
pub fn template(text: &str) {
    let (template, page) = text.split_once('\n').unwrap_or((text, "{\"a\": [1, {\"b\": \"x\"}, null]}"));
    let Ok(document) = Document::parse(page) else { return };
    if let Ok(template) = Template::parse(template) {
        let root = Match::Node(document.root());
        if let Ok(text) = template.text(&document, root) {
            let _ = Conversion::default().number(&text);
        }
        let _ = template.value(&document, root);
        let _ = template.matches(&document, root);
    }
}

/// Parses a page in every format, and prints the documents.
pub fn page(text: &str) {
    for (_, format) in PageFormat::names() {
        if let Ok(document) = format.parse(text) {
            let _ = print(&document, Match::Node(document.root()));
        }
    }
}

/// Converts a text to a number in every format.
pub fn number(text: &str) {
    for (_, format) in Format::NAMES {
        let conversion = Conversion { format: *format, ..Conversion::default() };
        let _ = conversion.number(text);
    }
}

/// Parses a configuration that names no files.
pub fn configuration(text: &str) {
    let _ = config::parse(text);
}
