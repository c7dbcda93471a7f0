//! Parser of lines that are JSON objects: fields are found by key, in any order.

#[cfg(test)]
mod tests;

use memchr::memchr2;

use crate::format::field::{Field, NAMES, RequestBuilder, missing};
use crate::format::request::Number;
use crate::format::template::{Template, Token, Variable};

/// The keys to read from an object.
#[derive(Clone, Debug)]
pub(crate) struct JsonFormat {
    root: Vec<Key>,
    /// Whether a key with dots equals nested keys. Searching them would slow down the formats whose servers never write them.
    pub(crate) has_dotted_keys: bool,
}

/// A key of an object. Its value is a field, or an object with child keys.
#[derive(Clone, Debug)]
struct Key {
    name: Box<[u8]>,
    field: Field,
    /// Of several keys with the same meaning, the one with the lowest rank is read.
    rank: usize,
    path: String,
    /// Its index among the captured fields.
    capture: Option<usize>,
    children: Vec<Key>,
}

/// The byte offset at which a line stopped to match, and the token expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonMismatch {
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
}

impl JsonFormat {
    /// Creates the format from dotted key paths, the preferred ones first.
    pub(crate) fn new<'a>(paths: impl IntoIterator<Item = (&'a str, Field)>) -> Result<Self, String> {
        let mut json = Self { root: Vec::new(), has_dotted_keys: false };
        for (rank, (path, field)) in paths.into_iter().enumerate() {
            let key = key_at(&mut json.root, path, path);
            (key.field, key.rank) = (field, rank);
        }
        parents_first(&mut json.root);
        match missing(&json.fields()) {
            Some(why) => Err(why.to_owned()),
            None => Ok(json),
        }
    }

    /// The format that captures keys of the object, dots included, and reads its time.
    pub(crate) fn of_keys(names: &[&str]) -> Self {
        let times = NAMES.iter().filter(|(_, field)| *field == Field::Time).map(|(name, _)| *name);
        let mut root: Vec<_> = times.map(|name| Key { field: Field::Time, ..Key::skipped(name, name) }).collect();
        for (index, name) in names.iter().enumerate() {
            match root.iter_mut().find(|key| *key.name == *name.as_bytes()) {
                Some(key) => key.capture = Some(index),
                None => root.push(Key { capture: Some(index), ..Key::skipped(name, name) }),
            }
        }
        Self { root, has_dotted_keys: false }
    }

    /// Creates the format from a server's template that is a JSON object with one variable per value. `None` if a
    /// counted value combines several variables, so that only [`TemplateMatcher`] can split it.
    ///
    /// [`TemplateMatcher`]: crate::format::template_matcher::TemplateMatcher
    pub(crate) fn from_template(template: &Template) -> Option<Self> {
        // replace every variable by its number between two bytes that no format contains
        let mut text = Vec::new();
        let mut variables = Vec::new();
        for token in &template.tokens {
            match token {
                Token::Literal(literal) => text.extend_from_slice(literal),
                Token::Variable(variable) => {
                    text.push(MARK);
                    text.extend_from_slice(variables.len().to_string().as_bytes());
                    text.push(MARK);
                    variables.push(variable);
                }
            }
        }
        let mut leaves = Vec::new();
        let mut scanner = Scanner { text: &text, at: 0 };
        scanner.leaves("", &mut leaves).ok()?;
        let mut wanted: Vec<(usize, String, Field)> = Vec::new();
        let mut captured = Vec::new();
        for (path, value) in leaves {
            match variable_of(value, &variables) {
                Some(variable) => {
                    captured.extend(variable.capture.map(|index| (index, path.clone())));
                    wanted.push((variable.rank, path, variable.field));
                }
                None if mentions_counted(value, &variables) => return None,
                None => {}
            }
        }
        wanted.sort_by_key(|(rank, ..)| *rank);
        let mut json = Self::new(wanted.iter().map(|(_, path, field)| (path.as_str(), *field))).ok()?;
        captured.iter().for_each(|(index, path)| json.capture(path, *index));
        json.has_dotted_keys |= wanted.iter().any(|(_, path, _)| path.contains('.'));
        Some(json)
    }

    /// Captures the value of a dotted key path, whatever it means.
    pub(crate) fn capture(&mut self, path: &str, index: usize) {
        key_at(&mut self.root, path, path).capture = Some(index);
        parents_first(&mut self.root);
        self.has_dotted_keys |= path.contains('.');
    }

    /// The fields to read.
    pub(crate) fn fields(&self) -> Vec<Field> {
        fn collect(keys: &[Key], fields: &mut Vec<Field>) {
            for key in keys {
                fields.push(key.field);
                collect(&key.children, fields);
            }
        }
        let mut fields = Vec::new();
        collect(&self.root, &mut fields);
        fields
    }

    /// Reads the fields of a line; false if it is not an object.
    pub(crate) fn read<'a>(&self, line: &'a [u8], request: &mut RequestBuilder<'a>) -> bool {
        // the rank of the key read so far, for each meaning
        let mut ranks = [usize::MAX; Field::KINDS];
        self.walk(line, &mut |key, value| {
            let best = &mut ranks[key.field().kind()];
            if key.0.rank < *best {
                *best = key.0.rank;
                match (key.field(), exponent(key.field(), value)) {
                    (Field::Duration(_), Some(duration)) => request.set_duration(duration),
                    (field, _) => request.set(field, value),
                }
            }
        })
        .is_ok()
    }

    /// The single values of a line without a meaning, with their dotted paths.
    pub(crate) fn other_values<'a>(&self, line: &'a [u8]) -> Vec<(String, &'a [u8])> {
        let mut values = Vec::new();
        let mut scanner = Scanner { text: line, at: 0 };
        scanner.blanks();
        let _ = scanner.leaves("", &mut values); // the values before a mistake are found
        let has_meaning = |path: &str| find(&self.root, path.as_bytes()).is_some_and(|key| key.field != Field::Skip);
        values.retain(|(path, value)| !value.starts_with(b"[") && !has_meaning(path));
        values
    }

    /// Calls `each` for every value to read.
    pub(crate) fn walk<'a>(
        &self,
        line: &'a [u8],
        each: &mut impl FnMut(MatchedKey<'_>, &'a [u8]),
    ) -> Result<(), JsonMismatch> {
        let mut scanner = Scanner { text: line, at: 0 };
        scanner.blanks();
        match self.has_dotted_keys {
            true => scanner.object::<true>(&self.root, each)?,
            false => scanner.object::<false>(&self.root, each)?,
        }
        scanner.blanks();
        if scanner.at == line.len() { Ok(()) } else { scanner.stop("the end of the line") }
    }
}

