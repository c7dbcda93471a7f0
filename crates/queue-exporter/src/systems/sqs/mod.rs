//! `sqs`: queues of Amazon SQS.

mod attributes;
mod client;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use exporter_common::{UsageError, async_trait};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use self::attributes::{INFO, QueueAttributes, statistics};
use self::client::SqsClient;
use crate::connection::ConnectionSettings;
use crate::queue_system::{ListedQueue, Origin, QueueId, QueueSystem, SystemKind};

pub(super) const KIND: SystemKind = SystemKind {
    name: "sqs",
    schemes: &["https", "http"],
    connect: |settings| {
        let (region, prefix) = region_and_prefix(&settings)?;
        let client = SqsClient::new(settings, &region)?;
        Ok(Box::new(Sqs { client, prefix, urls: Mutex::default() }))
    },
};

struct Sqs {
    client: SqsClient,
    /// The prefix of the names of all exported queues.
    prefix: Option<String>,
    /// The URL of each queue of the last list.
    urls: Mutex<HashMap<String, String>>,
}

/// The region and the prefix of `https://sqs.REGION.amazonaws.com?region=…&prefix=…`.
fn region_and_prefix(settings: &ConnectionSettings) -> Result<(String, Option<String>)> {
    let ConnectionSettings { url, username, password_file, .. } = settings;
    if username.is_some() || password_file.is_some() || !url.username().is_empty() || url.password().is_some() {
        let error = "sqs has no user name: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or \
                     AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE";
        bail!(UsageError::new(error));
    }
    let (mut region, mut prefix) = (region_of(url), None);
    for (key, value) in url.query_pairs() {
        match &*key {
            "region" => region = Some(value.into_owned()),
            "prefix" => prefix = Some(value.into_owned()),
            _ => bail!(UsageError::new("--queue.url: unknown parameter: valid parameters: region, prefix")),
        }
    }
    let error = "--queue.url has no region: expected https://sqs.REGION.amazonaws.com, or add ?region=…";
    Ok((region.ok_or_else(|| UsageError::new(error))?, prefix))
}

/// The region in the name of an endpoint of AWS.
fn region_of(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let (region, domain) = host.strip_prefix("sqs.").or_else(|| host.strip_prefix("sqs-fips."))?.split_once('.')?;
    domain.starts_with("amazonaws.com").then(|| region.to_owned())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListQueues<'a> {
    max_results: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_name_prefix: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct ListedQueues {
    queue_urls: Vec<String>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueueAttributes<'a> {
    queue_url: &'a str,
    attribute_names: [&'static str; 4],
}

/// The most queues of one page.
const PAGE: u32 = 1000;

/// The most pages: a server that repeats a page must not keep the list from ending.
const MAX_PAGES: u32 = 100;

#[async_trait]
impl QueueSystem for Sqs {
    fn info_labels(&self) -> &'static [&'static str] {
        INFO
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_depth", _) | ("queue_messages", "ready" | "in_flight" | "delayed") => Origin::Native,
            _ => Origin::Unavailable,
        }
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        let pages = stream::try_unfold((Some(None), 0), move |(token, page)| async move {
            let Some(next_token) = token else { return Ok(None) };
            if page == MAX_PAGES {
                bail!("the list has more than {MAX_PAGES} pages: set ?prefix=… in --queue.url");
            }
            let request = ListQueues { max_results: PAGE, next_token, queue_name_prefix: self.prefix.as_deref() };
            let ListedQueues { queue_urls, next_token } = self.client.call("ListQueues", &request).await?;
            let next = next_token.filter(|token| !token.is_empty()).map(Some);
            anyhow::Ok(Some((self.queues(page == 0, queue_urls), (next, page + 1))))
        });
        pages.map_ok(|queues| stream::iter(queues.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let mut listed = Vec::with_capacity(queues.len());
        for queue in queues {
            let url = self.urls().get(&queue.name).cloned().context("its URL is unknown")?;
            let names = [
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
                "RedrivePolicy",
            ];
            let request = GetQueueAttributes { queue_url: &url, attribute_names: names };
            let attributes: Result<QueueAttributes> = self.client.call("GetQueueAttributes", &request).await;
            let statistics = match attributes {
                // deleted since it was listed
                Err(error) if format!("{error:#}").contains("NonExistentQueue") => None,
                Err(error) if format!("{error:#}").contains("QueueDoesNotExist") => None,
                attributes => Some(attributes.and_then(|attributes| statistics(&attributes))),
            };
            listed.push(ListedQueue { queue: queue.clone(), statistics });
        }
        Ok(listed)
    }
}

impl Sqs {
    /// The queues of one page, whose URLs are kept.
    fn queues(&self, is_first: bool, page: Vec<String>) -> Vec<ListedQueue> {
        let mut urls = self.urls();
        if is_first {
            urls.clear();
        }
        let named = page.into_iter().filter_map(|url| {
            let name = url.rsplit('/').next().filter(|name| !name.is_empty())?.to_owned();
            urls.insert(name.clone(), url);
            Some(ListedQueue { queue: QueueId::named(name), statistics: None })
        });
        named.collect()
    }

    fn urls(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parses a response to `GetQueueAttributes`, and to `ListQueues`.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) -> Vec<Result<ListedQueue>> {
    let _ = serde_json::from_slice::<ListedQueues>(data);
    let attributes = serde_json::from_slice::<QueueAttributes>(data);
    let statistics = attributes.map_err(anyhow::Error::from).and_then(|attributes| statistics(&attributes));
    vec![Ok(ListedQueue { queue: QueueId::named("queue"), statistics: Some(statistics) })]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_in_the_endpoint() {
        for (url, region) in [
            ("https://sqs.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/", Some("cn-north-1")),
            ("https://sqs-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("http://localhost:4566", None),
            ("https://sqs.example.org", None),
        ] {
            assert_eq!(region_of(&url.parse().unwrap()).as_deref(), region, "{url}");
        }
    }
}
