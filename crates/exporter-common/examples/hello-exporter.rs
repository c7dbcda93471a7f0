//! A complete exporter: the number of words in a file, as a metric.

use scrapewright::{Collector, Family, Program, Scrape, Source, anyhow, async_trait, clap};

#[derive(clap::Args)]
struct Flags {
    /// File to count words in
    #[arg(long = "greeting.file", default_value = "greeting.txt")]
    file: std::path::PathBuf,
}

struct Greeting(std::path::PathBuf);

#[async_trait]
impl Collector for Greeting {
    fn name(&self) -> &str {
        "greeting"
    }

    async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
        let words = std::fs::read_to_string(&self.0)?.split_whitespace().count() as f64;
        scrape.add(Family::gauge("greeting_words", "Number of words in the file.", &[]).value(words));
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    Program::new("hello-exporter", "1.0.0", "Exports a greeting.", 9999)
        .main(|flags: Flags, _| Ok(vec![Source::new(Greeting(flags.file))]))
}
