//! The attributes of a queue as its statistics.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::queue_system::Statistics;

/// The response to `GetQueueAttributes`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueueAttributes {
    attributes: HashMap<String, String>,
}

/// Where messages go that were received too often.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RedrivePolicy {
    dead_letter_target_arn: String,
    max_receive_count: serde_json::Value,
}

/// The labels of the information about a queue.
pub(super) const INFO: &[&str] = &["dead_letter_queue", "max_receives"];

pub(super) fn statistics(QueueAttributes { attributes }: &QueueAttributes) -> Result<Statistics> {
    let number = |name: &str| {
        let text = attributes.get(name).with_context(|| format!("the response has no {name}"))?;
        text.parse::<u64>().with_context(|| format!("{name}: expected a whole number from 0, found {text:?}"))
    };
    let policy = attributes.get("RedrivePolicy").filter(|policy| !policy.is_empty());
    let policy: RedrivePolicy = match policy {
        Some(policy) => serde_json::from_str(policy).context("RedrivePolicy: unexpected content")?,
        None => RedrivePolicy::default(),
    };
    let name = policy.dead_letter_target_arn.rsplit(':').next().unwrap_or_default().to_owned();
    let receives = match policy.max_receive_count {
        serde_json::Value::Number(number) => number.to_string(),
        serde_json::Value::String(text) => text,
        _ => String::new(),
    };
    Ok(Statistics {
        ready: Some(number("ApproximateNumberOfMessages")?),
        in_flight: Some(number("ApproximateNumberOfMessagesNotVisible")?),
        delayed: Some(number("ApproximateNumberOfMessagesDelayed")?),
        info: Some(vec![name.into(), receives.into()]),
        ..Statistics::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(policy: &str, ready: &str) -> Result<Statistics> {
        let attributes = [
            ("ApproximateNumberOfMessages", ready),
            ("ApproximateNumberOfMessagesNotVisible", "2"),
            ("ApproximateNumberOfMessagesDelayed", "1"),
            ("RedrivePolicy", policy),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        statistics(&QueueAttributes { attributes })
    }

    #[test]
    fn a_redrive_policy_names_the_dead_letter_queue() {
        for receives in ["5", "\"5\""] {
            let policy =
                format!("{{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-west-1:1:dead\",\"maxReceiveCount\":{receives}}}");
            let queue = parse(&policy, "3").unwrap();
            assert_eq!((queue.ready, queue.in_flight, queue.delayed), (Some(3), Some(2), Some(1)));
            assert_eq!(queue.info, Some(vec!["dead".into(), "5".into()]));
        }
        assert_eq!(parse("", "3").unwrap().info, Some(vec!["".into(), "".into()]));
        assert!(parse("[", "3").is_err() && parse("", "-1").is_err());
    }
}
