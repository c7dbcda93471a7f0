//! The multi-target pattern: one exporter reads many targets, each at `/probe?target=TARGET&module=MODULE`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::collector::{Blocked, Scrape};
use super::failure_log::{FailureLog, Transition};
use super::panicked;
use crate::config::duration::{LONGEST, human};
use crate::exposition::family::Family;

/// The limit of blocking work, above which another probe waits, so that targets that hang leave threads for others.
const MAX_BLOCKED: usize = 16;
/// The limit of targets whose failures are logged.
const MAX_LOGGED: usize = 1000;

/// Reads one of many targets for a request to `/probe`, as `blackbox_exporter` does.
///
/// ```
/// use scrapewright::{Family, Probe, ProbeRequest, Prober, Scrape, anyhow, async_trait};
///
/// /// Measures how long a TCP connection takes.
/// struct Connect;
///
/// #[async_trait]
/// impl Prober for Connect {
///     async fn probe(&self, request: &ProbeRequest, scrape: &Scrape) -> anyhow::Result<()> {
///         let started = std::time::Instant::now();
///         tokio::net::TcpStream::connect(request.target()).await?;
///         let seconds = started.elapsed().as_secs_f64();
///         scrape.add(Family::gauge("probe_connect_seconds", "Duration of the connect in seconds.", &[]).value(seconds));
///         Ok(())
///     }
/// }
///
/// // only these targets: an exporter that connects anywhere is a proxy into your network
/// let probe = Probe::new(Connect, ["db-*.example.org:5432".parse()?]);
/// # Ok::<(), String>(())
/// ```
#[async_trait::async_trait]
pub trait Prober: Send + Sync + 'static {
    /// Reads the target once, and adds each family to `scrape` as soon as it is complete.
    ///
    /// The read must not block for long, and respects [`Scrape::time_left`] if it can: at the deadline it is cancelled,
    /// and the families added before are exported.
    ///
    /// # Errors
    /// An error sets `probe_success` to 0. It is logged once, when the state of the target changes.
    async fn probe(&self, request: &ProbeRequest, scrape: &Scrape) -> anyhow::Result<()>;
}

/// What to probe: the parameters of the request, which are valid and allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeRequest {
    target: String,
    module: String,
}

impl ProbeRequest {
    /// The parameter `target`, which a [`TargetPattern`] matches.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The parameter `module`, which is one of [`Probe::modules`]; the first one by default.
    pub fn module(&self) -> &str {
        &self.module
    }
}

/// Targets that may be probed: a name, in which `*` is any text without `/`, `@`, `?`, `#`, `\` and spaces.
///
/// ```
/// use scrapewright::TargetPattern;
///
/// let pattern: TargetPattern = "https://*.example.org/status".parse()?;
/// assert!(pattern.matches("https://shop.example.org/status"));
/// assert!(!pattern.matches("https://evil.org/?.example.org/status"));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPattern(String);

impl FromStr for TargetPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Err("a target must not be empty".to_owned()),
            text => Ok(Self(text.to_owned())),
        }
    }
}

impl TargetPattern {
    /// Whether the target may be probed.
    pub fn matches(&self, target: &str) -> bool {
        matches(self.0.as_bytes(), target.as_bytes())
    }
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut rest) = (0, 0);
    // where to continue with one more byte for the last `*`
    let mut retry: Option<(usize, usize)> = None;
    while rest < text.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, rest));
        } else if pattern.get(at) == Some(&text[rest]) {
            (at, rest) = (at + 1, rest + 1);
        } else {
            let Some((after, taken)) = retry else { return false };
            if matches!(text[taken], b'/' | b'@' | b'?' | b'#' | b'\\') || text[taken].is_ascii_whitespace() {
                return false;
            }
            retry = Some((after, taken + 1));
            (at, rest) = (after, taken + 1);
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// A prober, and the targets and modules that requests to `/probe` may name.
pub struct Probe {
    prober: Box<dyn Prober>,
    allowed: Vec<TargetPattern>,
    modules: Vec<Cow<'static, str>>,
    timeout: Option<Duration>,
    blocked: Blocked,
    logs: Mutex<BTreeMap<ProbeRequest, FailureLog>>,
    counters: Arc<ProbeCounters>,
}

/// The results of all probes since the start.
#[derive(Default)]
pub(crate) struct ProbeCounters {
    success: AtomicU64,
    failure: AtomicU64,
    refused: AtomicU64,
}

impl ProbeCounters {
    /// The counters as a family.
    pub(crate) fn family(&self) -> Family {
        let mut family = Family::counter(
            "exporter_probes_total",
            "Total number of requests to /probe by result: success, failure, or refused for an invalid target or module.",
            &["result"],
        );
        for (result, count) in [("success", &self.success), ("failure", &self.failure), ("refused", &self.refused)] {
            family.push(&[result], count.load(Ordering::Relaxed));
        }
        family
    }
}

/// A probe in progress. It counts as failed if it is dropped before its end. A client that disconnects does not always end
/// its probe, but the time limit does.
struct ProbeAttempt<'a> {
    counters: &'a ProbeCounters,
    success: bool,
}

