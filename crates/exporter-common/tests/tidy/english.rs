//! Rejects phrases that are not plain technical English in comments, messages, documentation, rules and dashboards.

use std::path::Path;
use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use crate::{files, name, workspace};

/// The checked folders.
const FOLDERS: &[&str] =
    &[".ci", ".github", "crates", "deploy", "docs", "examples", "fuzz/fuzz_targets", "grafana", "mixin", "prometheus"];

/// The checked files next to them.
const PAGES: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docker-compose.yml",
    "justfile",
    "mixin/render",
];

const EXTENSIONS: &[&str] =
    &["rs", "md", "yml", "yaml", "json", "js", "html", "libsonnet", "py", "sh", "toml", "service", "default"];

/// Folders with scripts, which have no extension.
const SCRIPTS: &[&str] = &[".ci"];

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
    (r"\bmeanwhile\b", "in the meantime, or nothing"),
    (r"\bbeside\b", "next to, compared with"),
    (r"\bat once\b", "immediately, concurrently"),
    (r"\bby hand\b", "yourself, manually"),
    (r"\b(begins?|began|begun)\b", "starts, started"),
    (r"\bof which\b", "of them, whose"),
    (r"\bthat of\b", "the noun again"),
    (r"\bof your own\b", "your own"),
    (r"\bin its place\b", "instead"),
    (r"\bis no metric\b", "is not a metric"),
];

/// The keys of dashboards with text.
const JSON_KEYS: &[&str] = &["\"title\"", "\"description\"", "\"content\"", "\"displayName\"", "\"legendFormat\""];

/// Literal uses: a file, and a part of the text.
const ALLOWED: &[(&str, &str)] = &[
    // this file lists the phrases
    ("crates/exporter-common/tests/tidy/english.rs", ""),
    ("crates/exporter-common/benches/attack/trouble.rs", "BEGIN CERTIFICATE"),
    ("crates/queue-exporter/tests/e2e/postgres.rs", "BEGIN; LOCK TABLE"),
];

/// A text, and its line in a file.
type Text = (usize, String);

/// The texts that people read: comments and strings of Rust, titles and descriptions of JSON, paragraphs of other files.
fn texts(name: &str, content: &str) -> Vec<Text> {
    let lines = content.lines().enumerate().map(|(at, line)| (at + 1, line));
    match name {
        name if name.ends_with(".rs") => rust(content),
        name if name.ends_with(".json") => {
            let is_text = |line: &str| JSON_KEYS.iter().any(|key| line.contains(key));
            lines.filter(|(_, line)| is_text(line)).map(|(number, line)| (number, line.to_owned())).collect()
        }
        _ => paragraphs(lines.map(|(number, line)| (number, line.trim().trim_start_matches(['#', '/', '*'])))),
    }
}

/// Joins lines up to an empty one.
fn paragraphs<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<Text> {
    let (mut texts, mut continues) = (Vec::<Text>::new(), false);
    for (number, line) in lines {
        let line = line.trim();
        match texts.last_mut() {
            _ if line.is_empty() => {}
            Some((_, text)) if continues => *text += &format!(" {line}"),
            _ => texts.push((number, line.to_owned())),
        }
        continues = !line.is_empty();
    }
    texts
}

/// Comments, joined, and strings, also if they continue after a backslash.
fn rust(content: &str) -> Vec<Text> {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    let comments =
        content.lines().map(|line| if is_comment(line) { line.trim().trim_start_matches(['/', '!']) } else { "" });
    let mut texts = paragraphs(comments.enumerate().map(|(at, line)| (at + 1, line)));
    let mut code = String::new();
    for (at, line) in content.lines().enumerate().filter(|(_, line)| !is_comment(line)) {
        code += if code.is_empty() { line } else { line.trim_start() };
        if let Some(continued) = code.strip_suffix('\\') {
            code.truncate(continued.len());
            continue;
        }
        let strings = STRINGS.find_iter(&code).map(|found| found.as_str()).filter(|text| text.contains(' '));
        let comment = code.split_once("//").map(|(_, comment)| comment);
        texts.extend(strings.chain(comment).map(|text| (at + 1, text.to_owned())));
        code.clear();
    }
    texts
}

static STRINGS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""(?:[^"\\]|\\.)*""#).unwrap());

#[test]
fn texts_are_plain_english() {
    let phrases: Vec<_> = PHRASES.iter().map(|(phrase, _)| format!("(?i){phrase}")).collect();
    let phrases = RegexSet::new(phrases).unwrap();
    let mut found = Vec::new();
    let checked = FOLDERS.iter().flat_map(|folder| files(&workspace().join(folder), EXTENSIONS));
    let scripts = SCRIPTS.iter().flat_map(|folder| files(&workspace().join(folder), &[""]));
    for file in checked.chain(scripts).chain(PAGES.iter().map(|page| workspace().join(page))) {
        check(&file, &phrases, &mut found);
    }
    assert!(found.is_empty(), "not plain English:\n{}", found.join("\n"));
}

fn check(file: &Path, phrases: &RegexSet, found: &mut Vec<String>) {
    let name = name(file);
    let Ok(content) = std::fs::read_to_string(file) else { return };
    for (number, text) in texts(&name, &content) {
        if ALLOWED.iter().any(|(path, part)| *path == name && text.contains(part)) {
            continue;
        }
        for (phrase, plain) in phrases.matches(&text).into_iter().map(|at| PHRASES[at]) {
            found.push(format!("{name}:{number}: {phrase}: write {plain:?}"));
        }
    }
}

#[test]
fn phrases_are_found_across_lines() {
    let comment = "fn a() {\n    // a pattern of\n    // paths\n    b(\"is\", \"one of \\\n       its own\");\n}\n";
    assert_eq!(texts("a.rs", comment), [(2, "a pattern of paths".to_owned()), (5, "\"one of its own\"".to_owned())]);
    assert_eq!(texts("a.sh", "# at\n# once\n\nx"), [(1, "at once".to_owned()), (4, "x".to_owned())]);
}
