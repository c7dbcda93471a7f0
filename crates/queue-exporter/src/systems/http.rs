//! `http`: an application that serves its queues and their statistics as JSON.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use exporter_common::{Histogram, async_trait};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::connection::Credentials;
use crate::connection::HttpClient;
use crate::json::Count;
use crate::queue_system::{Counter, ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};

pub(super) const KIND: SystemKind = SystemKind {
    name: "http",
    schemes: &["http", "https"],
    connect: |settings| Ok(Box::new(Http(HttpClient::new(settings)?))),
};

struct Http(HttpClient);

#[async_trait]
impl QueueSystem for Http {
    fn credentials(&self) -> Option<&Credentials> {
        self.0.credentials()
    }

    fn origin(&self, metric: &str, _: &str) -> Origin {
        match metric {
            "queue_depth" | "messages_processed_total" | "message_processing_seconds" => Origin::Native,
            _ => Origin::Unavailable,
        }
    }

    /// `GET URL` returns the names only.
    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        let names = async {
            let reply = self.0.get(self.0.base()).await?;
            names(reply.json_object_or("for RabbitMQ, set --queue.system rabbitmq")?)
        };
        stream::once(names)
            .map_ok(stream::iter)
            .try_flatten()
            .map_ok(|name: String| ListedQueue { queue: QueueId::named(name), statistics: None })
            .boxed()
    }

    /// `GET URL/NAME`.
    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let mut read = Vec::with_capacity(queues.len());
        for queue in queues {
            let reply = self.0.get(self.0.url(&[&queue.name])?).await?;
            let statistics = match reply.status {
                StatusCode::NOT_FOUND | StatusCode::GONE => None,
                _ => Some(statistics(reply.json_object()?)),
            };
            read.push(ListedQueue { queue: queue.clone(), statistics });
        }
        Ok(read)
    }
}

/// The reply to `GET URL`.
#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    queues: Vec<&'a RawValue>,
}

/// The names in a list, and an error for each entry that is not a string.
fn names(list: List<'_>) -> Result<Vec<Result<String>>> {
    let name = |raw: &RawValue| serde_json::from_str(raw.get()).context("a name in the list of queues is not a string");
    Ok(list.queues.into_iter().map(name).collect())
}

/// The reply to `GET URL/NAME`.
#[derive(Deserialize)]
struct Reply {
    depth: Option<Count>,
    processed: Option<Count>,
    failed: Option<Count>,
    processing_seconds: Option<Processing>,
}

#[derive(Deserialize)]
struct Processing {
    buckets: Option<BTreeMap<String, Count>>,
    sum: Option<f64>,
    count: Option<Count>,
}

fn statistics(reply: Reply) -> Result<Statistics> {
    let [depth, processed, failed] = [reply.depth, reply.processed, reply.failed].map(|count| count.map(|Count(n)| n));
    let processing = reply.processing_seconds.map(histogram).transpose().context("processing_seconds")?;
    Ok(Statistics {
        ready: depth,
        success: Counter::single(processed),
        failure: Counter::single(failed),
        processing: processing.flatten(),
        ..Statistics::default()
    })
}

/// The histogram; `None` without a count, because the number of observations above the last bucket is then unknown.
fn histogram(Processing { buckets, sum, count }: Processing) -> Result<Option<Histogram>> {
    let bound = |(text, Count(count)): (String, Count)| {
        let bound: f64 =
            text.trim_start_matches('+').parse().map_err(|_| anyhow!("bucket {text:?} is not a number"))?;
        ensure!(!bound.is_nan(), "bucket {text:?} is not a number");
        Ok((bound, count))
    };
    let mut buckets = buckets.unwrap_or_default().into_iter().map(bound).collect::<Result<Vec<_>>>()?;
    buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let infinite = buckets.pop_if(|(bound, _)| *bound == f64::INFINITY).map(|(_, count)| count);
    let Some(count) = count.map(|Count(count)| count).or(infinite) else {
        return Ok(None);
    };
    ensure!(infinite.is_none_or(|infinite| infinite == count), "bucket +Inf is not equal to the count");
    for pair in buckets.windows(2) {
        ensure!(pair[0].0 < pair[1].0, "duplicate bucket {}", pair[0].0);
        ensure!(pair[0].1 <= pair[1].1, "bucket {} is below the previous one: buckets are cumulative", pair[1].0);
    }
    ensure!(buckets.last().is_none_or(|(_, last)| *last <= count), "the count is below the last bucket");
    Ok(Some(Histogram::new(buckets, sum, count)))
}

