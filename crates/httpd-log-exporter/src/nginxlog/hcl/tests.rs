//! Tests of the HCL parser.

use super::*;

fn shown(setting: &Setting) -> String {
    match &setting.value {
        SettingValue::Null => "-".to_owned(),
        SettingValue::Text(text) => format!("{text:?}"),
        SettingValue::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(",")),
        SettingValue::Map(map) => {
            let entries = map.iter().map(|(key, setting)| format!("{key}@{}:{}", setting.line, shown(setting)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
    }
}

#[test]
fn settings_and_blocks_become_a_tree() {
    for (text, tree) in [
        ("", "{}"),
        ("\u{feff}port = 4040 # default\n", r#"{port@1:"4040"}"#),
        ("a = .5\nb = [.005, -1, 1e3,]\nc = true", r#"{a@1:".5",b@2:[".005","-1","1e3"],c@3:"true"}"#),
        ("namespace \"a\" {\n  format = \"x\"\n}\n", r#"{namespace@1:{a@1:{format@2:"x"}}}"#),
        ("a \"b\" \"c\" { d = 1 }", r#"{a@1:{b@1:{c@1:{d@1:"1"}}}}"#),
        ("s = { syslog { tags = [\"x\"] } }", r#"{s@1:{syslog@1:{tags@1:["x"]}}}"#),
        ("s = { a = 1, b = 2 }\n\"k e y\" = \"v\"", r#"{s@1:{a@1:"1",b@1:"2"},k e y@2:"v"}"#),
        ("// c\n/* d\n */ a /* e */ = 1", r#"{a@3:"1"}"#),
        (
            r#"f = "$host \"$request\" \\ \t\u00e9\x41""#,
            r#"{f@1:"$host \"$request\" \\ \té"}"#.replace("é", "éA").as_str(),
        ),
        (r#"f = "${a("b")} $c""#, r#"{f@1:"${a(\"b\")} $c"}"#),
        ("f = <<EOF\none\n two\nEOF\ng = 1", r#"{f@1:"one\n two\n",g@5:"1"}"#),
        ("f = <<-EOF\n    one\n      two\n    EOF\n", r#"{f@1:"one\n  two\n"}"#),
    ] {
        assert_eq!(shown(&parse(text).unwrap()), tree, "{text}");
    }
}

#[test]
fn an_error_names_its_line_and_a_remedy() {
    for (text, error) in [
        ("a {\n  b = 1\n", "line 1: unclosed {: add a }"),
        ("a = [1,\n 2", "line 1: unclosed [: add a ]"),
        ("a = [1 2]", "line 1: expected a comma or ]"),
        ("\na = \"x\nb = 1", "line 2: unclosed string: add a quotation mark"),
        ("a = \"\\d\"", "line 1: unknown escape \\d: write \\\\ for a backslash"),
        ("a = \"\\u12\"", "line 1: \\u requires 4 hexadecimal digits"),
        ("a = <<EOF\nx\n", "line 1: unclosed heredoc: add a line with EOF"),
        ("a = ", "line 1: expected a string, a number, true, false, [ or {"),
        ("a", "line 1: unexpected end of the file: expected a value"),
        ("a\n}", "line 2: unexpected '}': expected a name, = or {"),
        ("/* a", "line 1: unclosed comment: add */"),
    ] {
        assert_eq!(parse(text).unwrap_err(), error, "{text}");
    }
    for (begin, opened) in [("", "a = {"), ("a = ", "["), ("", "a "), ("", "a b {"), ("", "\"a\" ")] {
        let text = begin.to_owned() + &opened.repeat(50_000) + "{}\n";
        assert_eq!(parse(&text).unwrap_err(), "line 1: nested too deeply", "{opened}");
    }
}

#[test]
fn any_text_is_parsed_or_refused() {
    // each prefix, and each with one byte removed, of a text with every element
    const TEXT: &str = "a \"é\" { b = [.5, \"${x{}}\\n\"] # c\n d = <<-E\n  é\n  E\n /* f */ } // g\n";
    for (end, _) in TEXT.char_indices() {
        let _ = parse(&TEXT[..end]);
        let mut text = TEXT.to_owned();
        text.remove(end);
        let _ = parse(&text);
    }
}
