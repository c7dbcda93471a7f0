//! The runbook and the dashboard of each alert.

use std::collections::BTreeSet;

use regex::Regex;

use super::{Rule, alerts, rules};
use crate::dashboards::queries::{known, names, selectors};
use crate::dashboards::{dashboards, read, repository, runbook, text};

/// The sections of a runbook, in this order: a heading (`## Diagnosis`) or bold first words (`**Meaning.** …`).
const SECTIONS: [&str; 6] = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Resolves", "Silence"];

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let mut pages = BTreeSet::new();
    for rule in alerts() {
        let page = text(&rule.json["annotations"]["runbook_url"]);
        assert_eq!(runbook(page), rule.alert(), "{}", rule.location());
        pages.insert(format!("{}.md", rule.alert().unwrap()));
    }
    let files = std::fs::read_dir(repository().join("docs/runbooks")).unwrap();
    let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    pages.insert("README.md".to_owned()); // the list of them
    assert_eq!(files, pages);
}

/// The section that a line opens, if any. Bold text that is not one of the sections is a paragraph's own.
fn opened_section(line: &str) -> Option<&str> {
    if let Some(heading) = line.strip_prefix("## ") {
        return Some(heading);
    }
    let bold = line.strip_prefix("**")?.split_once("**")?.0.trim_end_matches(['.', ':']);
    SECTIONS.contains(&bold).then_some(bold)
}

#[test]
fn every_runbook_has_the_same_sections_in_the_same_order() {
    for rule in alerts() {
        let alert = rule.alert().unwrap();
        let page = read(&format!("docs/runbooks/{alert}.md"));
        assert!(page.starts_with(&format!("# {alert}\n")), "{alert}");
        let found: Vec<_> = page.lines().filter_map(opened_section).collect();
        assert_eq!(found, SECTIONS, "{alert}");
        assert!(page.lines().count() < 80, "{alert}: too long for an engineer who was just paged");
        let list = read("docs/runbooks/README.md");
        let entry = format!("[{alert}]({alert}.md)");
        assert!(list.contains(&entry), "the list lacks {alert}");
    }
}

/// The PromQL expressions of a runbook: the code spans of its section Diagnosis that query a metric.
fn queries(page: &str) -> Vec<&str> {
    let diagnosis = page.split("\n## Diagnosis\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let text = diagnosis.split("```").step_by(2); // between fenced blocks, which are commands
    let spans = text.flat_map(|text| text.split('`').skip(1).step_by(2));
    let query = Regex::new(
        r#"\b(cpu_exporter|httpd|app|queue|exporter|process|scrape_(duration|samples)|messages?|prometheus|alertmanager)_\w|\w:\w+:\w|\{\w+[=!]~?"|\w\[\d+\w\]|^\w+ by \("#,
    );
    let query = query.unwrap();
    spans.filter(|span| query.is_match(span)).collect()
}

#[test]
fn every_query_of_a_runbook_selects_metrics_that_exist() {
    let mut catalogue = known();
    for record in rules().iter().filter_map(Rule::record) {
        catalogue.entry(record.to_owned()).or_default();
    }
    for rule in alerts() {
        let alert = rule.alert().unwrap();
        let page = read(&format!("docs/runbooks/{alert}.md"));
        let queries = queries(&page);
        assert!(!queries.is_empty(), "{alert}: no query");
        for query in queries {
            let expr = promql_parser::parser::parse(query);
            let expr = expr.unwrap_or_else(|error| panic!("{alert}: {error}\n{query}"));
            for selector in selectors(&expr) {
                let any = selector.vector.name.is_none(); // all metrics of an exporter
                assert!(any || !names(selector.vector, &catalogue).is_empty(), "{alert}: {}", selector.vector);
            }
        }
    }
}

#[test]
fn every_alert_links_to_a_dashboard_with_existing_variables() {
    for rule in alerts() {
        let url = text(&rule.json["annotations"]["dashboard_url"]);
        let (uid, query) = url.strip_prefix("http://localhost:3000/d/").unwrap().split_once('?').unwrap();
        let all = dashboards();
        let dashboard = all.iter().find(|dashboard| dashboard.json["uid"] == uid);
        let dashboard = dashboard.unwrap_or_else(|| panic!("{}: no dashboard {uid}", rule.location()));
        for set in query.split('&') {
            let name = set.strip_prefix("var-").unwrap().split('=').next().unwrap();
            let known = dashboard.variables().iter().any(|variable| variable["name"] == name);
            assert!(known, "{}: {uid} has no variable {name}", rule.location());
        }
    }
}
