//! Rejects modules of a crate that import each other, directly or through others.
//!
//! A module and its parents may import each other, since parents re-export.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::{files, workspace};

static COMMENTS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"//[^\n]*").unwrap());
static USES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\buse ([^;]+);").unwrap());
static INLINE_PATHS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(?:crate|super)(?:::\w+)+").unwrap());

type Module = Vec<String>;

#[test]
fn no_modules_import_each_other() {
    for folder in fs::read_dir(workspace().join("crates")).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let circle: Vec<_> = circle(&folder.join("src")).into_iter().map(|module| module.join("::")).collect();
        assert!(circle.is_empty(), "{name}: these modules import each other: {}", circle.join(", "));
    }
}

/// The modules that import themselves through others.
fn circle(src: &Path) -> Vec<Module> {
    let sources: BTreeMap<Module, String> =
        files(src, &["rs"]).into_iter().map(|file| (module(src, &file), fs::read_to_string(file).unwrap())).collect();
    let modules: BTreeSet<_> = sources.keys().cloned().collect();
    let imports: BTreeMap<_, _> =
        sources.iter().map(|(module, text)| (module.clone(), imports(module, text, &modules))).collect();
    let reaches_itself = |module: &&Module| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![*module]);
        while let Some(current) = next.pop() {
            next.extend(imports[current].iter().filter(|import| reached.insert((*import).clone())));
        }
        reached.contains(*module)
    };
    modules.iter().filter(reaches_itself).cloned().collect()
}

fn module(src: &Path, file: &Path) -> Module {
    let path = file.strip_prefix(src).unwrap().with_extension("");
    let mut module: Module = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// The modules that a module imports, except its parents and children.
fn imports(module: &Module, text: &str, modules: &BTreeSet<Module>) -> BTreeSet<Module> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let text = COMMENTS.replace_all(text, "");
    let mut paths: Vec<String> = USES.captures_iter(&text).flat_map(|found| expanded(&found[1])).collect();
    paths.extend(INLINE_PATHS.find_iter(&text).map(|found| found.as_str().to_owned()));
    let targets = paths.iter().filter_map(|path| target(module, path, modules));
    targets.filter(|target| !module.starts_with(target) && !target.starts_with(module)).collect()
}

/// The paths of a `use` with braces.
fn expanded(text: &str) -> Vec<String> {
    let text = text.trim();
    let Some((prefix, rest)) = text.split_once('{') else { return vec![text.to_owned()] };
    let body = rest.rsplit_once('}').map_or(rest, |(body, _)| body);
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, character) in body.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&body[start..]);
    parts
        .iter()
        .filter(|part| !part.trim().is_empty())
        .flat_map(|part| expanded(&format!("{prefix}{}", part.trim())))
        .collect()
}

/// The module of a path, if the path is in this crate.
fn target(module: &Module, path: &str, modules: &BTreeSet<Module>) -> Option<Module> {
    let mut parts = path.split("::").map(str::trim).peekable();
    let mut full = match parts.next()? {
        "crate" => Module::new(),
        "self" => module.clone(),
        "super" => {
            let mut base = module.clone();
            base.pop();
            while parts.next_if_eq(&"super").is_some() {
                base.pop();
            }
            base
        }
        _ => return None,
    };
    full.extend(parts.map(|part| part.split(' ').next().unwrap_or(part).to_owned()));
    while !modules.contains(&full) {
        full.pop()?;
    }
    Some(full)
}
