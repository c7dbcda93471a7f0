//! Rejects phrases that are not plain technical English in comments, messages, documentation, rules and dashboards.

use std::path::Path;

use regex::Regex;

use crate::{files, name, workspace};

/// The checked folders.
const FOLDERS: &[&str] =
    &["crates", "deploy", "docs", "examples", "fuzz/fuzz_targets", "grafana", "mixin", "prometheus"];

/// The checked files next to them.
const PAGES: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

const EXTENSIONS: &[&str] = &["rs", "md", "yml", "yaml", "json", "js", "html", "libsonnet"];

/// The phrases, each with a plain replacement.
const PHRASES: &[(&str, &str)] = &[
    (r"\b(is|are|was|were|be|been)( not)? told\b", "is reported, is logged"),
    (r"\b(tells|told|says|said) of\b", "reports, shows"),
    (r"\btells? (whether|how|what|which|where|when|why|one)\b", "reports, shows"),
    (r"\b(for ever|anew|at present|be it|whether or no)\b", "forever, again, currently"),
    (r"\b(to|may) be had\b", "is available"),
    (r"\bof (its|their|one's) own\b", "its own"),
    (r"\bas (it stands|they stand)\b", "verbatim, currently"),
    (r"\bstands? (in|before|beside|there|alone|where)\b", "is in, is before"),
    (r"\b(went|gone|goes) on (with|to|until|reading)\b", "continues"),
    (r"\bagain for each\b", "repeatable"),
    (r"\bfurther ones?\b", "additional, other"),
    (r"\b(is|are) no (text|list|number|PEM|JSON|key|stream|certificate|authority|socket|file|map|hash)\b", "is not a"),
    (
        r"\b(who|nobody|somebody|anybody) (waits?|asks?|reads?|looks?|takes?|answers?|scrapes?|serves?|calls?)\b",
        "the client, no client",
    ),
    (r"\b(of|in) whom\b", "whose"),
    (r"\bwhat (goes|comes|went|came|cannot|waits|ended|stands|calls) ", "a noun"),
    (r"\b(have|has|having) the format\b", "match the format"),
    (r"\bpatterns? of paths\b", "glob"),
    (r"\b(the page for people)\b", "landing page"),
    (r"\bthe head of (a|the) request\b", "request headers"),
    (r"\blogins\b", "credentials, basic auth"),
    (r"\bcalls? (somebody|nobody|anybody)\b", "pages"),
    (r"\bwith its place\b", "with its line and column"),
    (r"\b(hither|whither|whence|thence|thereof|therein|hereby|lest)\b", "a modern word"),
    (r"\bis no longer to be\b", "is not"),
    (r"\bso many of\b", "the number of"),
];

/// The keys of dashboards with text.
const JSON_KEYS: &[&str] = &["\"title\"", "\"description\"", "\"content\"", "\"displayName\"", "\"legendFormat\""];

/// Literal uses: a file, and a part of the line.
const ALLOWED: &[(&str, &str)] = &[
    // this file lists the phrases
    ("crates/exporter-common/tests/tidy/english.rs", ""),
];

/// The text that people read: comments and strings of Rust, titles and descriptions of JSON, all of other files.
fn prose(name: &str, line: &str, strings: &Regex) -> String {
    if name.ends_with(".json") && !JSON_KEYS.iter().any(|key| line.contains(key)) {
        return String::new();
    }
    if !name.ends_with(".rs") {
        return line.to_owned();
    }
    let mut prose: String =
        strings.find_iter(line).map(|found| found.as_str()).filter(|text| text.contains(' ')).collect();
    prose.extend(line.split_once("//").map(|(_, comment)| comment));
    prose
}

#[test]
fn texts_are_plain_english() {
    let phrases: Vec<_> =
        PHRASES.iter().map(|(phrase, plain)| (Regex::new(&format!("(?i){phrase}")).unwrap(), plain)).collect();
    let strings = Regex::new(r#""(?:[^"\\]|\\.)*""#).unwrap();
    let mut found = Vec::new();
    let pages = PAGES.iter().map(|page| workspace().join(page));
    for file in FOLDERS.iter().flat_map(|folder| files(&workspace().join(folder), EXTENSIONS)).chain(pages) {
        check(&file, &phrases, &strings, &mut found);
    }
    assert!(found.is_empty(), "not plain English:\n{}", found.join("\n"));
}

fn check(file: &Path, phrases: &[(Regex, &&str)], strings: &Regex, found: &mut Vec<String>) {
    let name = name(file);
    let Ok(text) = std::fs::read_to_string(file) else { return };
    for (number, line) in text.lines().enumerate() {
        let prose = prose(&name, line, strings);
        for (phrase, plain) in phrases {
            let Some(hit) = phrase.find(&prose) else { continue };
            if !ALLOWED.iter().any(|(path, part)| *path == name && line.contains(part)) {
                found.push(format!("{name}:{}: {:?}: write {plain:?}", number + 1, hit.as_str()));
            }
        }
    }
}
