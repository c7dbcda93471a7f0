//! Rejects modules of a crate that import each other, directly or through others.
//!
//! A re-exported item counts as an item of the module that defines it. So a parent may re-export the items of its children,
//! but a child must not import what its parent defines if the parent uses the child.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::{files, name, workspace};

static COMMENTS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"//[^\n]*").unwrap());
static USES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(\bpub(?:\([^)]*\))? )?\buse ([^;]+);").unwrap());
static INLINE_PATHS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?:^|[^:\w])([a-z_]\w*(?:::\w+)+)").unwrap());
static DEFINITIONS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^(?:pub(?:\([^)]*\))? )?(?:(?:async|unsafe) )*(?:fn|struct|enum|trait|type|const|static) (\w+)")
        .unwrap()
});

type Module = Vec<String>;

#[test]
fn no_modules_import_each_other() {
    let packages = fs::read_dir(workspace().join("crates")).unwrap().map(|package| package.unwrap().path());
    let circles: Vec<_> = packages.flat_map(|package| roots(&package)).flat_map(|root| circle(&root)).collect();
    assert!(circles.is_empty(), "these modules import each other:\n{}", circles.join("\n"));
}

/// The folders of a package's crates: of the library or program, of tests, benchmarks and examples. Crates of one file share
/// a folder.
fn roots(package: &Path) -> Vec<PathBuf> {
    let mut roots = vec![package.join("src")];
    for folder in ["tests", "benches", "examples"].map(|folder| package.join(folder)).iter().filter(|it| it.is_dir()) {
        roots.push(folder.clone());
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        roots.extend(entries.filter(|entry| entry.join("main.rs").exists()));
    }
    roots
}

/// One module: its source without comments and tests, and the items that it defines and re-exports.
struct Source {
    text: String,
    defined: BTreeSet<String>,
    /// The path of each re-exported item, by its name.
    exported: BTreeMap<String, String>,
}

type Sources = BTreeMap<Module, Source>;

/// The modules that import themselves through others, each with its imports.
fn circle(root: &Path) -> Vec<String> {
    let in_other_crate = |file: &PathBuf| {
        let mut folders = file.ancestors().skip(1).take_while(|folder| *folder != root);
        folders.any(|folder| folder.join("main.rs").exists())
    };
    let own = files(root, &["rs"]).into_iter().filter(|file| !in_other_crate(file));
    let sources = own.map(|file| (module(root, &file), Source::of(&fs::read_to_string(file).unwrap()))).collect();
    let circle = in_circles(&sources);
    let path = |module: &Module| format!("{}::{}", name(root), module.join("::"));
    let row = |(module, imports): (&Module, &BTreeSet<Module>)| {
        let imports: Vec<_> = imports.iter().filter(|import| circle.contains_key(*import)).map(path).collect();
        format!("{} imports {}", path(module), imports.join(", "))
    };
    circle.iter().map(row).collect()
}

fn in_circles(sources: &Sources) -> BTreeMap<Module, BTreeSet<Module>> {
    let imports: BTreeMap<_, _> = sources.keys().map(|module| (module.clone(), imports(module, sources))).collect();
    let reaches_itself = |module: &Module| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![module]);
        while let Some(current) = next.pop() {
            let new = imports.get(current).into_iter().flatten().filter(|import| reached.insert((*import).clone()));
            next.extend(new);
        }
        reached.contains(module)
    };
    imports.clone().into_iter().filter(|(module, _)| reaches_itself(module)).collect()
}

fn module(root: &Path, file: &Path) -> Module {
    let path = file.strip_prefix(root).unwrap().with_extension("");
    let mut module: Module = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

impl Source {
    fn of(text: &str) -> Self {
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let text = COMMENTS.replace_all(text, "").into_owned();
        let defined = DEFINITIONS.captures_iter(&text).map(|found| found[1].to_owned()).collect();
        let exports = USES.captures_iter(&text).filter(|found| found.get(1).is_some());
        let exported = exports.flat_map(|found| expanded(&found[2])).filter_map(|path| {
            let (path, name) = path.split_once(" as ").map_or((path.as_str(), None), |(path, name)| (path, Some(name)));
            Some((name.or(path.rsplit("::").next())?.to_owned(), path.to_owned()))
        });
        Self { defined, exported: exported.collect(), text: text.clone() }
    }
}

/// The modules that a module imports.
fn imports(module: &Module, sources: &Sources) -> BTreeSet<Module> {
    let text = &sources[module].text;
    let uses = USES.captures_iter(text).filter(|found| found.get(1).is_none());
    let mut paths: Vec<String> = uses.flat_map(|found| expanded(&found[2])).collect();
    let rest = USES.replace_all(text, "");
    paths.extend(INLINE_PATHS.captures_iter(&rest).map(|found| found[1].to_owned()));
    paths.iter().filter_map(|path| origin(module, path, sources)).filter(|origin| origin != module).collect()
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

/// The module that defines the item of a path, if the path is in this crate.
fn origin(module: &Module, path: &str, sources: &Sources) -> Option<Module> {
    let (target, item) = target(module, path, sources)?;
    let Some(item) = item else {
        return Some(target).filter(|target| !module.starts_with(target)); // a module, which is used by other paths
    };
    let source = sources.get(&target)?;
    match source.exported.get(&item) {
        Some(exported) => origin(&target, exported, sources),
        // without a definition it is a macro's, or imported there from another crate
        None if module.starts_with(&target) => source.defined.contains(&item).then_some(target),
        None => Some(target),
    }
}

/// The module of a path, and the name of the item after it.
fn target(module: &Module, path: &str, sources: &Sources) -> Option<(Module, Option<String>)> {
    let mut parts = path.split(" as ").next()?.split("::").map(str::trim).peekable();
    let mut base = module.clone();
    match *parts.peek()? {
        "crate" => {
            base.clear();
            parts.next();
        }
        "self" => _ = parts.next(),
        "super" => {
            while parts.next_if_eq(&"super").is_some() {
                base.pop();
            }
        }
        child if sources.contains_key(&[module.as_slice(), &[child.to_owned()]].concat()) => {}
        _ => return None,
    }
    Some(deepest(base, parts, sources))
}

/// Follows the parts of a path from a module to the deepest module.
fn deepest<'a>(
    mut module: Module,
    mut parts: impl Iterator<Item = &'a str>,
    sources: &Sources,
) -> (Module, Option<String>) {
    loop {
        let Some(part) = parts.next() else { return (module, None) };
        module.push(part.to_owned());
        if !sources.contains_key(&module) {
            module.pop();
            return (module, Some(part.to_owned()));
        }
    }
}

#[test]
fn a_parent_and_its_child_that_import_each_other_are_a_circle() {
    let crate_of = |root: &str, child: &str| -> Sources {
        [(Module::new(), Source::of(root)), (vec!["a".to_owned()], Source::of(child))].into()
    };
    let uses = "mod a;\nuse a::f;\nfn g() {}\n";
    assert_eq!(in_circles(&crate_of(uses, "use super::g;\nfn f() {}\n")).len(), 2);
    assert_eq!(in_circles(&crate_of("mod a;\nfn g() { a::f() }\n", "use crate::g;\n")).len(), 2);
    assert_eq!(in_circles(&crate_of("mod a;\npub use a::f;\nfn g() {}\n", "use super::g;\nfn f() {}\n")).len(), 0);
    assert_eq!(in_circles(&crate_of(uses, "fn f() {}\n")).len(), 0);
}
