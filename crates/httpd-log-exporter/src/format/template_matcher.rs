//! A template compiled into steps: match what is fixed, find where a value ends, take it or skip it.

use memchr::{memchr, memmem::Finder};

use crate::format::clf::{after_time, ends, quoted};
use crate::format::field::{Field, RequestBuilder, missing};
use crate::format::request::{Details, Request};
use crate::format::template::{Template, Token, ValueShape, Variable};

/// A compiled format.
#[derive(Clone, Debug)]
pub(crate) struct TemplateMatcher {
    steps: Vec<Step>,
    /// Whether a value's end is searched for, so that there may be several ways to read a line.
    searches: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// What stands in every line.
    Literal(Box<[u8]>),
    /// Everything up to `[time] "`: what a client may have put there does not matter.
    ToRequest,
    Value {
        field: Field,
        name: String,
        end: End,
    },
}

/// Where a value ends, and the literal that follows it.
#[derive(Clone, Debug)]
enum End {
    /// At the first quotation mark that is not escaped, with which the literal begins.
    Quote(Box<[u8]>),
    /// After three digits or a hyphen.
    StatusCode(Box<[u8]>),
    /// After digits, or a hyphen.
    Digits(Box<[u8]>),
    /// Before a blank or the literal's first byte.
    Word(Box<[u8]>),
    /// As [`End::Word`], where blanks follow commas or surround colons.
    List(Box<[u8]>),
    /// Where the literal is found; further on, if what follows does not match.
    Search(Box<Finder<'static>>),
    /// Before the path that is the next value.
    BeforePath,
    /// With the line.
    Line,
}

/// Where in a line matching stopped, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateMismatch {
    pub(crate) at: usize,
    step: usize,
}

/// How a line is walked along.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// How often a value may still be taken to end later than where it first could.
    retries: u32,
    /// Whether there must be numbers where numbers are due, a name where a virtual host is, and nothing behind.
    exact: bool,
}

/// How often in one line a value may be taken to end later than where it first could.
const RETRIES: u32 = 32;

impl TemplateMatcher {
    /// Compiles a template. One from which nothing could be counted is refused with the reason.
    pub(crate) fn compile(template: &Template) -> Result<Self, String> {
        let tokens = &with_queries(wanted_once(&template.tokens));
        let fields: Vec<_> = variables(tokens).map(|variable| variable.field).collect();
        if let Some(why) = missing(&fields) {
            return Err(why.to_owned());
        }
        let mut steps = Vec::new();
        let mut from = 0;
        if let Some(request) = skippable_request(tokens).filter(|_| template.escaped) {
            let mut begin = tokens[..request].iter().rposition(is_counted).map_or(0, |at| at + 2);
            // a port tells where the virtual host before it ends
            if begin > 0 && matches!(&tokens[begin], Token::Variable(variable) if variable.shape == ValueShape::Digits)
            {
                begin += 2;
            }
            let before = tokens.get(begin..request).unwrap_or_default();
            // within quotation marks a value may end in what the request's begin with: "x] "
            let fixed: Vec<u8> = before.iter().filter_map(Token::literal).flatten().copied().collect();
            if fixed.contains(&b'[') && fixed.iter().filter(|&&byte| byte == b'"').count() == 1 {
                compile_range(tokens, 0, begin, template.escaped, &mut steps)?;
                steps.push(Step::ToRequest);
                from = request;
            }
        }
        compile_range(tokens, from, tokens.len(), template.escaped, &mut steps)?;
        let searches = steps.iter().any(|step| matches!(step, Step::Value { end: End::Search(_), .. }));
        Ok(Self { steps, searches })
    }