/// Parses the statistics of one queue, or a list.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) -> Vec<Result<ListedQueue>> {
    let listed = |queue: &str, statistics| ListedQueue { queue: QueueId::named(queue), statistics };
    let one = crate::json::object(data).and_then(statistics);
    let many = crate::json::object(data).and_then(names).unwrap_or_default();
    many.into_iter().map(|name| Ok(listed(&name?, None))).chain([Ok(listed("one", Some(one)))]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::object;

    fn read(text: &str) -> Result<Statistics> {
        statistics(object(text.as_bytes())?)
    }

    #[test]
    fn every_key_of_a_response_is_read() {
        let text = r#"{"depth":3,"processed":10,"failed":1,"processing_seconds":
            {"buckets":{"0.05":7,"0.01":2},"sum":1.5,"count":10}}"#;
        let expected = Statistics {
            ready: Some(3),
            success: Counter::single(Some(10)),
            failure: Counter::single(Some(1)),
            processing: Some(Histogram::new([(0.01, 2), (0.05, 7)], Some(1.5), 10)),
            ..Statistics::default()
        };
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn every_key_may_be_missing_or_null() {
        for text in ["{}", r#"{"depth":null,"processing_seconds":null,"more":[1]}"#] {
            assert_eq!(read(text).unwrap(), Statistics::default(), "{text}");
        }
        let processing = |text: &str| read(&format!(r#"{{"processing_seconds":{text}}}"#)).unwrap().processing;
        assert_eq!(processing("{}"), None);
        assert_eq!(processing(r#"{"buckets":{"1":2},"sum":3}"#), None);
        let bare = Histogram::new([], None, 4);
        assert_eq!(processing(r#"{"count":4}"#), Some(bare.clone()));
        assert_eq!(processing(r#"{"buckets":{"+Inf":4}}"#), Some(bare));
    }

    #[test]
    fn inconsistent_values_are_refused() {
        for (text, why) in [
            (r#"{"depth":"3"}"#, "whole number"),
            (r#"{"depth":-1}"#, "whole number"),
            (r#"{"processed":1.5}"#, "whole number"),
            (r#"{"processing_seconds":{"buckets":{"x":1},"count":1}}"#, "is not a number"),
            (r#"{"processing_seconds":{"buckets":{"NaN":1},"count":1}}"#, "is not a number"),
            (r#"{"processing_seconds":{"buckets":{"1":2,"2":1},"count":3}}"#, "cumulative"),
            (r#"{"processing_seconds":{"buckets":{"1":2,"1.0":2},"count":3}}"#, "duplicate bucket"),
            (r#"{"processing_seconds":{"buckets":{"1":2},"count":1}}"#, "below the last bucket"),
            (r#"{"processing_seconds":{"buckets":{"+Inf":2},"count":1}}"#, "not equal to the count"),
            (r#"{"depth":3"#, "EOF"),
            ("[3]", "not a JSON object"),
            ("<html>", "not a JSON object"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn an_invalid_name_does_not_affect_others() {
        let list = names(object(br#"{"queues":["a",5,"b\u002f\u00fc"]}"#).unwrap()).unwrap();
        let names: Vec<_> = list.into_iter().map(Result::ok).collect();
        assert_eq!(names, [Some("a".to_owned()), None, Some("b/ü".to_owned())]);
        assert!(object::<List<'_>>(b"{}").is_err(), "the key queues is required");
    }
}
