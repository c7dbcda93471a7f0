//! The classic status page: `current_requests`, `pending_requests`, `total_uptime` and `health`.

use anyhow::{Result, ensure};
use exporter_common::Family;

use crate::json::document::{Document, NodeId, Value};
use crate::metrics::mapping::{LossReason, LostSeries};

/// The states that `health` may have.
const HEALTH: &[&str] = &["healthy", "unhealthy"];

/// What is said of a page that is another one.
const NONE: &str = "it has none of current_requests, pending_requests, total_uptime and health, which are read unless \
                    --config.file says what is taken from the page";

/// What the page says, field by field: a broken one costs only itself.
#[derive(Debug)]
pub(crate) struct ClassicStatus {
    current_requests: Result<f64, LostSeries>,
    pending_requests: Result<f64, LostSeries>,
    /// In the application's own unit, by custom in seconds.
    total_uptime: Result<f64, LostSeries>,
    /// One of [`HEALTH`].
    health: Result<&'static str, LostSeries>,
}

impl ClassicStatus {
    /// Reads a page.
    pub(crate) fn of(document: &Document<'_>) -> Result<Self> {
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

/// The families of a page, and why others are not there.
pub(crate) fn families(status: ClassicStatus) -> (Vec<Family>, Vec<LostSeries>) {
    let gauge =
        |name, help, value: Result<f64, LostSeries>| value.map(|value| Family::gauge(name, help, &[]).value(value));
    let fields = [
        gauge(
            "app_requests_current",
            "Requests that the application works on, from current_requests of its status page.",
            status.current_requests,
        ),
        gauge(
            "app_requests_pending",
            "Requests that wait for the application, from pending_requests of its status page.",
            status.pending_requests,
        ),
        gauge(
            "app_uptime",
            "How long the application has been up, in its own unit, from total_uptime of its status page.",
            status.total_uptime,
        ),
        status.health.map(|present| {
            Family::state_set("app_health", "The application's state, from health of its status page.", HEALTH, present)
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
        // somebody's own page, as a rule
        lost[0].what = NONE.to_owned();
    }
    (families, lost)
}

fn field(document: &Document<'_>, metric: &str, name: &str) -> Result<NodeId, LostSeries> {
    let missing = || lost(metric, LossReason::Missing, format!("{name} is missing"));
    document.get(document.root(), name).ok_or_else(missing)
}

/// A field that is there and not what it should be.
fn other(document: &Document<'_>, metric: &str, name: &str, id: NodeId, expected: &str) -> LostSeries {
    let reason = if document.value(id) == Value::Null { LossReason::Null } else { LossReason::Invalid };
    lost(metric, reason, format!("{name} is {}, {expected}", document.describe(id)))
}

fn lost(metric: &str, reason: LossReason, what: String) -> LostSeries {
    LostSeries { metric: metric.to_owned(), reason, what, count: 1 }
}

fn number(document: &Document<'_>, metric: &str, name: &str) -> Result<f64, LostSeries> {
    let id = field(document, metric, name)?;
    let number = match document.value(id) {
        Value::Number(text) | Value::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    };
    number.ok_or_else(|| other(document, metric, name, id, "not a number"))
}

fn health(document: &Document<'_>, metric: &str, name: &str) -> Result<&'static str, LostSeries> {
    let id = field(document, metric, name)?;
    let state = HEALTH.iter().find(|state| document.value(id) == Value::Text(state));
    state.copied().ok_or_else(|| other(document, metric, name, id, "neither \"healthy\" nor \"unhealthy\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSIC: &[u8] = include_bytes!("../../tests/pages/classic.json");

    /// What `parse` says, in one line.
    fn parsed(page: impl AsRef<[u8]>) -> String {
        let page = String::from_utf8_lossy(page.as_ref());
        let status =
            Document::parse(&page).map_err(anyhow::Error::from).and_then(|document| ClassicStatus::of(&document));
        match status {
            Ok(status) => {
                let show =
                    |field: Result<f64, LostSeries>| field.map_or_else(|lost| lost.what, |value| value.to_string());
                let health = status.health.map_or_else(|lost| lost.what, str::to_owned);
                let [current, pending, uptime] =
                    [status.current_requests, status.pending_requests, status.total_uptime].map(show);
                format!("{current}; {pending}; {uptime}; {health}")
            }
            Err(error) => format!("{error:#}"),
        }
    }

    /// The classic page with one field written otherwise.
    fn with(field: &str, value: &str) -> String {
        let mut page: serde_json::Map<_, _> = serde_json::from_slice(CLASSIC).unwrap();
        page.remove(field);
        let rest = serde_json::to_string(&page).unwrap();
        rest.replacen('{', &format!("{{\"{field}\": {value}, "), 1)
    }

    #[test]
    fn the_four_fields_are_read_among_others() {
        assert_eq!(parsed(CLASSIC), "7; 2; 123456.5; healthy");
    }

    #[test]
    fn a_number_may_be_written_as_a_string() {
        assert_eq!(parsed(with("current_requests", "\"12.5\"")), "12.5; 2; 123456.5; healthy");
    }

    #[test]
    fn a_field_that_is_no_number_costs_only_itself() {
        for (value, fault) in [
            ("null", "current_requests is null, not a number"),
            ("true", "current_requests is true, not a number"),
            ("\"many\"", "current_requests is the string \"many\", not a number"),
            ("\"NaN\"", "current_requests is the string \"NaN\", not a number"),
            ("\"\"", "current_requests is the string \"\", not a number"),
            ("[1]", "current_requests is a list, not a number"),
            ("{\"now\": 1}", "current_requests is an object, not a number"),
        ] {
            assert_eq!(parsed(with("current_requests", value)), format!("{fault}; 2; 123456.5; healthy"));
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
    fn an_unknown_health_is_a_fault() {
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
    fn a_long_string_is_not_repeated_whole() {
        let said = parsed(with("health", &format!("\"{}\"", "ä".repeat(1000))));
        assert!(said.contains(&format!("a string that begins with \"{}\",", "ä".repeat(40))), "{said}");
    }

    #[test]
    fn of_a_repeated_field_the_last_counts() {
        let page = String::from_utf8(CLASSIC.to_vec()).unwrap().replacen('{', "{\"current_requests\": null,", 1);
        assert_eq!(parsed(page), "7; 2; 123456.5; healthy");
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        assert_eq!(parsed([b"\xef\xbb\xbf", CLASSIC].concat()), "7; 2; 123456.5; healthy");
    }

    #[test]
    fn what_is_no_object_says_why() {
        for (page, fault) in [
            ("", "the page is empty"),
            ("It works!", "the page is not JSON: expected a value at line 1 column 1"),
            ("[1, 2]", "the page is a list, not an object"),
            ("\"healthy\"", "the page is the string \"healthy\", not an object"),
            ("null", "the page is null, not an object"),
        ] {
            assert_eq!(parsed(page), fault);
        }
    }

    #[test]
    fn what_is_no_double_or_no_utf8_costs_only_its_field() {
        let fault = "current_requests is the number 1e400, not a number";
        assert_eq!(parsed(with("current_requests", "1e400")), format!("{fault}; 2; 123456.5; healthy"));
        assert_eq!(parsed(with("x", "\"\\x41\"")), "7; 2; 123456.5; healthy");
        let latin = [b"{\"name\": \"\xff\",", &CLASSIC[1..]].concat();
        assert_eq!(parsed(latin), "7; 2; 123456.5; healthy");
    }
}