    /// The fields that are taken.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let field = |step: &Step| match step {
            Step::Value { field, .. } => Some(*field),
            _ => None,
        };
        self.steps.iter().filter_map(field).collect()
    }

    /// The request of a line; `None` for one that does not have the format.
    #[inline]
    pub(crate) fn read<'a>(&self, line: &'a [u8]) -> Option<(Request<'a>, Details<'a>)> {
        let mut builder = RequestBuilder::NEW;
        self.walk(line, &mut |_, field, text| builder.set(field, text)).ok()?;
        builder.finish()
    }

    /// Hands over every value with its step and what it means. Of several ways to read a line the one on which everything
    /// is what it should be is the right one.
    pub(crate) fn walk<'a>(
        &self,
        line: &'a [u8],
        each: &mut impl FnMut(usize, Field, &'a [u8]),
    ) -> Result<(), TemplateMismatch> {
        let mut way = |exact| self.walk_from(0, line, 0, &mut Way { retries: RETRIES, exact }, each);
        if self.searches && way(true).is_ok() {
            return Ok(());
        }
        way(false)
    }

    /// The name of a step's value.
    pub(crate) fn name(&self, step: usize) -> &str {
        match &self.steps[step] {
            Step::Value { name, .. } => name,
            Step::Literal(_) | Step::ToRequest => "(before the request)",
        }
    }

    /// What was expected where matching stopped.
    pub(crate) fn expected(&self, stop: &TemplateMismatch) -> String {
        let shown = |text: &[u8]| format!("'{}'", String::from_utf8_lossy(text));
        match self.steps.get(stop.step) {
            None => "a blank or the end of the line".to_owned(),
            Some(Step::Literal(text)) => shown(text),
            Some(Step::ToRequest) => "[time] and then the request in quotation marks".to_owned(),
            Some(Step::Value { name, end, .. }) => match end {
                End::StatusCode(then) | End::Digits(then) | End::Word(then) | End::List(then) | End::Quote(then)
                    if !then.is_empty() =>
                {
                    format!("{name} and then {}", shown(then))
                }
                End::Search(finder) => format!("{name} and then {}", shown(finder.needle())),
                _ => name.clone(),
            },
        }
    }

    fn walk_from<'a>(
        &self,
        first: usize,
        line: &'a [u8],
        mut at: usize,
        way: &mut Way,
        each: &mut impl FnMut(usize, Field, &'a [u8]),
    ) -> Result<(), TemplateMismatch> {
        for (index, step) in self.steps.iter().enumerate().skip(first) {
            let stop = |at| Err(TemplateMismatch { at, step: index });
            let text = &line[at..];
            let (field, end) = match step {
                Step::Literal(literal) if text.starts_with(literal) => {
                    at += literal.len();
                    continue;
                }
                Step::Literal(_) => return stop(at),
                Step::ToRequest => {
                    let Some(rest) = after_time(text) else { return stop(at) };
                    let before = &text[..text.len() - rest.len() - b"] \"".len()];
                    each(index, Field::Time, before);
                    at = line.len() - rest.len();
                    continue;
                }
                Step::Value { field, end, .. } => (*field, end),
            };
            let (length, then) = match end {
                End::Quote(then) => match quoted(text) {
                    Some((value, _)) => (value.len(), then),
                    None => return stop(line.len()),
                },
                End::StatusCode(then) => (status(text), then),
                End::Digits(then) => match text {
                    [b'-', ..] => (1, then),
                    _ => (text.iter().take_while(|byte| byte.is_ascii_digit()).count(), then),
                },
                End::Word(then) => {
                    let stops = then.first().copied().unwrap_or(b' ');
                    (text.iter().position(|&byte| byte == stops || byte == b' ').unwrap_or(text.len()), then)
                }
                End::List(then) => (list(text, then.first().copied().unwrap_or(b' ')), then),
                End::BeforePath => {
                    let length = before_path(text);
                    each(index, field, &text[..length]);
                    at += length;
                    continue;
                }
                End::Line => {
                    each(index, field, text);
                    return Ok(());
                }
                End::Search(finder) => return self.search(index, field, finder, line, at, way, each),
            };
            // between two literals a server may have nothing to say
            let needed =
                matches!(end, End::StatusCode(_) | End::Digits(_)) || matches!(end, End::Word(_)) && then.is_empty();
            if length == 0 && needed {
                return stop(at);
            }
            if way.exact && !is_plausible(field, &text[..length]) {
                return stop(at);
            }
            if !text[length..].starts_with(then) {
                return stop(at + length);
            }
            each(index, field, &text[..length]);
            at += length + then.len();
        }
        // further fields, which a server was told to add, are skipped over
        if line.len() == at || !way.exact && ends(&line[at..]) {
            Ok(())
        } else {
            Err(TemplateMismatch { at, step: self.steps.len() })
        }
    }

    /// Takes a value to end where the literal after it is found and the rest of the line matches.
    #[expect(clippy::too_many_arguments, reason = "the state of a walk, which lives on the stack")]
    fn search<'a>(
        &self,
        step: usize,
        field: Field,
        finder: &Finder<'static>,
        line: &'a [u8],
        at: usize,
        way: &mut Way,
        each: &mut impl FnMut(usize, Field, &'a [u8]),
    ) -> Result<(), TemplateMismatch> {
        let mut from = at;
        let mut farthest = TemplateMismatch { at, step };
        loop {
            let Some(found) = find(finder, &line[from..]) else {
                // HAProxy cuts a line that is too long for syslog, and the request is what it ends with
                if field == Field::Request && step + 1 == self.steps.len() {
                    each(step, field, &line[at..]);
                    return Ok(());
                }
                return Err(farthest);
            };
            let end = from + found;
            if way.exact && !is_plausible(field, &line[at..end]) {
                return Err(farthest);
            }
            each(step, field, &line[at..end]);
            match self.walk_from(step + 1, line, end + finder.needle().len(), way, each) {
                Ok(()) => return Ok(()),
                Err(stop) if stop.at > farthest.at || from == at => farthest = stop,
                Err(_) => {}
            }
            if way.retries == 0 || way.exact && step + 1 == self.steps.len() {
                return Err(farthest);
            }
            way.retries -= 1;
            from = end + 1;
        }
    }
}