impl Drop for ProbeAttempt<'_> {
    fn drop(&mut self) {
        let counter = if self.success { &self.counters.success } else { &self.counters.failure };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why a request is not a probe.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ProbeError {
    Invalid(String),
    Forbidden(String),
}

impl Probe {
    /// A prober of these targets, with one module named `default` and the time limit of `--scrape.timeout`.
    pub fn new(prober: impl Prober, allowed: impl IntoIterator<Item = TargetPattern>) -> Self {
        Self {
            prober: Box::new(prober),
            allowed: allowed.into_iter().collect(),
            modules: vec!["default".into()],
            timeout: None,
            blocked: Blocked::default(),
            logs: Mutex::default(),
            counters: Arc::default(),
        }
    }

    /// Sets the modules. The first is the default; without any, the parameter `module` is not accepted.
    #[must_use]
    pub fn modules<N: Into<Cow<'static, str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.modules = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the time limit of one target, instead of `--scrape.timeout`. A scrape with a shorter timeout has less.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout.min(LONGEST));
        self
    }

    /// The time limit that was set for one target.
    pub(crate) fn own_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The results of all probes.
    pub(crate) fn counters(&self) -> Arc<ProbeCounters> {
        self.counters.clone()
    }

    /// The probe that a query requests.
    pub(crate) fn parse(&self, query: &str) -> Result<ProbeRequest, ProbeError> {
        self.valid(query).inspect_err(|_| {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn valid(&self, query: &str) -> Result<ProbeRequest, ProbeError> {
        let value = |key: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == key).map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
        };
        let target = value("target").ok_or_else(|| ProbeError::Invalid("The parameter target is missing.".into()))?;
        let module = value("module");
        let module = module.unwrap_or_else(|| self.modules.first().map(ToString::to_string).unwrap_or_default());
        if !module.is_empty() && !self.modules.iter().any(|known| *known == module) {
            let modules = self.modules.join(", ");
            return Err(ProbeError::Invalid(format!("Module {module:?} is unknown; the modules are {modules}.")));
        }
        if !self.allowed.iter().any(|pattern| pattern.matches(&target)) {
            return Err(ProbeError::Forbidden(format!("Target {target:?} is not one of the allowed targets.")));
        }
        Ok(ProbeRequest { target, module })
    }

    /// Probes a target. Returns its families, with the success and the duration.
    pub(crate) async fn run(&self, request: &ProbeRequest, budget: Duration) -> Vec<Arc<Family>> {
        let started = Instant::now();
        let mut attempt = ProbeAttempt { counters: &self.counters, success: false };
        let limit = budget.min(self.timeout.unwrap_or(LONGEST));
        let scrape = Scrape::new(started + limit, self.blocked.clone());
        let probe = AssertUnwindSafe(async {
            self.blocked.fewer_than(MAX_BLOCKED).await;
            self.prober.probe(request, &scrape).await
        });
        let error = match tokio::time::timeout(limit, probe.catch_unwind()).await {
            Ok(Ok(Ok(()))) => scrape.invalid().map(ToString::to_string),
            Ok(Ok(Err(error))) => Some(format!("{error:#}")),
            Ok(Err(panic)) => Some(panicked(&*panic)),
            Err(_) => Some(format!("no response within {}", human(limit))),
        };
        attempt.success = error.is_none();
        self.log(request, error.as_deref());
        let success = Family::gauge("probe_success", "Whether the probe succeeded completely (1 = yes).", &[]);
        let duration = Family::gauge("probe_duration_seconds", "Duration of the probe in seconds.", &[]);
        let mut families = vec![
            Arc::new(success.value(f64::from(u8::from(error.is_none())))),
            Arc::new(duration.value(started.elapsed().as_secs_f64())),
        ];
        families.extend(scrape.families());
        families
    }

    /// Logs a change between success and failure of a target.
    fn log(&self, request: &ProbeRequest, error: Option<&str>) {
        let transition = {
            let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner); // always consistent
            let known = logs.contains_key(request);
            if error.is_none() && !known {
                return;
            }
            // targets that recovered are kept while there is room, since each has a limit of log lines
            if logs.len() >= MAX_LOGGED && !known {
                logs.retain(|_, log| log.fails());
            }
            if logs.len() >= MAX_LOGGED && !known {
                Transition::None
            } else {
                logs.entry(request.clone()).or_default().transition(error)
            }
        };
        let (target, module, error) = (&*request.target, &*request.module, error.unwrap_or_default());
        match transition {
            Transition::Failed => tracing::warn!(target, module, error, "probe failed"),
            Transition::ReasonChanged => tracing::warn!(target, module, error, "probe fails for a different reason"),
            Transition::Recovered => tracing::info!(target, module, "probe recovered"),
            Transition::None => tracing::debug!(target, module, error, "probe still fails"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::text::to_text;

    #[test]
    fn a_star_matches_within_one_part_of_a_target() {
        for (pattern, target, expected) in [
            ("a.example.org:80", "a.example.org:80", true),
            ("a.example.org:80", "a.example.org:8080", false),
            ("*", "db:5432", true),
            ("*.example.org:80", "a.b.example.org:80", true),
            ("*.example.org:80", "example.org:80", false),
            ("10.0.0.*", "10.0.0.7", true),
            ("10.0.0.*:*", "10.0.0.7:80", true),
            ("10.0.0.*", "10.0.0.7/../x", false),
            ("http://*.example.org/x", "http://evil.org/.example.org/x", false),
            ("http://*.example.org/x", "http://evil.org?.example.org/x", false),
            ("http://good.org:*/", "http://good.org:x@evil.org/", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*", "a", true),
            ("", "a", false),
        ] {
            assert_eq!(TargetPattern(pattern.to_owned()).matches(target), expected, "{pattern} {target}");
        }
        assert!(" ".parse::<TargetPattern>().is_err());
    }

    /// Behaves as its target says.
    struct Obedient;

    #[async_trait::async_trait]
    impl Prober for Obedient {
        async fn probe(&self, request: &ProbeRequest, scrape: &Scrape) -> anyhow::Result<()> {
            scrape.add(Family::info("probe_info", "", &["module"]).with(&[request.module()], 1.0));
            match request.target() {
                "slow" => std::future::pending().await,
                "fail" => anyhow::bail!("refused"),
                "panic" => panic!("out of cheese"),
                "wrong" => scrape.add(Family::gauge("g", "", &[]).with(&["label"], 1.0)),
                _ => {}
            }
            Ok(())
        }
    }

    fn probe() -> Probe {
        Probe::new(Obedient, ["*".parse().unwrap()]).modules(["one", "two"])
    }

    #[test]
    fn a_query_names_an_allowed_target_and_a_known_module() {
        let request = |query: &str| probe().parse(query).map(|ProbeRequest { target, module }| (target, module));
        let expected = |target: &str, module: &str| Ok((target.to_owned(), module.to_owned()));
        assert_eq!(request("target=a%3A80&module=two"), expected("a:80", "two"));
        assert_eq!(request("module=&target=a"), expected("a", "one"));
        for query in ["", "target=", "module=one", "target=a&module=three"] {
            assert!(matches!(request(query), Err(ProbeError::Invalid(_))), "{query}");
        }
        assert!(matches!(request("target=a/b"), Err(ProbeError::Forbidden(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn success_is_1_only_if_the_target_was_read_completely() {
        let probe = probe().timeout(Duration::from_secs(5));
        for (target, success, seconds) in
            [("fine", 1, "0"), ("slow", 0, "2"), ("fail", 0, "0"), ("panic", 0, "0"), ("wrong", 0, "0")]
        {
            let request = probe.parse(&format!("target={target}")).unwrap();
            let families = probe.run(&request, Duration::from_secs(2)).await;
            let text = to_text(families.iter().map(|family| Family::clone(family)));
            for line in [
                format!("probe_success {success}\n"),
                format!("probe_duration_seconds {seconds}\n"),
                "probe_info{module=\"one\"} 1\n".to_owned(),
            ] {
                assert!(text.contains(&line), "{target}: {line} not in {text}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn probes_are_counted_by_result_and_a_cancelled_one_as_failed() {
        let probe = probe();
        for target in ["fine", "fine", "fail", "panic"] {
            let request = probe.parse(&format!("target={target}")).unwrap();
            probe.run(&request, Duration::from_secs(2)).await;
        }
        let slow = probe.parse("target=slow").unwrap();
        let cancelled = tokio::time::timeout(Duration::from_secs(1), probe.run(&slow, Duration::from_secs(2))).await;
        assert!(cancelled.is_err());
        assert!(probe.parse("target=a/b").is_err());
        let text = to_text([probe.counters().family()]);
        for (result, count) in [("success", 2), ("failure", 3), ("refused", 1)] {
            assert!(text.contains(&format!("exporter_probes_total{{result=\"{result}\"}} {count}\n")), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failing_targets_are_remembered_up_to_a_limit_and_replace_those_that_recovered() {
        let probe = probe();
        let log = |number: usize, error: Option<&str>| {
            let request = ProbeRequest { target: number.to_string(), module: String::new() };
            probe.log(&request, error);
            let logs = probe.logs.lock().unwrap();
            (logs.len(), logs.contains_key(&request))
        };
        assert_eq!(log(0, None), (0, false));
        for number in 0..MAX_LOGGED {
            assert_eq!(log(number, Some("refused")), (number + 1, true));
        }
        assert_eq!(log(MAX_LOGGED, Some("refused")), (MAX_LOGGED, false));
        assert_eq!(log(7, None), (MAX_LOGGED, true), "its limit of log lines is not reset");
        assert_eq!(log(MAX_LOGGED, Some("refused")), (MAX_LOGGED, true));
        assert_eq!(log(7, None), (MAX_LOGGED, false));
    }
}
