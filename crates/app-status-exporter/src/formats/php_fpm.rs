//! The text of php-fpm's status page, as the document of its `?json` page: with `?full` it has a list of processes.
//!
//! Source: sapi/fpm/fpm/fpm_status.c of PHP.

use exporter_common::config::calendar::{MONTHS, Timestamp};

use super::wrong_format::wrong;
use crate::json::document::{Added, Document, DocumentError, Members};

/// The line between processes.
const SEPARATOR: &str = "************************";

pub(super) fn parse(page: &str) -> Result<Document<'_>, DocumentError> {
    let lines: Vec<_> = page.lines().map(str::trim).collect();
    let mut sections = lines.split(|line| *line == SEPARATOR);
    let pool = sections.next().unwrap_or_default();
    for required in ["pool:", "accepted conn:", "active processes:"] {
        if !pool.iter().any(|line| line.starts_with(required)) {
            return wrong(format!("the line \"{required} ...\" is missing"));
        }
    }
    let processes: Vec<_> = sections.collect();
    Document::object(page.len(), |document| {
        section(pool, document)?;
        if processes.is_empty() {
            return Ok(());
        }
        document.list("processes", |list| {
            processes.iter().try_for_each(|lines| list.object("", |process| section(lines, process)))
        })
    })
}

/// Adds the values of a pool or of a process.
fn section(lines: &[&str], members: &mut Members<'_>) -> Added {
    for line in lines.iter().filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            return wrong("a line has no colon");
        };
        // the JSON page has "request uri"
        let (name, value) = (name.to_lowercase(), value.trim());
        if name != "start time" {
            members.scalar(&name, value)?;
            continue;
        }
        match seconds(value) {
            Some(seconds) => members.scalar(&name, &seconds.to_string())?,
            None => return wrong("the start time is not a date such as 30/Nov/2026:05:11:28 +0000"),
        }
    }
    Ok(())
}

/// The seconds since the epoch of a date such as `30/Nov/2026:05:11:28 +0000`.
fn seconds(date: &str) -> Option<f64> {
    let (day, rest) = date.split_once('/')?;
    let (month, rest) = rest.split_once('/')?;
    let (year, clock) = rest.split_once(':')?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day}T{clock}")).map(|timestamp| timestamp.seconds)
}

#[cfg(test)]
mod tests {
    use super::seconds;
    use crate::formats::tests::json;

    #[test]
    fn the_document_is_that_of_the_json_page() {
        let text = json("php-fpm", include_str!("../../tests/pages/php-fpm-full.txt")).unwrap();
        // recorded a moment later
        let other = json("json", include_str!("../../tests/pages/php-fpm-full.json")).unwrap();
        let keys = |document: &str| -> Vec<String> {
            let value: serde_json::Value = serde_json::from_str(document).unwrap();
            let keys = |object: &serde_json::Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            [keys(&value), keys(&value["processes"][0])].concat()
        };
        assert_eq!(keys(&text), keys(&other));
        for part in [r#""accepted conn":2,"#, r#""pool":"www","#, r#""start time":1796015488,"#, r#""state":"Running""#]
        {
            assert!(text.contains(part), "{part} not in {text}");
        }
        let short = json("php-fpm", include_str!("../../tests/pages/php-fpm.txt")).unwrap();
        assert!(short.contains(r#""accepted conn":1,"#) && !short.contains("processes\":["), "{short}");
    }

    #[test]
    fn a_page_that_lacks_a_line_or_has_another_one_is_an_error() {
        let page = include_str!("../../tests/pages/php-fpm.txt");
        for (from, to, message) in [
            ("accepted conn", "accepted", "the line \"accepted conn: ...\" is missing"),
            ("slow requests:", "slow requests", "a line has no colon"),
            ("Nov", "Nox", "the start time is not a date such as 30/Nov/2026:05:11:28 +0000"),
        ] {
            let error = format!("the page is not the text of php-fpm's status: {message}");
            assert_eq!(json("php-fpm", &page.replace(from, to)), Err(error));
        }
    }

    #[test]
    fn dates_are_converted_to_seconds() {
        for (date, expected) in [
            ("30/Nov/2026:05:11:28 +0000", Some(1_796_015_488.0)),
            ("30/Nov/2026:06:11:28 +0100", Some(1_796_015_488.0)),
            ("31/Nov/2026:05:11:28 +0000", None),
            ("30/11/2026:05:11:28 +0000", None),
            ("", None),
        ] {
            assert_eq!(seconds(date), expected, "{date}");
        }
    }
}
