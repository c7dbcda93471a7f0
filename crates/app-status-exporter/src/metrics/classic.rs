//! The classic status page: `current_requests`, `pending_requests`, `total_uptime` and `health`.

use anyhow::{Result, ensure};
use exporter_common::Family;

use super::failures::{LossReason, LostSeries};
use crate::json::document::{Document, NodeId, Value};

/// The valid states of `health`.
const HEALTH: &[&str] = &["healthy", "unhealthy"];

/// The message for a page with none of the four fields.
const NOT_CLASSIC: &str = "the page has none of current_requests, pending_requests, total_uptime and health: for other \
                           pages set --config.file";

/// The fields of a page. An invalid field does not affect the others.
#[derive(Debug)]
pub(crate) struct ClassicStatus {
    current_requests: Result<f64, LostSeries>,
    pending_requests: Result<f64, LostSeries>,
    /// In the application's own unit, usually seconds.
    total_uptime: Result<f64, LostSeries>,
    /// One of [`HEALTH`].
    health: Result<&'static str, LostSeries>,
}

impl ClassicStatus {
    /// Reads the fields of a page.
    pub(crate) fn read(document: &Document<'_>) -> Result<Self> {
        let root = document.root();
        let is_object = matches!(document.value(root), Value::Object(_));
        ensure!(is_object, "the page is {}, not an object", document.describe(root));
        Ok(Self {
            current_requests: number(document, "app_requests_current", "current_requests"),
            pending_requests: number(document, "app_requests_pending", "pending_requests"),
            total_uptime: number(document, "app_uptime", "total_uptime"),
            health: health(document, "app_health", "health"),
        })
    }
}

/// The families of the valid fields, and the invalid fields.
pub(crate) fn families(status: ClassicStatus) -> (Vec<Family>, Vec<LostSeries>) {
    let gauge =
        |name, help, value: Result<f64, LostSeries>| value.map(|value| Family::gauge(name, help, &[]).value(value));
    let fields = [
        gauge(
            "app_requests_current",
            "Number of requests in progress, from current_requests of the application's status page.",
            status.current_requests,
        ),
        gauge(
            "app_requests_pending",
            "Number of waiting requests, from pending_requests of the application's status page.",
            status.pending_requests,
        ),
        gauge(
            "app_uptime",
            "Uptime of the application in its own unit, from total_uptime of its status page.",
            status.total_uptime,
        ),
        status.health.map(|current| {
            Family::state_set(
                "app_health",
                "State of the application, from health of its status page.",
                HEALTH,
                current,
            )
        }),
    ];
    let (mut families, mut lost) = (Vec::new(), Vec::new());
    for field in fields {
        match field {
            Ok(family) => families.push(family),
            Err(field) => lost.push(field),
        }
    }
    if families.is_empty() && lost.iter().all(|lost| lost.reason == LossReason::Missing) {
        lost[0].message = NOT_CLASSIC.to_owned();
    }
    (families, lost)
}

fn field(document: &Document<'_>, metric: &str, name: &str) -> Result<NodeId, LostSeries> {
    let missing = || lost(metric, LossReason::Missing, format!("{name} is missing"));
    document.get(document.root(), name).ok_or_else(missing)
}

/// An invalid field.
fn invalid(document: &Document<'_>, metric: &str, name: &str, id: NodeId, expected: &str) -> LostSeries {
    let reason = if document.value(id) == Value::Null { LossReason::Null } else { LossReason::Invalid };
    lost(metric, reason, format!("{name} is {}, {expected}", document.describe(id)))
}

fn lost(metric: &str, reason: LossReason, message: String) -> LostSeries {
    LostSeries { metric: metric.to_owned(), reason, message, count: 1 }
}

fn number(document: &Document<'_>, metric: &str, name: &str) -> Result<f64, LostSeries> {
    let id = field(document, metric, name)?;
    let number = match document.value(id) {
        Value::Number(text) | Value::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    };
    number.ok_or_else(|| invalid(document, metric, name, id, "not a number"))
}

