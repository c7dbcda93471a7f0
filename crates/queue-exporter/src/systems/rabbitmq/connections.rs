//! RabbitMQ's connections that an alarm blocks.

use anyhow::Result;
use serde::Deserialize;

use crate::connection::HttpClient;
use crate::json::Count;

/// The response to `GET api/connections?page=N`.
#[derive(Deserialize)]
struct Connections {
    page_count: Count,
    items: Vec<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    state: Option<String>,
}

/// The API's maximum, and the largest number of pages: the broker computes them while it is short of memory or disk.
const PAGE_SIZE: &str = "500";
const MAX_PAGES: u64 = 20;

/// The number of connections that published during an alarm and are blocked since; `None` if there are too many to read.
pub(super) async fn blocked_connections(client: &HttpClient) -> Result<Option<u64>> {
    let mut blocked = 0;
    let mut number = 1;
    loop {
        let mut url = client.url(&["api", "connections"])?;
        url.query_pairs_mut()
            .append_pair("page", &number.to_string())
            .append_pair("page_size", PAGE_SIZE)
            .append_pair("columns", "state");
        let response = client.get(url).await?;
        if number > 1 && response.status == reqwest::StatusCode::BAD_REQUEST {
            return Ok(Some(blocked)); // connections were closed in the meantime
        }
        let page: Connections = response.json_object()?;
        blocked += blocked_on(&page);
        match page.page_count {
            Count(pages) if pages > MAX_PAGES => return Ok(None),
            Count(pages) if number >= pages => return Ok(Some(blocked)),
            _ => number += 1,
        }
    }
}

fn blocked_on(page: &Connections) -> u64 {
    page.items.iter().filter(|connection| connection.state.as_deref() == Some("blocked")).count() as u64
}

/// Parses one page.
#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    let _ = crate::json::object(data).map(|page: Connections| blocked_on(&page));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_blocked_from_its_first_message_on() {
        let page = br#"{"page_count":1,"items":[{"state":"blocking"},{"state":"blocked"},{"state":"running"},{}]}"#;
        assert_eq!(blocked_on(&crate::json::object(page).unwrap()), 1);
    }
}
