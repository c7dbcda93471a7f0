//! nginx's `stub_status`: four lines of numbers.
//!
//! Source: src/http/modules/ngx_http_stub_status_module.c of nginx.

use super::wrong_format::wrong;
use crate::json::document::{Document, DocumentError};

const HEADER: [&str; 3] = ["accepts", "handled", "requests"];

pub(super) fn parse(page: &str) -> Result<Document<'_>, DocumentError> {
    let lines: Vec<_> = page.lines().map(str::trim).collect();
    let [active, header, counts, states] = lines[..] else {
        return wrong(format!("it has {} lines instead of 4", lines.len()));
    };
    let Some(active) = active.strip_prefix("Active connections: ") else {
        return wrong("line 1 is not \"Active connections: N\"");
    };
    if !header.strip_prefix("server ").is_some_and(|names| names.split(' ').eq(HEADER)) {
        return wrong("line 2 is not \"server accepts handled requests\"");
    }
    let counts: Vec<_> = counts.split(' ').collect();
    if counts.len() != HEADER.len() {
        return wrong("line 3 does not have 3 numbers");
    }
    let words: Vec<_> = states.split(' ').collect();
    let ["Reading:", reading, "Writing:", writing, "Waiting:", waiting] = words[..] else {
        return wrong("line 4 is not \"Reading: N Writing: N Waiting: N\"");
    };
    let values = [("active", active), ("reading", reading), ("writing", writing), ("waiting", waiting)];
    let values: Vec<_> = values.into_iter().chain(HEADER.into_iter().zip(counts)).collect();
    if let Some((name, _)) = values.iter().find(|(_, text)| text.parse::<u64>().is_err()) {
        return wrong(format!("the value of {name} is not a whole number"));
    }
    Document::object(page.len(), |document| values.iter().try_for_each(|(name, value)| document.scalar(name, value)))
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::json;

    const PAGE: &str = include_str!("../../tests/pages/nginx.txt");

    #[test]
    fn the_seven_numbers_are_read() {
        let expected =
            r#"{"accepts":2,"active":1,"handled":2,"reading":0,"requests":2,"waiting":0,"writing":1}"#.to_owned();
        assert_eq!(json("nginx", PAGE), Ok(expected.clone()));
        assert_eq!(json("nginx", &PAGE.replace('\n', "\r\n")), Ok(expected));
    }

    #[test]
    fn another_page_is_an_error_with_its_difference() {
        for (from, to, message) in [
            ("Active", "Open", "line 1 is not \"Active connections: N\""),
            ("handled", "", "line 2 is not \"server accepts handled requests\""),
            (" 2 2 2", " 2 2", "line 3 does not have 3 numbers"),
            ("Waiting", "", "line 4 is not \"Reading: N Writing: N Waiting: N\""),
            (" 2 2 2", " 2 -2 2", "the value of handled is not a whole number"),
            ("Reading: 0 Writing: 1 Waiting: 0 \n", "", "it has 3 lines instead of 4"),
        ] {
            let error = format!("the page is not nginx's stub_status: {message}");
            assert_eq!(json("nginx", &PAGE.replace(from, to)), Err(error));
        }
    }
}
