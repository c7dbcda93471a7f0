//! The keys of known queue systems.

use super::key::Part;
use super::oldest::{Message, Oldest};

/// A queue system with known keys.
pub(super) struct Preset {
    pub(super) name: &'static str,
    /// The default prefix of every key.
    pub(super) prefix: &'static str,
    /// The set of all queues.
    pub(super) names: Option<&'static str>,
    /// Patterns of keys from which queues are found, and their type; any type if it is empty.
    pub(super) scans: &'static [(&'static str, &'static str)],
    /// The content of each key. `*` is the queue's name; a key without it belongs to all queues together.
    pub(super) keys: &'static [(Part, &'static str)],
    /// Whether a queue's name is its whole key, and not the part after the prefix.
    pub(super) whole_keys: bool,
    /// Whether an empty queue has no keys.
    pub(super) forgetful: bool,
    pub(super) oldest: Option<Oldest>,
    /// The keys of running messages, which remain in their queues.
    pub(super) running: Option<&'static str>,
}

/// The defaults of a preset. Every preset sets its name, prefix and keys.
const NO_EXTRAS: Preset = Preset {
    name: "",
    prefix: "",
    names: None,
    scans: &[],
    keys: &[],
    whole_keys: false,
    forgetful: false,
    oldest: None,
    running: None,
};

/// Every preset.
pub(super) const PRESETS: &[Preset] = &[
    Preset {
        name: "laravel",
        prefix: "laravel_database_",
        scans: &[("queues:*", "")],
        keys: &[
            (Part::Ready, "queues:*"),
            (Part::Delayed, "queues:*:delayed"),
            (Part::InFlight, "queues:*:reserved"),
            (Part::Other, "queues:*:notify"),
        ],
        forgetful: true,
        // Horizon adds pushedAt, Laravel 12 createdAt
        oldest: Some(Oldest { ends: &["0"], key: None, message: Message::Json(&["pushedAt", "createdAt"]) }),
        ..NO_EXTRAS
    },
    Preset {
        name: "resque",
        prefix: "resque:",
        names: Some("queues"),
        keys: &[
            (Part::Ready, "queue:*"),
            (Part::Dead, "failed"),
            (Part::Processed, "stat:processed"),
            (Part::Failure, "stat:failed"),
            (Part::Workers, "workers"),
        ],
        ..NO_EXTRAS
    },
    Preset {
        name: "node-resque",
        prefix: "resque:",
        // unlike Resque, it does not count failed jobs as processed
        names: Some("queues"),
        keys: &[
            (Part::Ready, "queue:*"),
            (Part::Dead, "failed"),
            (Part::Success, "stat:processed"),
            (Part::Failure, "stat:failed"),
            (Part::Workers, "workers"),
        ],
        ..NO_EXTRAS
    },
    Preset {
        name: "bull",
        prefix: "bull:",
        scans: &[("*:id", "string")],
        keys: &[
            (Part::Other, "*:id"),
            (Part::Ready, "*:wait"),
            (Part::Ready, "*:paused"),
            (Part::InFlight, "*:active"),
            (Part::Delayed, "*:delayed"),
            (Part::Dead, "*:failed"),
            (Part::Completed, "*:completed"),
            (Part::Success, "*:metrics:completed"),
            (Part::Failure, "*:metrics:failed"),
            (Part::Pause, "*:meta-paused"),
        ],
        // jobs are added at the left, those with the option lifo at the right
        oldest: Some(Oldest { ends: &["-1", "0"], key: Some("*:"), message: Message::Hash }),
        ..NO_EXTRAS
    },
    Preset {
        name: "arq",
        prefix: "arq:",
        scans: &[("*", "zset")],
        keys: &[(Part::Scheduled, "*"), (Part::Other, "arq:abort")],
        whole_keys: true,
        forgetful: true,
        running: Some("arq:in-progress:*"),
        ..NO_EXTRAS
    },
    Preset {
        name: "huey",
        prefix: "huey.",
        scans: &[("redis.*", ""), ("schedule.*", "zset")],
        keys: &[(Part::Ready, "redis.*"), (Part::Delayed, "schedule.*")],
        forgetful: true,
        ..NO_EXTRAS
    },
    Preset {
        name: "dramatiq",
        prefix: "dramatiq:",
        scans: &[("*.msgs", "hash")],
        keys: &[
            (Part::Ready, "*"),
            (Part::Unfinished, "*.msgs"),
            (Part::Delayed, "*.DQ.msgs"),
            (Part::Dead, "*.XQ.msgs"),
        ],
        forgetful: true,
        oldest: Some(Oldest { ends: &["0"], key: Some("*.msgs"), message: Message::Field(&["message_timestamp"]) }),
        ..NO_EXTRAS
    },
];
