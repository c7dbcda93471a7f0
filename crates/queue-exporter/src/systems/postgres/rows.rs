//! Rows of a query as the statistics of queues.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::queue_system::Statistics;

/// A row as text: queue, state, count, and the age of the oldest message in seconds.
pub(super) type Row = [Option<String>; 4];

/// The states that a row may have.
const STATES: [&str; 8] = ["ready", "in_flight", "delayed", "retry", "dead", "blocked", "completed", "canceled"];

/// The statistics by queue. In a queue without rows of one of the states, there are no such messages; without known
/// states, this applies to every state that any queue has. A queue with an invalid row has an error.
pub(super) fn queues(rows: &[Row], states: &[&str]) -> BTreeMap<String, Result<Statistics>> {
    let found: Vec<&str> = rows.iter().filter_map(|row| row[1].as_deref()).collect();
    let states = if states.is_empty() { &found } else { states };
    let mut queues = BTreeMap::new();
    for row in rows {
        let name = row[0].clone().unwrap_or_default();
        let queue = queues.entry(name).or_insert_with(|| {
            let mut statistics = Statistics { ready: Some(0), ..Statistics::default() };
            for state in STATES.iter().filter(|state| states.contains(state)) {
                *count(&mut statistics, state)? = Some(0);
            }
            Ok(statistics)
        });
        let added = queue.as_mut().map_or(Ok(()), |statistics| add(statistics, row));
        if let Err(error) = added {
            *queue = Err(error);
        }
    }
    queues
}

fn add(statistics: &mut Statistics, [queue, state, number, age]: &Row) -> Result<()> {
    queue.as_deref().filter(|queue| !queue.is_empty()).context("a row without a queue: add WHERE queue IS NOT NULL")?;
    let state = state.as_deref().context("a row without a state")?;
    let number: u64 = match number {
        Some(number) => {
            number.parse().ok().with_context(|| format!("count {number:?} is not a whole number from 0"))?
        }
        None => bail!("a row without a count"),
    };
    let sum = count(statistics, state)?;
    *sum = Some(sum.unwrap_or(0).saturating_add(number));
    let oldest = match state {
        "ready" => &mut statistics.oldest_age,
        "in_flight" => &mut statistics.oldest_in_flight_age,
        _ => return Ok(()),
    };
    if let Some(age) = age {
        let age: f64 = age.parse().ok().filter(|age: &f64| age.is_finite()).context("the age is not a number")?;
        *oldest = Some(oldest.unwrap_or(0.0).max(age));
    }
    Ok(())
}

fn count<'a>(statistics: &'a mut Statistics, state: &str) -> Result<&'a mut Option<u64>> {
    Ok(match state {
        "ready" => &mut statistics.ready,
        "in_flight" => &mut statistics.in_flight,
        "delayed" => &mut statistics.delayed,
        "retry" => &mut statistics.retry,
        "dead" => &mut statistics.dead,
        "blocked" => &mut statistics.blocked,
        "completed" => &mut statistics.completed,
        "canceled" => &mut statistics.canceled,
        _ => bail!("unknown state {state:?}: valid states: {}", STATES.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[[&str; 4]]) -> Vec<Row> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        rows.iter().map(|row| row.map(text)).collect()
    }

    #[test]
    fn rows_of_a_queue_are_added_up_and_missing_states_are_zero() {
        let rows = rows(&[
            ["mail", "ready", "0", ""],
            ["mail", "ready", "3", "12.5"],
            ["mail", "ready", "1", "-0.5"],
            ["mail", "in_flight", "1", "2"],
            ["orders", "dead", "7", "99"],
        ]);
        let queues = queues(&rows, &[]);
        let mail = queues["mail"].as_ref().unwrap();
        assert_eq!((mail.ready, mail.in_flight, mail.dead, mail.delayed), (Some(4), Some(1), Some(0), None));
        assert_eq!((mail.oldest_age, mail.oldest_in_flight_age), (Some(12.5), Some(2.0)));
        let orders = queues["orders"].as_ref().unwrap();
        assert_eq!((orders.ready, orders.dead, orders.oldest_age), (Some(0), Some(7), None));
        let known = super::queues(&rows, &["delayed"]);
        assert_eq!(known["orders"].as_ref().unwrap().delayed, Some(0));
    }

    #[test]
    fn an_invalid_row_fails_its_queue_only() {
        let rows = rows(&[
            ["a", "open", "1", ""],
            ["b", "ready", "-1", ""],
            ["c", "ready", "1", "NaN"],
            ["", "ready", "1", ""],
            ["d", "ready", "", ""],
            ["e", "ready", "2", ""],
        ]);
        let queues = queues(&rows, &[]);
        assert_eq!(queues.values().filter(|queue| queue.is_err()).count(), 5);
        assert_eq!(queues["e"].as_ref().unwrap().ready, Some(2));
    }
}