#[inline]
fn find(finder: &Finder<'static>, text: &[u8]) -> Option<usize> {
    match finder.needle() {
        [byte] => memchr(*byte, text),
        _ => finder.find(text),
    }
}

#[inline]
fn status(text: &[u8]) -> usize {
    match text {
        [b'-', b'1', ..] => 2,
        [a, b, c, ..] if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() => 3,
        [b'-' | b'0', ..] => 1,
        _ => 0,
    }
}

/// Whether a value can be what it is to mean.
fn is_plausible(field: Field, value: &[u8]) -> bool {
    match field {
        Field::Vhost => !value.iter().any(|byte| b" \"".contains(byte)),
        _ if field.is_number() => value.iter().all(|byte| b"0123456789.-+,: ".contains(byte)),
        _ => true,
    }
}

/// How much stands before a path: one begins with a slash, or is `*`, or a hyphen for none.
fn before_path(text: &[u8]) -> usize {
    let end = text.iter().position(|byte| b"/* ".contains(byte)).unwrap_or(text.len());
    match &text[..end] {
        [before @ .., b'-'] if text.get(end).is_none_or(|&byte| byte == b' ') => before.len(),
        _ => end,
    }
}

/// How long a list of nginx is (`a, b : c`), which may have empty places.
fn list(text: &[u8], stops: u8) -> usize {
    let mut at = 0;
    loop {
        let item = text[at..].iter().position(|&byte| byte == stops || matches!(byte, b' ' | b','));
        let Some(item) = item else { return text.len() };
        at += item;
        match &text[at..] {
            [b',', b' ', ..] => at += 2,
            [b' ', b':', b' ', ..] => at += 3,
            [b',', ..] if stops != b',' => at += 1,
            _ => return at,
        }
    }
}

/// The tokens with each meaning once: the best of those that mean the same, the others skipped.
fn wanted_once(tokens: &[Token]) -> Vec<Token> {
    let mut wanted = tokens.to_vec();
    for token in &mut wanted {
        if let Token::Variable(variable) = token
            && variables(tokens).any(|other| other.field.same(variable.field) && other.rank < variable.rank)
        {
            variable.field = Field::Skip;
        }
    }
    wanted
}