/// A key whose value was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MatchedKey<'a>(&'a Key);

impl MatchedKey<'_> {
    /// Its dotted path.
    pub(crate) fn path(&self) -> &str {
        &self.0.path
    }

    /// Its meaning.
    pub(crate) fn field(&self) -> Field {
        self.0.field
    }

    /// Its index among the captured fields.
    pub(crate) fn capture(&self) -> Option<usize> {
        self.0.capture
    }
}

/// Encloses the number of a variable in a template that is parsed as an object.
const MARK: u8 = 0xff;

impl Key {
    /// A key that is not read.
    fn skipped(name: &str, path: &str) -> Self {
        let (field, rank, path) = (Field::Skip, usize::MAX, path.to_owned());
        Self { name: name.as_bytes().into(), field, rank, path, capture: None, children: Vec::new() }
    }
}

/// The maximum nesting depth.
const DEPTH: u32 = 64;

/// The key at a path, which is added if it is missing.
fn key_at<'a>(keys: &'a mut Vec<Key>, path: &str, whole: &str) -> &'a mut Key {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let at = keys.iter().position(|key| *key.name == *name.as_bytes()).unwrap_or_else(|| {
        keys.push(Key::skipped(name, whole));
        keys.len() - 1
    });
    match rest {
        Some(rest) => key_at(&mut keys[at].children, rest, whole),
        None => &mut keys[at],
    }
}

/// Orders keys with child keys before the others.
fn parents_first(keys: &mut [Key]) {
    keys.sort_by_key(|key| key.children.is_empty());
    keys.iter_mut().for_each(|key| parents_first(&mut key.children));
}

/// The key with a name, which may be the dotted path of a nested key.
fn find<'a>(known: &'a [Key], name: &[u8]) -> Option<&'a Key> {
    known.iter().find(|key| *key.name == *name).or_else(|| {
        known.iter().take_while(|key| !key.children.is_empty()).find_map(|key| {
            let rest = name.strip_prefix(&*key.name)?.strip_prefix(b".")?;
            find(&key.children, rest)
        })
    })
}

fn variable_of<'a>(value: &[u8], variables: &[&'a Variable]) -> Option<&'a Variable> {
    let number = value.strip_prefix(&[MARK])?.strip_suffix(&[MARK])?;
    variables.get(std::str::from_utf8(number).ok()?.parse::<usize>().ok()?).copied()
}

fn mentions_counted(value: &[u8], variables: &[&Variable]) -> bool {
    let parts = value.split(|&byte| byte == MARK).skip(1).step_by(2);
    let numbers = parts.filter_map(|part| std::str::from_utf8(part).ok()?.parse::<usize>().ok());
    numbers
        .filter_map(|number| variables.get(number))
        .any(|variable| !matches!(variable.field, Field::Skip | Field::Time) || variable.capture.is_some())
}

/// Parses a duration with an exponent, which JSON allows.
fn exponent(field: Field, value: &[u8]) -> Option<Number> {
    let Field::Duration(unit) = field else { return None };
    if !value.iter().any(|byte| matches!(byte, b'e' | b'E')) {
        return None;
    }
    let number = std::str::from_utf8(value).ok()?.parse::<f64>().ok()?;
    let nanoseconds = number * 10_f64.powi(unit as i32);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    (0.0..1e18).contains(&nanoseconds).then(|| Number::Value(nanoseconds.round() as u64))
}

