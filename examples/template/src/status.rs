//! The collector: reads the status file, parses it, and converts it to metrics.

use std::path::PathBuf;

use scrapewright::anyhow::{Context, Result};
use scrapewright::{Collector, Family, Scrape, async_trait};

/// The status file.
pub(crate) struct Status(PathBuf);

impl Status {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self(file)
    }
}

#[async_trait]
impl Collector for Status {
    fn name(&self) -> &str {
        "status"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let file = self.0.clone();
        // the disk may hang: then another thread serves the other requests
        let text = scrape.blocking(move || {
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
        });
        scrape.add(metrics(&parse(&text.await?)?));
        Ok(())
    }
}

/// Parses lines of the form "name: number".
fn parse<'text>(text: &'text str) -> Result<Vec<(&'text str, f64)>> {
    let entry = |(index, line): (usize, &'text str)| {
        let invalid = || format!("line {}: expected \"name: number\", not {line:?}", index + 1);
        let (name, number) = line.split_once(": ").with_context(invalid)?;
        Ok((name, number.trim().parse().with_context(invalid)?))
    };
    text.lines().enumerate().map(entry).collect()
}

fn metrics(entries: &[(&str, f64)]) -> Family {
    let mut family = Family::gauge("template_status", "Value of the entry in the status file.", &["name"]);
    for (name, value) in entries {
        family.push(&[name], *value);
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_entry() {
        assert_eq!(parse("jobs: 3\nload: 0.5\n").unwrap(), [("jobs", 3.0), ("load", 0.5)]);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn an_invalid_line_is_reported_with_its_number() {
        let error = parse("jobs: 3\nload\n").unwrap_err().to_string();
        assert_eq!(error, "line 2: expected \"name: number\", not \"load\"");
    }
}
