//! Apache's `mod_status` with `?auto`: a line per value. The scoreboard becomes the number of workers in each state.

use super::wrong_format::wrong;
use crate::json::document::{Document, DocumentError};

/// The lines that every version has.
const REQUIRED: [&str; 3] = ["BusyWorkers", "IdleWorkers", SCOREBOARD];

const SCOREBOARD: &str = "Scoreboard";

/// The characters of the scoreboard, each with the state of its worker, as the HTML page names them.
const STATES: [(char, &str); 11] = [
    ('_', "idle"),
    ('S', "startup"),
    ('R', "read"),
    ('W', "reply"),
    ('K', "keepalive"),
    ('D', "dns"),
    ('C', "closing"),
    ('L', "logging"),
    ('G', "graceful_stop"),
    ('I', "idle_cleanup"),
    ('.', "open_slot"),
];

pub(super) fn parse(page: &str) -> Result<Document<'_>, DocumentError> {
    // the name of the server and headings have no value
    let pairs = page.lines().filter_map(|line| line.split_once(": "));
    let pairs: Vec<_> = pairs.map(|(name, value)| (name, value.trim())).collect();
    if let Some(missing) = REQUIRED.iter().find(|required| !pairs.iter().any(|(name, _)| name == *required)) {
        return wrong(format!("the line \"{missing}: ...\" is missing"));
    }
    Document::object(page.len(), |document| {
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            if name != SCOREBOARD {
                document.scalar(name, value)?;
                continue;
            }
            if let Some(unknown) = value.chars().find(|worker| !STATES.iter().any(|(known, _)| known == worker)) {
                return wrong(format!("the scoreboard has the unknown state {unknown:?}"));
            }
            document.object(name, |states| {
                STATES.iter().try_for_each(|(character, state)| {
                    states.scalar(state, &value.matches(*character).count().to_string())
                })
            })?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::json;

    #[test]
    fn values_and_the_workers_of_each_state_are_read() {
        let document = json("apache", include_str!("../../tests/pages/apache.txt")).unwrap();
        for part in [
            r#""BusyWorkers":1,"#,
            r#""Total Accesses":1,"#,
            r#""ReqPerSec":".5","#,
            r#""CurrentTime":"Monday, 30-Nov-2026 05:11:30 UTC","#,
            r#""Scoreboard":{"closing":0,"dns":0,"graceful_stop":0,"idle":4,"idle_cleanup":0,"keepalive":0,"logging":0,"open_slot":5,"read":0,"reply":1,"startup":0}"#,
        ] {
            assert!(document.contains(part), "{part} not in {document}");
        }
    }

    #[test]
    fn a_page_without_workers_or_with_other_workers_is_an_error() {
        for (page, message) in [
            ("Total Accesses: 7\n", "the line \"BusyWorkers: ...\" is missing"),
            ("BusyWorkers: 1\nIdleWorkers: 1\n", "the line \"Scoreboard: ...\" is missing"),
            ("BusyWorkers: 1\nIdleWorkers: 1\nScoreboard: _W?\n", "the scoreboard has the unknown state '?'"),
        ] {
            let error = format!("the page is not Apache's server-status?auto: {message}");
            assert_eq!(json("apache", page), Err(error));
        }
    }
}
