//! Which keys belong to which queue, and what each key holds: from a preset, or from the parameters of the URL.

use anyhow::{Result, bail};
use exporter_common::UsageError;
use reqwest::Url;

use super::key::{KeyPattern, Part};
use super::oldest::Oldest;
use super::presets::{PRESETS, Preset};
use crate::connection::take_parameters;
use crate::queue_system::Origin;
use crate::redis::escape_glob;

/// The parts that the URL may name.
const PARAMETERS: &[(&str, Part)] = &[
    ("ready", Part::Ready),
    ("scheduled", Part::Scheduled),
    ("unfinished", Part::Unfinished),
    ("in_flight", Part::InFlight),
    ("delayed", Part::Delayed),
    ("retry", Part::Retry),
    ("dead", Part::Dead),
    ("blocked", Part::Blocked),
    ("completed", Part::Completed),
    ("success", Part::Success),
    ("failure", Part::Failure),
];

/// The parameters of every Redis, except for the prefix.
const COMMON: &[&str] = &["master", "sentinel", "node"];

/// The keys of one queue system.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) keys: Vec<(Part, KeyPattern)>,
    /// Queues that always exist.
    pub(super) fixed: Vec<String>,
    /// The key of the set of all queues.
    pub(super) names: Option<String>,
    /// Patterns of keys to look for, with their type; any type if it is empty.
    pub(super) scans: Vec<(String, &'static str)>,
    /// Whether an empty queue has no keys, so that the exporter must remember it.
    pub(super) forgetful: bool,
    /// Where the oldest message of a list is, and the key that its time is in.
    pub(super) oldest: Option<(&'static Oldest, Option<KeyPattern>)>,
    /// The keys of running messages of all queues, which remain in their queues.
    pub(super) running: Option<KeyPattern>,
}

impl Layout {
    /// The layout that a URL describes. Removes its parameters from the URL.
    pub(super) fn from_url(url: &mut Url) -> Result<Self> {
        // the prefix is part of the patterns
        let parameters = take_parameters(url, |name| !COMMON.contains(&name));
        let (mut preset, mut prefix, mut keys) = (None, None, Vec::new());
        for (name, value) in &parameters {
            if let Some((_, part)) = PARAMETERS.iter().find(|(known, _)| known == name) {
                let error = || UsageError::new(format!("--queue.url: {name}: expected a key with at most one *"));
                let pattern = KeyPattern::new("", value);
                if value.is_empty() || value.matches('*').count() > 1 {
                    return Err(error().into());
                }
                keys.push((*part, pattern));
            } else if name == "preset" {
                let names = || PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ");
                let error = || UsageError::new(format!("--queue.url: unknown preset: valid presets: {}", names()));
                preset = Some(PRESETS.iter().find(|preset| preset.name == value).ok_or_else(error)?);
            } else if name == "prefix" && prefix.is_some() {
                bail!(UsageError::new("--queue.url: this queue system accepts one prefix only"));
            } else if name == "prefix" {
                prefix = Some(value);
            } else {
                let known = PARAMETERS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                let error = format!("--queue.url: unknown parameter: valid parameters: preset, prefix, {known}");
                bail!(UsageError::new(error));
            }
        }
        match preset {
            Some(_) if !keys.is_empty() => bail!(UsageError::new("--queue.url: preset and keys exclude each other")),
            Some(preset) => Ok(Self::from_preset(preset, prefix.map_or(preset.prefix, String::as_str))),
            None if keys.is_empty() => {
                bail!(UsageError::new("--queue.url: no keys: add ?preset=laravel (or another), or ?ready=KEY"))
            }
            None => Self::from_keys(keys, prefix.map_or("", String::as_str)),
        }
    }

    pub(super) fn from_preset(preset: &'static Preset, prefix: &str) -> Self {
        let pattern = |text: &str| KeyPattern::new(if preset.whole_keys { "" } else { prefix }, text);
        let keys = preset.keys.iter().map(|(part, text)| (*part, pattern(text))).collect();
        let scans = preset.scans.iter().map(|(glob, key_type)| (format!("{}{glob}", escape_glob(prefix)), *key_type));
        Self {
            keys,
            fixed: Vec::new(),
            names: preset.names.map(|names| format!("{prefix}{names}")),
            scans: scans.collect(),
            forgetful: preset.forgetful,
            oldest: preset.oldest.as_ref().map(|oldest| (oldest, oldest.key.map(pattern))),
            running: preset.running.map(pattern),
        }
    }

    /// Without `*`, each ready key is a queue named like the key.
    fn from_keys(keys: Vec<(Part, KeyPattern)>, prefix: &str) -> Result<Self> {
        let is_waiting = |part: Part| matches!(part, Part::Ready | Part::Scheduled | Part::Unfinished);
        let waiting = keys.iter().filter(|(part, _)| is_waiting(*part));
        let (patterns, fixed): (Vec<_>, Vec<_>) = waiting.partition(|(_, key)| key.is_of_one_queue());
        let is_one_part = fixed.iter().all(|(part, _)| *part != Part::Unfinished && *part == fixed[0].0);
        if patterns.is_empty() == fixed.is_empty() || !is_one_part {
            let error = "--queue.url: expected ready=KEY or scheduled=KEY, or several of one of them, or keys with *";
            bail!(UsageError::new(error));
        }
        let fixed: Vec<String> = fixed.into_iter().map(|(_, key)| key.key("")).collect();
        let mut layout_keys: Vec<(Part, KeyPattern)> = Vec::new();
        for (part, key) in keys {
            let is_fixed = is_waiting(part) && !key.is_of_one_queue();
            let key = if is_fixed { KeyPattern::new(prefix, "*") } else { key.with_prefix(prefix) };
            if !layout_keys.iter().any(|known| *known == (part, key.clone())) {
                layout_keys.push((part, key));
            }
        }
        let scanned = layout_keys.iter().filter(|(_, key)| key.is_of_one_queue() && fixed.is_empty());
        Ok(Self {
            scans: scanned.map(|(_, key)| (key.glob(), "")).collect(),
            keys: layout_keys,
            forgetful: fixed.is_empty(),
            fixed,
            names: None,
            oldest: None,
            running: None,
        })
    }

    /// The queue that a key belongs to. A key of all queues together is not a queue, even if a pattern matches it.
    pub(super) fn queue<'a>(&self, key: &'a str) -> Option<&'a str> {
        if self.keys.iter().any(|(_, common)| !common.is_of_one_queue() && common.key("") == key) {
            return None;
        }
        let matching =
            self.keys.iter().filter_map(|(_, pattern)| Some((pattern.literal_length(), pattern.queue(key)?)));
        matching.max_by_key(|(length, _)| *length).map(|(_, queue)| queue)
    }

    /// The keys of each queue, or else the keys of all queues together.
    pub(super) fn keys_of(&self, one_queue: bool) -> impl Iterator<Item = (Part, &KeyPattern)> {
        let wanted = move |key: &KeyPattern| key.is_of_one_queue() == one_queue;
        self.keys.iter().filter(move |(part, key)| *part != Part::Other && wanted(key)).map(|(part, key)| (*part, key))
    }

    pub(super) fn origin(&self, metric: &str, detail: &str) -> Origin {
        let has = |part| self.keys.iter().any(|(known, _)| *known == part);
        let (native, derived) = match (metric, detail) {
            ("queue_depth", _) | ("queue_messages", "ready") => (has(Part::Ready), has(Part::Scheduled)),
            ("queue_messages", "in_flight") => {
                let derived = has(Part::Unfinished) && has(Part::Ready);
                (has(Part::InFlight), derived || self.running.is_some())
            }
            ("queue_messages", "delayed") => (has(Part::Delayed), has(Part::Scheduled)),
            ("queue_messages", "retry") => (has(Part::Retry), false),
            ("queue_messages", "dead") => (has(Part::Dead), false),
            ("queue_messages", "blocked") => (has(Part::Blocked), false),
            ("queue_messages", "completed") => (has(Part::Completed), false),
            ("messages_processed_total", "success") => (has(Part::Success), has(Part::Processed)),
            ("messages_processed_total", _) => (has(Part::Failure), false),
            ("queue_paused", _) => (has(Part::Pause), false),
            ("queue_consumers", _) => (has(Part::Workers), false),
            ("queue_oldest_message_age_seconds", _) => (false, self.oldest.is_some() || has(Part::Scheduled)),
            _ => (false, false),
        };
        match (native, derived) {
            (true, _) => Origin::Native,
            (false, true) => Origin::Derived,
            (false, false) => Origin::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(query: &str) -> Result<(Layout, String)> {
        let mut url = Url::parse(&format!("redis://h/3{query}")).unwrap();
        let layout = Layout::from_url(&mut url)?;
        Ok((layout, url.to_string()))
    }

    #[test]
    fn a_key_belongs_to_the_longest_matching_pattern() {
        let (laravel, url) = layout("?preset=laravel&prefix=shop_&node=b:1").unwrap();
        assert_eq!(url, "redis://h/3?node=b%3A1");
        for (key, queue) in [
            ("shop_queues:mail", Some("mail")),
            ("shop_queues:mail:delayed", Some("mail")),
            ("shop_queues:mail:notify", Some("mail")),
            ("shop_queues:a:b", Some("a:b")),
            ("shop_queues:", None),
            ("other_queues:mail", None),
        ] {
            assert_eq!(laravel.queue(key), queue, "{key}");
        }
        let (dramatiq, _) = layout("?preset=dramatiq").unwrap();
        assert_eq!(dramatiq.queue("dramatiq:mail.DQ.msgs"), Some("mail"));
    }

    #[test]
    fn keys_without_a_pattern_are_queues() {
        let (layout, _) = layout("?ready=mail&ready=orders&in_flight=*:busy&prefix=shop:").unwrap();
        assert_eq!(layout.fixed, ["mail", "orders"]);
        assert!(layout.scans.is_empty());
        let keys: Vec<_> = layout.keys_of(true).map(|(part, key)| (part, key.key("mail"))).collect();
        assert_eq!(keys, [(Part::Ready, "shop:mail".to_owned()), (Part::InFlight, "shop:mail:busy".to_owned())]);
    }

    #[test]
    fn patterns_are_searched_for() {
        let (jobs, _) = layout("?ready=jobs[*]&dead=failed").unwrap();
        assert_eq!(jobs.scans, [("jobs\\[*\\]".to_owned(), "")]);
        assert_eq!(jobs.queue("jobs[a]"), Some("a"));
        assert_eq!(jobs.keys_of(false).count(), 1);
    }

    #[test]
    fn a_key_of_all_queues_is_not_a_queue() {
        let (jobs, _) = layout("?ready=jobs:*&dead=jobs:failed&prefix=shop:").unwrap();
        assert_eq!((jobs.queue("shop:jobs:failed"), jobs.queue("shop:jobs:mail")), (None, Some("mail")));
        let (arq, _) = layout("?preset=arq").unwrap();
        assert_eq!((arq.queue("arq:abort"), arq.queue("arq:queue")), (None, Some("arq:queue")));
    }

    #[test]
    fn an_invalid_url_is_refused() {
        for wrong in [
            "",
            "?prefix=a",
            "?preset=none",
            "?ready=a*b*",
            "?ready=",
            "?dead=x",
            "?ready=a*&ready=b",
            "?preset=resque&ready=a",
            "?depth=a",
            "?ready=a&prefix=a&prefix=b",
            "?unfinished=a",
            "?ready=a&scheduled=b",
        ] {
            assert!(layout(wrong).is_err(), "{wrong}");
        }
    }
}
