//! The formats of pages. Each parser makes the document that mappings read.

mod apache;
mod haproxy;
mod nginx;
mod php_fpm;
mod wrong_format;

use crate::json::document::{Document, DocumentError};

/// A format of pages.
#[derive(Clone, Copy)]
pub(crate) struct PageFormat {
    name: &'static str,
    title: &'static str,
    parse: for<'p> fn(&'p str) -> Result<Document<'p>, DocumentError>,
}

impl PageFormat {
    /// The format of pages for which none is configured.
    pub(crate) const JSON: Self = Self { name: "json", title: "JSON", parse: |page| Document::parse(page) };

    /// All formats.
    pub(crate) const ALL: &[Self] = &[
        Self::JSON,
        Self { name: "ndjson", title: "newline-delimited JSON", parse: |page| Document::parse_lines(page) },
        Self { name: "apache", title: "Apache's server-status?auto", parse: apache::parse },
        Self { name: "nginx", title: "nginx's stub_status", parse: nginx::parse },
        Self { name: "php-fpm", title: "the text of php-fpm's status", parse: php_fpm::parse },
        Self { name: "haproxy", title: "HAProxy's statistics as CSV", parse: haproxy::parse },
    ];

    /// The names in configurations.
    pub(crate) fn names() -> Vec<(&'static str, Self)> {
        Self::ALL.iter().map(|format| (format.name, *format)).collect()
    }

    /// The name in configurations.
    pub(crate) fn name(self) -> &'static str {
        self.name
    }

    /// The usual first word of the names of metrics from such pages.
    pub(crate) fn prefix(self) -> String {
        match self.name {
            "json" | "ndjson" => "app".to_owned(),
            server => server.replace('-', ""),
        }
    }

    /// Parses a page. An error says what else the page looks like.
    pub(crate) fn parse(self, page: &str) -> Result<Document<'_>, DocumentError> {
        (self.parse)(page).map_err(|error| match error {
            DocumentError::NotJson(why) => DocumentError::NotJson(why + &self.looks_like(page)),
            DocumentError::WrongFormat(_) if page.trim_ascii().is_empty() => {
                DocumentError::WrongFormat("the page is empty".to_owned())
            }
            DocumentError::WrongFormat(why) => {
                let hint = self.looks_like(page);
                DocumentError::WrongFormat(format!("the page is not {}: {why}{hint}", self.title))
            }
            error => error,
        })
    }

    /// The other format of a page, for messages.
    fn looks_like(self, page: &str) -> String {
        if let Some(format) = Self::of(page) {
            return format!("; it looks like {}: set page_format: {}", format.title, format.name);
        }
        match page.trim_ascii_start() {
            // the parser of JSON says so itself
            page if page.starts_with('<') && self.name != Self::JSON.name => "; it looks like HTML or XML".to_owned(),
            page if page.starts_with("# HELP ") || page.starts_with("# TYPE ") => {
                "; it looks like Prometheus's text format: let Prometheus scrape it".to_owned()
            }
            _ => String::new(),
        }
    }

    /// The first format in which a page can be parsed.
    pub(crate) fn of(page: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| (format.parse)(page).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::jsonpath::{Match, print};

    /// The document of a page as JSON.
    pub(super) fn json(format: &str, page: &str) -> Result<String, String> {
        let (_, format) = PageFormat::names().into_iter().find(|(name, _)| *name == format).unwrap();
        let document = format.parse(page).map_err(|error| error.to_string())?;
        Ok(print(&document, Match::Node(document.root())).into_owned())
    }

    /// Recorded pages, each with its format.
    pub(super) const PAGES: &[(&str, &str)] = &[
        ("json", include_str!("../../tests/pages/classic.json")),
        ("ndjson", include_str!("../../tests/pages/workers.ndjson")),
        ("apache", include_str!("../../tests/pages/apache.txt")),
        ("nginx", include_str!("../../tests/pages/nginx.txt")),
        ("php-fpm", include_str!("../../tests/pages/php-fpm.txt")),
        ("php-fpm", include_str!("../../tests/pages/php-fpm-full.txt")),
        ("haproxy", include_str!("../../tests/pages/haproxy.csv")),
    ];

    #[test]
    fn a_page_is_in_one_format_and_an_error_names_it() {
        for (name, page) in PAGES {
            assert_eq!(PageFormat::of(page).map(PageFormat::name), Some(*name));
            for (other, format) in PageFormat::names() {
                // a page of JSON on one line is also a line of newline-delimited JSON
                if other == *name || (*name, other) == ("json", "ndjson") {
                    continue;
                }
                let error = format.parse(page).map(|_| ()).unwrap_err().to_string();
                assert!(error.contains(&format!(": set page_format: {name}")), "{name} as {other}: {error}");
            }
        }
    }

    #[test]
    fn a_page_in_no_format_is_an_error_that_says_what_it_looks_like() {
        for (page, expected) in [
            ("", "the page is empty"),
            (" \n", "the page is empty"),
            ("<html>It works!</html>", "it looks like HTML or XML"),
            (
                "# HELP up Up.\n# TYPE up gauge\nup 1\n",
                "it looks like Prometheus's text format: let Prometheus scrape it",
            ),
            ("OK", "the page is not "),
        ] {
            for (name, format) in PageFormat::names() {
                let error = format.parse(page).map(|_| ()).unwrap_err().to_string();
                assert!(error.contains(expected), "{name}: {error}");
            }
        }
    }

    #[test]
    fn a_truncated_page_is_an_error() {
        // php-fpm and HAProxy have no line that is always the last
        for (name, page) in PAGES.iter().filter(|(name, _)| matches!(*name, "apache" | "nginx" | "json")) {
            for length in 0..page.len() - 20 {
                assert!(json(name, &page[..length]).is_err(), "{name} {length}");
            }
        }
    }
}
