//! Rules in a YAML file: `--metrics.file`. The keys of an entry are the parts of the flag with the same meaning.

use std::path::Path;

use anyhow::{Context, Result};
use exporter_common::config::fields::Fields;
use exporter_common::config::small_file;
use exporter_common::yaml::{self, Node, YamlError};

use crate::metrics::drop_rule::DropRule;
use crate::metrics::field_metric::FieldMetric;
use crate::metrics::label::Label;
use crate::metrics::route::Route;
use crate::metrics::rules::Rules;

/// Reads the rules in a file.
pub(crate) fn read(path: &Path) -> Result<Rules> {
    let what = || format!("--metrics.file {}", path.display());
    let text = small_file::read_to_string(path).with_context(what)?;
    parse(&text).with_context(what)
}

/// Parses the text of a file.
pub(crate) fn parse(text: &str) -> yaml::Result<Rules> {
    let mut fields = Fields::of(yaml::parse(text)?, "the file")?;
    let rules = Rules {
        labels: entries(&mut fields, "labels", label)?,
        routes: entries(&mut fields, "routes", route)?,
        drops: entries(&mut fields, "drop", drop_rule)?,
        counters: entries(&mut fields, "counters", counter)?,
        histograms: entries(&mut fields, "histograms", histogram)?,
    };
    fields.end()?;
    Ok(rules)
}

/// The entries of a list.
fn entries<T>(
    fields: &mut Fields,
    key: &'static str,
    parse: fn(&mut Fields) -> yaml::Result<Result<T, String>>,
) -> yaml::Result<Vec<T>> {
    let entry = |node: Node| {
        let line = node.line;
        let mut fields = Fields::of(node, format!("an entry of {key}"))?;
        let parsed = parse(&mut fields)?;
        fields.end()?;
        parsed.map_err(|error| YamlError::new(line, error))
    };
    fields.list(key)?.into_iter().map(entry).collect()
}

fn label(fields: &mut Fields) -> yaml::Result<Result<Label, String>> {
    let (_, name) = fields.required("name")?;
    let (_, field) = fields.required("field")?;
    let (regex, value) = (fields.text("regex")?, fields.text("value")?);
    if regex.is_none() && value.is_some() {
        return Ok(Err("value needs a regex".to_owned()));
    }
    Ok(Label::new(&name, &field, regex.as_deref().map(|regex| (regex, value.as_deref()))))
}

fn route(fields: &mut Fields) -> yaml::Result<Result<Route, String>> {
    if let Some(template) = fields.text("template")? {
        return Ok(Route::of_template(&template));
    }
    let (_, name) = fields.required("name")?;
    let (_, regex) = fields.required("regex")?;
    Ok(Route::new(&name, &regex))
}

fn drop_rule(fields: &mut Fields) -> yaml::Result<Result<DropRule, String>> {
    let (_, field) = fields.required("field")?;
    let (_, regex) = fields.required("regex")?;
    Ok(DropRule::new(&field, &regex))
}

fn counter(fields: &mut Fields) -> yaml::Result<Result<FieldMetric, String>> {
    let (_, name) = fields.required("name")?;
    let (_, field) = fields.required("field")?;
    Ok(FieldMetric::new(&name, &field, None))
}

fn histogram(fields: &mut Fields) -> yaml::Result<Result<FieldMetric, String>> {
    let (_, name) = fields.required("name")?;
    let (_, field) = fields.required("field")?;
    let buckets = fields.texts("buckets")?.join(",");
    Ok(FieldMetric::new(&name, &field, Some(Some(buckets.as_str()).filter(|buckets| !buckets.is_empty()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_parts_of_flags() {
        let rules = parse(
            "labels:\n\
             - {name: scheme, field: $scheme}\n\
             - name: browser\n  field: '%{User-Agent}i'\n  regex: (Firefox|Chrome)/\n  value: $1\n\
             routes:\n- template: /users/:id\n- {name: api, regex: ^/api/}\n\
             drop:\n- {field: path, regex: ^/healthz$}\n\
             counters:\n- {name: x_bytes_total, field: bytes}\n\
             histograms:\n- {name: x_bytes, field: $bytes, buckets: [10, 1e3]}\n- {name: y_seconds, field: y}\n",
        )
        .unwrap();
        let names: Vec<_> = rules.labels.iter().map(|label| (label.name.as_str(), label.field.as_str())).collect();
        assert_eq!(names, [("scheme", "scheme"), ("browser", "%{User-Agent}i")]);
        assert_eq!(rules.routes.iter().map(|route| route.name.as_str()).collect::<Vec<_>>(), ["/users/:id", "api"]);
        assert_eq!((rules.drops[0].field.as_str(), rules.drops[0].pattern.as_str()), ("path", "^/healthz$"));
        assert_eq!(rules.counters[0], FieldMetric::counter("x_bytes_total=bytes").unwrap());
        assert_eq!(rules.histograms[0], FieldMetric::histogram("x_bytes=bytes:10,1000").unwrap());
        assert_eq!(rules.histograms[1], FieldMetric::histogram("y_seconds=y").unwrap());
        assert!(parse("").unwrap().labels.is_empty());
    }

    #[test]
    fn mistakes_have_a_line() {
        for (text, expected) in [
            ("label: []\n", "line 1: unknown key label in the file; did you mean labels?"),
            ("labels:\n- {name: a}\n", "line 2: missing key field in an entry of labels"),
            (
                "labels:\n- {name: a, field: b, regexp: c}\n",
                "line 2: unknown key regexp in an entry of labels; did you mean regex?",
            ),
            ("labels:\n- {name: a, field: b, value: c}\n", "line 2: value needs a regex"),
            ("labels:\n- {name: a-b, field: b}\n", "line 2: 'a-b' is not a label name: use letters, digits and _"),
            ("labels: x\n", "line 1: labels: expected a list"),
            ("labels:\n- x\n", "line 2: an entry of labels: expected a map"),
            ("routes:\n- {name: a, regex: (}\n", "line 2: '(' is not a regular expression: unclosed group"),
            ("routes:\n- {template: users}\n", "line 2: expected NAME=REGEX or a template such as /users/:id"),
            ("counters:\n\n- {name: x, field: y}\n", "line 3: the name 'x' of a counter must end in _total"),
            ("histograms:\n- {name: x, field: y, buckets: [2, 1]}\n", "line 2: the bounds must be in ascending order"),
            ("histograms:\n- {name: x, field: y}\n", "line 2: 'x' has no default buckets"),
            ("drop:\n- {field: x}\n", "line 2: missing key regex in an entry of drop"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