/// The tokens with a path and what follows it at once (`%U%q`, `$uri$is_args$args`) as one.
fn with_queries(mut tokens: Vec<Token>) -> Vec<Token> {
    let is = |token: &Token, field| matches!(token, Token::Variable(variable) if variable.field == field);
    let mut at = 1;
    while at < tokens.len() {
        if is(&tokens[at - 1], Field::Path) && is(&tokens[at], Field::Skip) {
            tokens.remove(at);
        } else {
            at += 1;
        }
    }
    tokens
}

fn variables(tokens: &[Token]) -> impl Iterator<Item = &Variable> {
    tokens.iter().filter_map(|token| match token {
        Token::Variable(variable) => Some(variable),
        Token::Literal(_) => None,
    })
}

fn is_counted(token: &Token) -> bool {
    matches!(token, Token::Variable(variable) if !matches!(variable.field, Field::Skip | Field::Time))
}

/// Where the request line stands, if it does so as in the common log format: `[time] "request"`.
fn skippable_request(tokens: &[Token]) -> Option<usize> {
    tokens
        .windows(3)
        .position(|window| match window {
            [Token::Literal(before), Token::Variable(variable), Token::Literal(after)] => {
                variable.field == Field::Request && before.ends_with(b"] \"") && after.starts_with(b"\"")
            }
            _ => false,
        })
        .map(|at| at + 1)
}

fn compile_range(tokens: &[Token], from: usize, to: usize, escaped: bool, steps: &mut Vec<Step>) -> Result<(), String> {
    let mut at = from;
    while at < to {
        let Token::Variable(variable) = &tokens[at] else {
            if let Token::Literal(text) = &tokens[at] {
                steps.push(Step::Literal(text.clone().into()));
            }
            at += 1;
            continue;
        };
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        let end = match tokens.get(at + 1) {
            None => last(variable),
            Some(Token::Literal(then)) => {
                at += 1; // matched with the value before it
                let in_quotes = matches!(before, Some(Token::Literal(text)) if text.ends_with(b"\""));
                followed(variable, then, in_quotes && escaped && then.starts_with(b"\""))
            }
            Some(Token::Variable(next)) => match variable.shape {
                ValueShape::StatusCode => End::StatusCode([].into()),
                ValueShape::Digits => End::Digits([].into()),
                _ if next.field == Field::Path => End::BeforePath,
                _ if matches!(variable.field, Field::StatusCode | Field::Request | Field::Method) => {
                    return Err(format!("nothing stands between {} and {}", variable.name, next.name));
                }
                _ => {
                    at += 1; // both are skipped as one
                    continue;
                }
            },
        };
        steps.push(Step::Value { field: variable.field, name: variable.name.clone(), end });
        at += 1;
    }
    Ok(())
}

fn last(variable: &Variable) -> End {
    match variable.shape {
        ValueShape::StatusCode => End::StatusCode([].into()),
        ValueShape::Digits => End::Digits([].into()),
        ValueShape::Word => End::Word([].into()),
        ValueShape::List => End::List([].into()),
        ValueShape::StateText => End::Line,
    }
}