fn health(document: &Document<'_>, metric: &str, name: &str) -> Result<&'static str, LostSeries> {
    let id = field(document, metric, name)?;
    let state = HEALTH.iter().find(|state| document.value(id) == Value::Text(state));
    state.copied().ok_or_else(|| invalid(document, metric, name, id, "neither \"healthy\" nor \"unhealthy\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSIC: &[u8] = include_bytes!("../../tests/pages/classic.json");

    /// The fields of a page in one line: their values or messages.
    fn parsed(page: impl AsRef<[u8]>) -> String {
        let page = String::from_utf8_lossy(page.as_ref());
        let status =
            Document::parse(&page).map_err(anyhow::Error::from).and_then(|document| ClassicStatus::read(&document));
        match status {
            Ok(status) => {
                let show =
                    |field: Result<f64, LostSeries>| field.map_or_else(|lost| lost.message, |value| value.to_string());
                let health = status.health.map_or_else(|lost| lost.message, str::to_owned);
                let [current, pending, uptime] =
                    [status.current_requests, status.pending_requests, status.total_uptime].map(show);
                format!("{current}; {pending}; {uptime}; {health}")
            }
            Err(error) => format!("{error:#}"),
        }
    }

    /// The classic page with another value of one field.
    fn with(field: &str, value: &str) -> String {
        let mut page: serde_json::Map<_, _> = serde_json::from_slice(CLASSIC).unwrap();
        page.remove(field);
        let rest = serde_json::to_string(&page).unwrap();
        rest.replacen('{', &format!("{{\"{field}\": {value}, "), 1)
    }

    #[test]
    fn the_four_fields_are_read_and_others_ignored() {
        assert_eq!(parsed(CLASSIC), "7; 2; 123456.5; healthy");
    }

    #[test]
    fn a_number_may_be_a_string() {
        assert_eq!(parsed(with("current_requests", "\"12.5\"")), "12.5; 2; 123456.5; healthy");
    }

    #[test]
    fn a_field_that_is_not_a_number_does_not_affect_the_others() {
        for (value, message) in [
            ("null", "current_requests is null, not a number"),
            ("true", "current_requests is true, not a number"),
            ("\"many\"", "current_requests is the string \"many\", not a number"),
            ("\"NaN\"", "current_requests is the string \"NaN\", not a number"),
            ("\"\"", "current_requests is the string \"\", not a number"),
            ("[1]", "current_requests is a list, not a number"),
            ("{\"now\": 1}", "current_requests is an object, not a number"),
        ] {
            assert_eq!(parsed(with("current_requests", value)), format!("{message}; 2; 123456.5; healthy"));
        }
    }

    #[test]
    fn a_missing_field_is_named() {
        assert_eq!(
            parsed("{}"),
            "current_requests is missing; pending_requests is missing; total_uptime is missing; health is missing"
        );
    }

    #[test]
    fn an_unknown_health_is_invalid() {
        for (value, found) in [
            ("\"degraded\"", "the string \"degraded\""),
            ("\"Healthy\"", "the string \"Healthy\""),
            ("1", "the number 1"),
            ("null", "null"),
        ] {
            let expected = format!("7; 2; 123456.5; health is {found}, neither \"healthy\" nor \"unhealthy\"");
            assert_eq!(parsed(with("health", value)), expected);
        }
    }

    #[test]
    fn a_long_string_is_shortened_in_the_message() {
        let message = parsed(with("health", &format!("\"{}\"", "ä".repeat(1000))));
        assert!(message.contains(&format!("a string starting with \"{}\",", "ä".repeat(40))), "{message}");
    }

    #[test]
    fn the_last_of_several_equal_fields_counts() {
        let page = String::from_utf8(CLASSIC.to_vec()).unwrap().replacen('{', "{\"current_requests\": null,", 1);
        assert_eq!(parsed(page), "7; 2; 123456.5; healthy");
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        assert_eq!(parsed([b"\xef\xbb\xbf", CLASSIC].concat()), "7; 2; 123456.5; healthy");
    }

    #[test]
    fn the_error_says_why_a_page_is_not_an_object() {
        for (page, message) in [
            ("", "the page is empty"),
            ("It works!", "the page is not JSON: expected a value at line 1 column 1"),
            ("[1, 2]", "the page is a list, not an object"),
            ("\"healthy\"", "the page is the string \"healthy\", not an object"),
            ("null", "the page is null, not an object"),
        ] {
            assert_eq!(parsed(page), message);
        }
    }

    #[test]
    fn a_number_too_large_and_invalid_utf8_affect_only_their_field() {
        let message = "current_requests is the number 1e400, not a number";
        assert_eq!(parsed(with("current_requests", "1e400")), format!("{message}; 2; 123456.5; healthy"));
        assert_eq!(parsed(with("x", "\"\\x41\"")), "7; 2; 123456.5; healthy");
        let latin = [b"{\"name\": \"\xff\",", &CLASSIC[1..]].concat();
        assert_eq!(parsed(latin), "7; 2; 123456.5; healthy");
    }
}
