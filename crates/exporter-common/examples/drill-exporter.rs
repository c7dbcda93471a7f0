//! An exporter with faulty collectors for the library's tests: slow, blocked, panicking, duplicate series.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use scrapewright::{Collector, Family, Program, Scrape, Source, UsageError, async_trait};

#[derive(clap::Args)]
struct Flags {
    /// Fail with a usage error
    #[arg(long = "usage-error")]
    usage_error: bool,
}

/// The behavior of a collector after it has added its metric.
#[derive(Clone, Copy)]
enum Drill {
    Fine,
    Sleep,
    Block,
    Linger,
    Panic,
    Fail,
    Twice,
    Large,
    Huge,
    Late,
}

struct Collected(&'static str, Drill);

/// All drills, which `--collector.<name>` enables.
const DRILLS: &[(&str, Drill)] = &[
    ("fine", Drill::Fine),
    ("sleep", Drill::Sleep),
    ("block", Drill::Block),
    ("linger", Drill::Linger),
    ("panic", Drill::Panic),
    ("fail", Drill::Fail),
    ("twice", Drill::Twice),
    ("large", Drill::Large),
    ("huge", Drill::Huge),
    ("late", Drill::Late),
];

#[async_trait]
impl Collector for Collected {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
        let gauge = || Family::gauge("drill_info", "Enabled drills.", &["drill"]).with(&[self.0], 1.0);
        scrape.add(gauge());
        match self.1 {
            Drill::Fine | Drill::Late => {}
            Drill::Sleep => tokio::time::sleep(Duration::from_secs(3)).await,
            Drill::Block => scrape.blocking(|| std::thread::sleep(Duration::from_secs(3))).await,
            Drill::Linger => scrape.blocking(|| std::thread::sleep(Duration::from_millis(20))).await,
            Drill::Panic => panic!("out of cheese"),
            Drill::Fail => anyhow::bail!("the cheese is \"gone\"\nfor good"),
            Drill::Twice => scrape.add(gauge()),
            Drill::Large => scrape.add(many_series("drill_series", "")),
            Drill::Huge => scrape.add(many_series("drill_long_series", &"long label value ".repeat(6))),
        }
        Ok(())
    }
}

fn source(name: &'static str, drill: Drill) -> Source {
    let source = Source::new(Collected(name, drill));
    match drill {
        Drill::Late => {
            let polls = AtomicU32::new(0);
            source.ready(move || polls.fetch_add(1, Ordering::Relaxed) >= 2)
        }
        _ => source,
    }
}

/// 100,000 series: 2.5 MB of text, and more with a longer label.
fn many_series(name: &'static str, prefix: &str) -> Family {
    let mut family = Family::gauge(name, "One of many series.", &["number"]);
    for number in 0..100_000_u32 {
        family.push(&[format!("{prefix}{number}")], f64::from(number));
    }
    family
}

fn main() -> ExitCode {
    Program::new("drill-exporter", "1.0.0", "Exports drills.", 9998)
        .subcommand(clap::Command::new("practice").about("Exit with status 7"), |_| Ok(ExitCode::from(7)))
        .collectors(DRILLS.iter().map(|(name, _)| (*name, false)))
        .main(|flags: Flags, startup| {
            if flags.usage_error {
                return Err(UsageError::new("--this and --that exclude each other").into());
            }
            let enabled = DRILLS.iter().filter(|(name, _)| startup.enabled(name));
            Ok(enabled.map(|(name, drill)| source(name, *drill)).collect::<Vec<_>>())
        })
}
