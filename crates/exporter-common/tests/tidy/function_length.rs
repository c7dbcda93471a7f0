//! Rejects long functions, except tables.

use std::fs;
use std::sync::LazyLock;

use regex::Regex;

use crate::{files, name, workspace};

/// The limit of lines in a function.
const MAX_LINES: usize = 80;

/// Functions that are tables: a file, and a name.
const TABLES: &[(&str, &str)] = &[("crates/demo/src/stack/parts.rs", "all")];

/// The first line of a function: its indentation and its name.
static FUNCTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^( *)(?:pub(?:\([^)]*\))? )?(?:(?:const|async|unsafe) )*fn (\w+)").unwrap());

#[test]
fn functions_are_short() {
    for file in files(&workspace().join("crates"), &["rs"]) {
        let file_name = name(&file);
        for (function, lines) in long_functions(&fs::read_to_string(&file).unwrap()) {
            let is_table = TABLES.contains(&(file_name.as_str(), function.as_str()));
            assert!(is_table, "{file_name}: the function {function} has {lines} lines");
        }
    }
}

/// Functions beyond the limit, and their lengths. rustfmt puts the last brace of a function below its first line.
fn long_functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut long = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(found) = FUNCTION.captures(line) else { continue };
        let ends = |rest: &str| rest == "}" || rest.starts_with(')') && rest.ends_with(';');
        let is_last = |other: &&str| other.strip_prefix(&found[1]).is_some_and(ends);
        if line.ends_with(['}', ';']) {
            continue;
        }
        let length = 2 + lines[at + 1..].iter().take_while(|other| !is_last(other)).count();
        if length > MAX_LINES {
            long.push((found[2].to_owned(), length));
        }
    }
    long
}

#[test]
fn long_functions_are_found() {
    let function =
        |lines: usize| format!("impl A {{\n    fn a() {{\n{}    }}\n}}\n", "        b();\n".repeat(lines - 2));
    assert_eq!(long_functions(&function(MAX_LINES)), []);
    assert_eq!(long_functions(&function(MAX_LINES + 1)), [("a".to_owned(), MAX_LINES + 1)]);
}