fn followed(variable: &Variable, then: &[u8], in_quotes: bool) -> End {
    match variable.shape {
        _ if in_quotes => End::Quote(then.into()),
        ValueShape::StatusCode => End::StatusCode(then.into()),
        ValueShape::Digits => End::Digits(then.into()),
        ValueShape::Word => End::Word(then.into()),
        ValueShape::List => End::List(then.into()),
        ValueShape::StateText => End::Search(Box::new(Finder::new(then).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::request::{Method, Number, StatusCode, Upstream};
    use crate::format::template;

    fn compile(text: &str) -> TemplateMatcher {
        TemplateMatcher::compile(&template::parse(text).unwrap()).unwrap()
    }

    /// Method, status and bytes as they would be counted.
    fn read(steps: &TemplateMatcher, line: &str) -> Option<(&'static str, String, Number)> {
        let (request, _) = steps.read(line.as_bytes())?;
        Some((Method::NAMES[request.method.index()], StatusCode::label(request.status.index()), request.bytes))
    }

    const COMBINED: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;

    #[test]
    fn combined_as_nginx_and_apache_spell_it_is_read_as_the_preset_is() {
        let apache = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;
        for steps in [compile(COMBINED), compile(apache)] {
            let lines =
                include_str!("../../tests/lines/combined.txt").lines().map(|line| line.split_once('\t').unwrap().1);
            for line in lines.chain(include_str!("../../tests/lines/unmatched.txt").lines()) {
                let expected = crate::format::clf::combined(line.as_bytes()).filter(|_| line.ends_with('"'));
                let (request, _) = steps.read(line.as_bytes()).unzip();
                assert_eq!(request, expected, "{line}");
            }
        }
    }

    #[test]
    fn a_virtual_host_stands_before_and_its_port_is_not_part_of_it() {
        let steps = compile(r#"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#);
        let line = br#"www.example.com:443 ::1 - x [20/Nov/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#;
        assert_eq!(steps.read(line).unwrap().1.vhost, Some(&b"www.example.com"[..]));
        let line = br#"2001:db8::1:443 ::1 - x [20/Nov/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#;
        assert_eq!(steps.read(line).unwrap().1.vhost, Some(&b"2001:db8::1"[..]));
    }

    #[test]
    fn lists_of_servers_that_were_asked_are_one_field_each() {
        let steps = compile(
            "$remote_addr [$upstream_addr] $upstream_response_length $upstream_response_time $upstream_status $request_method $status",
        );
        let line = b"::1 [10.0.0.1:80, 10.0.0.2:80 : unix:/x] -, 5 : 7 0.001, 0.002 : - 502, 200 : 200 PUT 204";
        let (request, details) = steps.read(line).unwrap();
        assert_eq!(request.status.index(), 204);
        assert_eq!(details.upstream[Upstream::Response as usize], Number::Value(3_000_000));
        let line = b"::1 []   200 PUT 204";
        assert_eq!(steps.read(line).unwrap().1.upstream[Upstream::Response as usize], Number::Absent);
    }

    #[test]
    fn values_with_blanks_end_where_the_rest_of_the_line_matches() {
        let steps = compile("$remote_addr $request $status $body_bytes_sent $sent_http_content_type $request_time");
        for (line, status) in [
            ("::1 GET / HTTP/1.1 200 5 text/html 0.1", "200"),
            ("::1 GET /a 4 b HTTP/1.1 200 5 text/html 0.1", "200"),
            ("::1 - 408 - - 0.1", "408"),
        ] {
            assert_eq!(read(&steps, line).unwrap().1, status, "{line}");
        }
        let (request, _) = steps.read(b"::1 GET /x y HTTP/1.1 200 5 text/html; charset=utf-8 0.250").unwrap();
        assert_eq!(request.line, b"GET /x y HTTP/1.1");
    }

    #[test]
    fn of_several_ways_to_read_a_line_the_one_with_numbers_where_they_are_due_is_taken() {
        let steps = compile("$status ($body_bytes_sent) $sent_http_content_type $request_time $request_method");
        let duration = |line: &str| steps.read(line.as_bytes()).unwrap().0.duration;
        assert_eq!(duration("200 (5) text/html; charset=utf-8 0.250 GET"), Number::Value(250_000_000));
        assert_eq!(duration("200 (5) text/html abc GET"), Number::Wrong, "there is no other way");
        let raw =
            compile(r#"log_format x escape=none '"$http_user_agent" "$host" $request_time $status $request_method';"#);
        let (request, details) = raw.read(br#""x" 500 "7" " "www.example.com" 0.5 200 GET"#).unwrap();
        assert_eq!((request.status.index(), details.vhost), (200, Some(&b"www.example.com"[..])));
    }

    #[test]
    fn quoted_values_before_the_request_may_end_as_a_time_does() {
        let steps = compile(r#""$http_x_forwarded_for" - "$remote_user" [$time_local] "$request" $status"#);
        let line = r#""-" - "u] " [20/Nov/2026:09:26:10 +0000] "GET / HTTP/1.1" 200"#;
        assert_eq!(read(&steps, line), Some(("GET", "200".to_owned(), Number::Absent)));
    }

    #[test]
    fn a_path_has_its_query_behind_it_and_a_virtual_host_before_it() {
        let path = |format: &str, line: &str| {
            let (_, details) = compile(format).read(line.as_bytes()).unwrap();
            let text = |part: Option<&[u8]>| part.map(|part| String::from_utf8_lossy(part).into_owned());
            (text(details.vhost), text(details.path).unwrap())
        };
        assert_eq!(path(r#"%m "%U%q" %s"#, r#"GET "/a?b" 200"#), (None, "/a".to_owned()));
        assert_eq!(path("$uri$is_args$args $request_method $status", "/a?b=c GET 200"), (None, "/a".to_owned()));
        const WHOLE: &str = "$request_method https://$host$request_uri $status";
        for (line, vhost, expected) in [
            ("GET https://a.example/b?c 200", "a.example", "/b"),
            ("OPTIONS https://a.example* 204", "a.example", "*"),
            ("- https://a.example- 400", "a.example", "-"),
        ] {
            assert_eq!(path(WHOLE, line), (Some(vhost.to_owned()), expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn nothing_between_two_literals_is_an_empty_value() {
        let steps = compile("$request_method $status rt=$request_time; uct=$upstream_connect_time;");
        assert_eq!(steps.read(b"GET 200 rt=; uct=;").unwrap().0.duration, Number::Absent);
    }

    #[test]
    fn keys_tabs_and_positions_of_json_are_literals() {
        for (format, line) in [
            ("st=$status rq=\"$request\" b=$body_bytes_sent", r#"st=200 rq="GET /\" x HTTP/1.1" b=7"#),
            ("$status\t$request\t$body_bytes_sent\tx", "200\tGET / HTTP/1.1\t7\tx"),
            ("$status|$request|$body_bytes_sent", "200|GET / HTTP/1.1|7"),
            (r#"{"s":$status,"r":"$request","b":"$body_bytes_sent"}"#, r#"{"s":200,"r":"GET \"/","b":"7"}"#),
            ("$scheme://$host$request_uri $request_method $status $bytes_sent", "https://x/y?z GET 200 7 more"),
        ] {
            assert_eq!(read(&compile(format), line), Some(("GET", "200".to_owned(), Number::Value(7))), "{format}");
        }
    }

    #[test]
    fn unescaped_values_may_contain_quotation_marks() {
        let steps = compile(r#"log_format x escape=none '"$request" $status "$http_user_agent" $bytes_sent';"#);
        assert!(steps.read(br#""GET /"a" HTTP/1.1" 200 "C:\" 5"#).is_some());
    }

    #[test]
    fn a_client_cannot_forge_fields_from_within_quotation_marks() {
        let steps = compile(COMBINED);
        let line = r#"::1 - - [t] "GET /x\" 500 9 \"-\" \"-" 200 11 "-" "x\" 500 77777 \"""#;
        assert_eq!(read(&steps, line), Some(("GET", "200".to_owned(), Number::Value(11))));
    }

    #[test]
    fn where_matching_stopped_is_told() {
        let steps = compile("$status $request_method $body_bytes_sent");
        let stop = steps.walk(b"200 GET", &mut |_, _, _| {}).unwrap_err();
        assert_eq!((stop.at, steps.expected(&stop)), (7, "$request_method and then ' '".to_owned()));
        let stop = steps.walk(b"2x0 GET 5", &mut |_, _, _| {}).unwrap_err();
        assert_eq!((stop.at, steps.expected(&stop)), (0, "$status and then ' '".to_owned()));
    }

    #[test]
    fn a_format_from_which_nothing_can_be_counted_is_refused() {
        for (text, reason) in [
            ("$request_method $bytes_sent", "no status"),
            ("$status $bytes_sent", "no request"),
            ("$status $request$http_referer", "nothing stands between"),
        ] {
            let error = TemplateMatcher::compile(&template::parse(text).unwrap()).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn many_places_where_a_value_could_end_do_not_take_for_ever() {
        let steps = compile("$remote_addr $http_a $http_b $request $status");
        let line = "a ".repeat(100_000);
        assert!(steps.read(line.as_bytes()).is_none());
    }
}
