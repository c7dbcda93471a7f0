//! HAProxy's statistics as CSV (`;csv`, `show stat`): one object per line. An empty field is absent.

use std::borrow::Cow;

use super::wrong_format::wrong;
use crate::json::document::{Document, DocumentError};

/// The start of the first line; its version decides about the other columns.
const HEADER: &str = "# pxname,svname,";

pub(super) fn parse(page: &str) -> Result<Document<'_>, DocumentError> {
    if !page.starts_with(HEADER) {
        return wrong(format!("it does not start with \"{HEADER}\""));
    }
    let mut rest = page.trim_start_matches("# ").trim_end();
    let names = record(&mut rest).unwrap_or_default();
    if rest.is_empty() {
        return wrong("no line follows the first one");
    }
    let mut line = 1;
    Document::list(page.len(), |document| {
        while let Some(fields) = record(&mut rest) {
            line += 1;
            if fields.len() != names.len() {
                return wrong(format!("record {line} has {} fields instead of {}", fields.len(), names.len()));
            }
            document.object("", |object| {
                let fields = names.iter().zip(&fields).filter(|(name, value)| !value.is_empty() && *name != "-");
                fields.into_iter().try_for_each(|(name, value)| object.scalar(name, value))
            })?;
        }
        Ok(())
    })
}

/// Takes the fields of the next record, which a quoted field can extend over several lines.
fn record<'p>(rest: &mut &'p str) -> Option<Vec<Cow<'p, str>>> {
    if rest.is_empty() {
        return None;
    }
    let mut fields = Vec::new();
    loop {
        let (field, after) = field(rest);
        // every line ends with a comma
        if !(field.is_empty() && after.starts_with(['\r', '\n']) || after.is_empty() && field.is_empty()) {
            fields.push(field);
        }
        match after.strip_prefix(',') {
            Some(next) => *rest = next,
            None => {
                *rest = after.trim_start_matches(['\r', '\n']);
                return Some(fields);
            }
        }
    }
}

/// The field at the start of a text, and the text after it.
fn field(text: &str) -> (Cow<'_, str>, &str) {
    let Some(mut quoted) = text.strip_prefix('"') else {
        let (field, rest) = text.split_at(text.find([',', '\r', '\n']).unwrap_or(text.len()));
        return (Cow::Borrowed(field), rest);
    };
    let mut field = String::new();
    while let Some((part, rest)) = quoted.split_once('"') {
        field.push_str(part);
        match rest.strip_prefix('"') {
            Some(rest) => {
                field.push('"'); // a quote is written twice
                quoted = rest;
            }
            None => return (Cow::Owned(field), rest),
        }
    }
    (Cow::Owned(field + quoted), "")
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::json;

    #[test]
    fn each_line_is_an_object_without_empty_fields() {
        let document = json("haproxy", include_str!("../../tests/pages/haproxy.csv")).unwrap();
        let rows: serde_json::Value = serde_json::from_str(&document).unwrap();
        let rows = rows.as_array().unwrap();
        let names: Vec<_> = rows.iter().map(|row| format!("{}/{}", row["pxname"], row["svname"])).collect();
        assert_eq!(names.join(" ").replace('"', ""), "web/FRONTEND app/one app/two app/BACKEND");
        assert_eq!((&rows[2]["status"], &rows[2]["last_chk"]), (&"DOWN".into(), &"Connection refused".into()));
        assert_eq!((&rows[0]["h1_bytes_in"], &rows[0]["weight"]), (&74.into(), &serde_json::Value::Null));
        assert_eq!(rows[0].get("-"), None);
    }

    #[test]
    fn quoted_fields_contain_commas_quotes_and_lines() {
        let page = "# pxname,svname,last_chk,\nweb,one,\"no, not \"\"now\"\"\nlater\",\n\"a,b\",,x,\n";
        let expected =
            r#"[{"last_chk":"no, not \"now\"\nlater","pxname":"web","svname":"one"},{"last_chk":"x","pxname":"a,b"}]"#;
        assert_eq!(json("haproxy", page), Ok(expected.to_owned()));
    }

    #[test]
    fn a_line_with_another_number_of_fields_is_an_error() {
        let error = json("haproxy", "# pxname,svname,\n");
        assert_eq!(error, Err("the page is not HAProxy's statistics as CSV: no line follows the first one".to_owned()));
        for page in ["# pxname,svname,status,\nweb,one,\n", "# pxname,svname,\nweb,one,UP,\n", "# pxname,svname,\n\"x"]
        {
            let error = json("haproxy", page).unwrap_err();
            assert!(error.starts_with("the page is not HAProxy's statistics as CSV: record 2 has "), "{error}");
        }
    }
}
