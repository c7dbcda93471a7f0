//! Names for paths: the flag `--metrics.route`.

use std::fmt::Write as _;
use std::str::FromStr;

use regex::bytes::Regex;

use crate::metrics::label::OTHER;
use crate::metrics::pattern;

/// A name for requests whose path matches a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) pattern: Regex,
}

/// All routes. Several patterns can have the same name.
#[derive(Debug)]
pub(crate) struct Routes {
    names: Vec<String>,
    /// In the order of the flags, each with the index of its name.
    patterns: Vec<(Regex, usize)>,
}

impl Routes {
    /// Joins routes with the same name.
    pub(crate) fn new(routes: Vec<Route>) -> Self {
        let (mut names, mut patterns) = (Vec::new(), Vec::new());
        for Route { name, pattern } in routes {
            let known = names.iter().position(|known| *known == name);
            patterns.push((pattern, known.unwrap_or(names.len())));
            if known.is_none() {
                names.push(name);
            }
        }
        Self { names, patterns }
    }

    /// Whether there are no routes.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The number of names.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The name with an index; beyond the last one it is `other`.
    pub(crate) fn name(&self, index: usize) -> &str {
        self.names.get(index).map_or(OTHER, String::as_str)
    }

    /// The index of the name of a path.
    pub(crate) fn index(&self, path: &[u8]) -> usize {
        let found = self.patterns.iter().find(|(pattern, _)| pattern.is_match(path));
        found.map_or(self.names.len(), |(_, index)| *index)
    }

    /// The index of a name that may be one of an earlier process.
    pub(crate) fn index_of(&self, name: Option<&str>) -> usize {
        self.names.iter().position(|known| Some(known.as_str()) == name).unwrap_or(self.names.len())
    }
}

impl Route {
    /// Creates a name for paths that match a regular expression.
    pub(crate) fn new(name: &str, pattern: &str) -> Result<Self, String> {
        match name {
            "" | OTHER => Err("the name of a route must not be empty or 'other'".to_owned()),
            _ => Ok(Self { name: name.to_owned(), pattern: pattern::compile(pattern)? }),
        }
    }

    /// Creates a route whose name is a template.
    pub(crate) fn of_template(text: &str) -> Result<Self, String> {
        Ok(Self { name: text.to_owned(), pattern: template(text)? })
    }
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, pattern)) => Self::new(name, pattern),
            None => Self::of_template(text),
        }
    }
}

/// The expression for a template such as `/users/:id/*`.
fn template(text: &str) -> Result<Regex, String> {
    let path = text.strip_prefix('/').ok_or("expected NAME=REGEX or a template such as /users/:id")?;
    let mut pattern = "^".to_owned();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let parameter = segment.strip_prefix(':').or(segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')));
        match (segment, parameter) {
            ("*", _) if segments.peek().is_none() => pattern += "/(?s-u:.*)",
            (_, Some(name)) if is_name(name) => pattern += "/(?-u:[^/]+)",
            _ if !segment.contains(['{', '}', '*', '?', '<', '>']) && parameter.is_none() => {
                let _ = write!(pattern, "/{}", regex::escape(segment));
            }
            _ => {
                return Err(format!(
                    "'{segment}' is not a segment of a template: a segment is text, :NAME or {{NAME}}, with a NAME of letters, digits and _; the last one can be *; for other paths use NAME=REGEX"
                ));
            }
        }
    }
    pattern::compile(&(pattern + "$"))
}

/// Whether a text can be the name of a parameter.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_a_name_and_a_pattern() {
        let route: Route = "api=^/api/(v=1)?".parse().unwrap();
        assert_eq!((route.name.as_str(), route.pattern.as_str()), ("api", "^/api/(v=1)?"));
        let route: Route = "/users/:id=^/users/[0-9]+$".parse().unwrap();
        assert_eq!((route.name.as_str(), route.pattern.as_str()), ("/users/:id", "^/users/[0-9]+$"));
        let route: Route = "/api=/api/".parse().unwrap();
        assert_eq!((route.name.as_str(), route.pattern.as_str()), ("/api", "/api/"));
        for (text, expected) in [
            ("", "expected NAME=REGEX or a template"),
            ("api", "expected NAME=REGEX or a template"),
            ("=x", "the name of a route must not be empty"),
            ("other=x", "the name of a route must not be empty"),
            ("api=(", "'(' is not a regular expression"),
            ("/a/:", "':' is not a segment"),
            ("/a/*/b", "'*' is not a segment"),
            ("/a/x{id}", "'x{id}' is not a segment"),
            ("/a/{}", "'{}' is not a segment"),
            (r"/a/:id(\d+)", r"':id(\d+)' is not a segment"),
            ("/a/:id.json", "':id.json' is not a segment"),
            ("/a/:id?", "':id?' is not a segment"),
            ("/a/{path...}", "'{path...}' is not a segment"),
            ("/{$}", "'{$}' is not a segment"),
            ("/a/<id>", "'<id>' is not a segment"),
            ("/a?", "'a?' is not a segment"),
        ] {
            let error = text.parse::<Route>().unwrap_err();
            assert!(error.starts_with(expected) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn a_template_matches_whole_paths() {
        for (template, paths, others) in [
            (
                "/users/:id",
                &["/users/7", "/users/a.b", "/users/\u{fffd}"][..],
                &["/users/", "/users", "/users/7/x", "/x/users/7"][..],
            ),
            ("/users/{id}/orders/:order", &["/users/7/orders/8"], &["/users/7/orders", "/users//orders/8"]),
            ("/static/*", &["/static/", "/static/a/b.css"], &["/static", "/statics/a"]),
            ("/a.b+c", &["/a.b+c"], &["/aXb+c", "/a.b+c/"]),
            ("/", &["/"], &["", "/x"]),
        ] {
            let route: Route = template.parse().unwrap();
            assert_eq!(route.name, template);
            paths.iter().for_each(|path| assert!(route.pattern.is_match(path.as_bytes()), "{template} {path}"));
            others.iter().for_each(|path| assert!(!route.pattern.is_match(path.as_bytes()), "{template} {path}"));
        }
        assert!("/users/:id".parse::<Route>().unwrap().pattern.is_match(b"/users/\xff"));
    }

    #[test]
    fn the_first_pattern_wins_and_patterns_with_the_same_name_are_joined() {
        let flags = ["api=^/v1/", "/v2/:id", "api=^/v2/"];
        let routes = Routes::new(flags.map(|flag| flag.parse().unwrap()).into());
        let name = |path: &str| routes.name(routes.index(path.as_bytes()));
        assert_eq!(["/v1/x", "/v2/x", "/v2/x/y", "/v3"].map(name), ["api", "/v2/:id", "api", "other"]);
        assert_eq!((routes.len(), routes.index_of(Some("/v2/:id")), routes.index_of(Some("gone"))), (2, 1, 2));
    }
}
