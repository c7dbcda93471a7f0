//! The classic status page: `current_requests`, `pending_requests`, `total_uptime` and `health`.

use std::fmt;

use anyhow::{Context, Result, anyhow, bail};
use exporter_common::Family;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::json::Found;

/// The states that `health` may have.
const HEALTH: &[&str] = &["healthy", "unhealthy"];

/// What the page says, field by field: a broken one costs only itself.
#[derive(Debug)]
pub(crate) struct Status {
    current_requests: Result<f64>,
    pending_requests: Result<f64>,
    /// In the application's own unit, by custom in seconds.
    total_uptime: Result<f64>,
    /// One of [`HEALTH`].
    health: Result<&'static str>,
}

impl Status {
    /// Reads a page.
    pub(crate) fn parse(page: &[u8]) -> Result<Self> {
        // some write a byte order mark, which RFC 8259 lets readers ignore
        let page = page.strip_prefix("\u{feff}".as_bytes()).unwrap_or(page);
        let fields = match page.trim_ascii_start().first() {
            None => bail!("the page is empty"),
            Some(b'<') => bail!("the page is not JSON, by its beginning HTML or XML"),
            Some(b'{') => serde_json::from_slice::<Fields>(page).context("the page is not JSON")?,
            Some(_) => {
                let found: Found = serde_json::from_slice(page).context("the page is not JSON")?;
                bail!("the page is {found}, not an object");
            }
        };
        Ok(Self {
            current_requests: number("current_requests", fields.current_requests),
            pending_requests: number("pending_requests", fields.pending_requests),
            total_uptime: number("total_uptime", fields.total_uptime),
            health: health(fields.health),
        })
    }
}

/// The families of a page, or why there is none.
pub(crate) fn families(status: Status) -> [Result<Family>; 4] {
    let gauge = |name, help, value: Result<f64>| value.map(|value| Family::gauge(name, help, &[]).value(value));
    [
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
    ]
}

fn number(name: &str, field: Option<Found>) -> Result<f64> {
    let found = field.with_context(|| format!("{name} is missing"))?;
    let number = match &found {
        Found::Number(number) => Some(*number),
        Found::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    };
    number.ok_or_else(|| anyhow!("{name} is {found}, not a number"))
}

fn health(field: Option<Found>) -> Result<&'static str> {
    let found = field.context("health is missing")?;
    let state = HEALTH.iter().find(|state| matches!(&found, Found::Text(text) if text == *state));
    state.copied().ok_or_else(|| anyhow!("health is {found}, neither \"healthy\" nor \"unhealthy\""))
}

/// The fields that are wanted; of several with one name the last.
#[derive(Default)]
struct Fields {
    current_requests: Option<Found>,
    pending_requests: Option<Found>,
    total_uptime: Option<Found>,
    health: Option<Found>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some((key, found)) = object.next_entry::<String, Found>()? {
                    match key.as_str() {
                        "current_requests" => fields.current_requests = Some(found),
                        "pending_requests" => fields.pending_requests = Some(found),
                        "total_uptime" => fields.total_uptime = Some(found),
                        "health" => fields.health = Some(found),
                        _ => {}
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSIC: &[u8] = include_bytes!("../tests/pages/classic.json");

    /// What `parse` says, in one line.
    fn parsed(page: impl AsRef<[u8]>) -> String {
        match Status::parse(page.as_ref()) {
            Ok(status) => {
                let show = |field: Result<f64>| field.map_or_else(|fault| fault.to_string(), |value| value.to_string());
                let health = status.health.map_or_else(|fault| fault.to_string(), str::to_owned);
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
        page.remove(field).unwrap();
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
    fn what_is_no_json_object_says_why() {
        let deep = format!("{{\"x\": {}", "[".repeat(100_000));
        for (page, fault) in [
            ("", "the page is empty"),
            (" \n", "the page is empty"),
            ("<!DOCTYPE html><html>", "the page is not JSON, by its beginning HTML or XML"),
            ("It works!", "the page is not JSON: expected value at line 1 column 1"),
            ("{\"health\": \"heal", "the page is not JSON: EOF while parsing a string at line 1 column 16"),
            ("{\"health\": 1} {", "the page is not JSON: trailing characters at line 1 column 15"),
            ("{\"x\": NaN}", "the page is not JSON: expected value at line 1 column 7"),
            ("[1, 2]", "the page is a list, not an object"),
            ("\"healthy\"", "the page is the string \"healthy\", not an object"),
            ("null", "the page is null, not an object"),
            (&deep, "the page is not JSON: recursion limit exceeded at line 1 column 133"),
        ] {
            assert_eq!(parsed(page), fault, "{}", page.get(..20).unwrap_or(page));
        }
        assert_eq!(
            parsed(b"{\"health\": \"\xff\"}"),
            "the page is not JSON: invalid unicode code point at line 1 column 13"
        );
    }
}