/// A position in a JSON text.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Parses an object and calls `each` for the values of known keys.
    fn object<const DOTTED: bool>(
        &mut self,
        known: &[Key],
        each: &mut impl FnMut(MatchedKey<'_>, &'a [u8]),
    ) -> Result<(), JsonMismatch> {
        self.members(|scanner, name| {
            let key = if DOTTED { find(known, name) } else { known.iter().find(|key| *key.name == *name) };
            match (key, scanner.peek()) {
                (Some(key), Some(b'{')) if !key.children.is_empty() => scanner.object::<DOTTED>(&key.children, each),
                (Some(key), next) if key.field != Field::Skip || key.capture.is_some() => {
                    let value = scanner.member_value()?;
                    let scalar = !matches!(next, Some(b'{' | b'['));
                    let is_text = match value {
                        b"null" => false,
                        b"true" | b"false" => key.field == Field::Skip, // a label, but not a number or a name
                        _ => true,
                    };
                    if scalar && (next == Some(b'"') || is_text) {
                        each(MatchedKey(key), value);
                    }
                    Ok(())
                }
                _ => scanner.member_value().map(drop),
            }
        })
    }

    /// Parses the value of a key. Servers that substitute variables also write what JSON does not allow: nothing for an
    /// empty variable, and a list without brackets for several upstream servers (`0.1, 0.2 : -`).
    fn member_value(&mut self) -> Result<&'a [u8], JsonMismatch> {
        let begin = self.at;
        match self.peek() {
            Some(b'"' | b'{' | b'[') => return self.value(DEPTH),
            Some(b',' | b'}') => return Ok(b""),
            _ => drop(self.value(DEPTH)?),
        }
        loop {
            let end = self.at;
            self.blanks();
            let separated = self.skip(b',') || self.skip(b':');
            self.blanks();
            if !separated || !matches!(self.peek(), Some(b'0'..=b'9' | b'-')) {
                self.at = end;
                return Ok(&self.text[begin..end]);
            }
            self.value(DEPTH)?;
        }
    }

    /// Parses an object and collects every value with its path.
    fn leaves(&mut self, above: &str, leaves: &mut Vec<(String, &'a [u8])>) -> Result<(), JsonMismatch> {
        self.members(|scanner, name| {
            let name = String::from_utf8_lossy(name);
            let path = if above.is_empty() { name.into_owned() } else { format!("{above}.{name}") };
            if scanner.peek() == Some(b'{') {
                return scanner.leaves(&path, leaves);
            }
            leaves.push((path, scanner.value(DEPTH)?));
            Ok(())
        })
    }

    /// Parses an object; `member` parses the value of each key.
    fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, &'a [u8]) -> Result<(), JsonMismatch>,
    ) -> Result<(), JsonMismatch> {
        self.expect(b'{', "a JSON object")?;
        self.blanks();
        if self.skip(b'}') {
            return Ok(());
        }
        loop {
            self.blanks();
            let name = self.string()?;
            self.blanks();
            self.expect(b':', "a colon")?;
            self.blanks();
            member(self, name)?;
            self.blanks();
            if self.skip(b'}') {
                return Ok(());
            }
            self.expect(b',', "a comma or the end of the object")?;
        }
    }

    /// Parses any value and returns its text; of a string, the text between the quotation marks.
    fn value(&mut self, depth: u32) -> Result<&'a [u8], JsonMismatch> {
        let begin = self.at;
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') if depth > 0 => {
                self.members(|scanner, _| scanner.value(depth - 1).map(drop))?;
                Ok(&self.text[begin..self.at])
            }
            Some(b'[') if depth > 0 => {
                self.at += 1;
                self.blanks();
                while !self.skip(b']') {
                    self.value(depth - 1)?;
                    self.blanks();
                    if !self.skip(b',') && self.peek() != Some(b']') {
                        return self.stop("a comma or the end of the array");
                    }
                    self.blanks();
                }
                Ok(&self.text[begin..self.at])
            }
            _ => {
                let rest = &self.text[begin..];
                let end = rest
                    .iter()
                    .position(|&byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'"' | b'{' | b'['));
                self.at += end.unwrap_or(rest.len());
                if self.at == begin { self.stop("a value") } else { Ok(&self.text[begin..self.at]) }
            }
        }
    }

    fn string(&mut self) -> Result<&'a [u8], JsonMismatch> {
        self.expect(b'"', "a quotation mark")?;
        let begin = self.at;
        loop {
            let Some(found) = self.text.get(self.at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else {
                self.at = self.text.len();
                return self.stop("the end of a string");
            };
            self.at += found;
            if self.text[self.at] == b'"' {
                self.at += 1;
                return Ok(&self.text[begin..self.at - 1]);
            }
            self.at += 2; // the backslash and the escaped byte
        }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), JsonMismatch> {
        if self.skip(byte) { Ok(()) } else { self.stop(expected) }
    }

    fn stop<T>(&self, expected: &'static str) -> Result<T, JsonMismatch> {
        Err(JsonMismatch { at: self.at, expected })
    }
}
