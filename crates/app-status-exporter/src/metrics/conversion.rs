//! Text into numbers, as a mapping asks for it: Go's numbers and booleans, names, quantities, durations, times.

use std::collections::BTreeMap;

use regex::Regex;

/// How the text at a path becomes a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversion {
    /// Only what the group `value`, or else the first, or else the whole matches; a group `unit` is put behind it.
    pub(crate) regex: Option<Regex>,
    /// Texts with the number each stands for, in lower case.
    pub(crate) map: BTreeMap<String, f64>,
    pub(crate) format: Format,
    /// What the number is multiplied by, to come to a base unit.
    pub(crate) scale: Option<f64>,
}

/// What kind of text a number is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// `12`, `1.5e3`, `true`.
    #[default]
    Number,
    /// `95.21 Mbps`, `4 KiB`, `150m`: the prefix counts, the unit behind it does not.
    Quantity,
    /// `1d22h`, `1h30m`, `250ms`, `01:02:03`; in seconds.
    Duration,
    /// `2025-01-22T19:30:19Z`, `2024-06-29`, or a number of seconds, milli-, micro- or nanoseconds; in seconds since 1970.
    Time,
}

impl Format {
    /// The names that configurations use.
    pub(crate) const NAMES: &[(&str, Self)] =
        &[("number", Self::Number), ("quantity", Self::Quantity), ("duration", Self::Duration), ("time", Self::Time)];
}

impl Conversion {
    /// The number that a text stands for, or what is wrong with it.
    pub(crate) fn number(&self, text: &str) -> Result<f64, String> {
        let extracted;
        let mut text = text;
        if let Some(regex) = &self.regex {
            let captures = regex.captures(text).ok_or_else(|| format!("{} does not match {regex}", shown(text)))?;
            let group = |name| captures.name(name).map(|group| group.as_str());
            let value = group("value").or(captures.get(1).or(captures.get(0)).map(|group| group.as_str()));
            extracted = format!("{}{}", value.unwrap_or_default(), group("unit").unwrap_or_default());
            text = &extracted;
        }
        if !self.map.is_empty()
            && let Some(number) = self.map.get(&text.trim().to_lowercase())
        {
            return Ok(*number);
        }
        let number = match self.format {
            Format::Number => go_number(text).or_else(|| go_bool(text)),
            // digits are no infinity, though there be 400 of them
            Format::Quantity => quantity(text).filter(|number| number.is_finite()),
            Format::Duration => duration(text).filter(|number| number.is_finite()),
            Format::Time => time(text),
        };
        let number = number.ok_or_else(|| match (self.format, self.map.is_empty()) {
            (_, false) => format!("{} is not in the map", shown(text)),
            (Format::Number, _) => format!("{} is no number", shown(text)),
            (Format::Quantity, _) => format!("{} is no quantity", shown(text)),
            (Format::Duration, _) => format!("{} is no duration", shown(text)),
            (Format::Time, _) => format!("{} is no time", shown(text)),
        })?;
        Ok(self.scale.map_or(number, |scale| scaled(number, scale)))
    }
}

/// A number in another unit. By 0.001 it is divided by 1000: that is exact where it can be, 0.036 and not
/// 0.036000000000000004.
pub(crate) fn scaled(number: f64, scale: f64) -> f64 {
    let inverse = (1.0 / scale).round();
    if inverse.is_finite() && (inverse * scale - 1.0).abs() < 1e-15 { number / inverse } else { number * scale }
}

/// A text for messages, which must not repeat a page of any length.
fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

/// A number as Go's `strconv.ParseFloat` reads it; and hexadecimal ones without an exponent, such as `0xd8ef11`.
pub(crate) fn go_number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.len() > 1 && unsigned.as_bytes()[..2].eq_ignore_ascii_case(b"0x") {
        let magnitude = hexadecimal(&unsigned[2..])?;
        return Some(if text.starts_with('-') { -magnitude } else { magnitude });
    }
    let number: f64 = text.parse().ok()?;
    let named = unsigned.starts_with(['i', 'I', 'n', 'N']);
    let signed_nan = number.is_nan() && unsigned.len() < text.len();
    ((named || number.is_finite()) && !signed_nan).then_some(number)
}

/// `1.8p-2` or `ff`, behind its `0x`.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut number = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        number = number * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent = exponent.saturating_sub(i32::try_from(fraction.len()).ok()?.saturating_mul(4));
    let number = number * f64::from(exponent).exp2();
    number.is_finite().then_some(number)
}

/// A boolean as Go's `strconv.ParseBool` reads it.
fn go_bool(text: &str) -> Option<f64> {
    match text {
        "t" | "T" | "TRUE" | "true" | "True" => Some(1.0),
        "f" | "F" | "FALSE" | "false" | "False" => Some(0.0),
        _ => None,
    }
}

/// The prefixes of units, each before the shorter ones that it begins with.
const PREFIXES: &[(&str, f64)] = &[
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("k", 1e3),
    ("K", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("m", 1e-3),
    ("u", 1e-6),
    ("µ", 1e-6),
    ("μ", 1e-6),
    ("n", 1e-9),
];

/// The units that prefixes are taken from; in front of any other there is none: `5 pods` are 5.
const UNITS: &[&str] =
    &["", "B", "b", "bps", "bit", "bits", "byte", "bytes", "s", "Hz", "W", "V", "A", "Wh", "J", "g", "m"];

fn quantity(text: &str) -> Option<f64> {
    let (number, unit) = split(text.trim())?;
    let number: f64 = number.parse().ok()?;
    // "Mb/s" is a unit per time: what is before the slash counts
    let unit = unit.trim().split('/').next().unwrap_or_default();
    let factor =
        PREFIXES.iter().find(|(prefix, _)| unit.strip_prefix(prefix).is_some_and(|unit| UNITS.contains(&unit)));
    let whole = UNITS[1..].contains(&unit) && unit != "m"; // a lone m is milli, as Kubernetes writes it
    Some(match factor {
        Some((_, factor)) if !whole => number * factor,
        _ => number,
    })
}

/// A number and what is behind it.
fn split(text: &str) -> Option<(&str, &str)> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let digits = text[sign..].find(|character: char| !character.is_ascii_digit() && character != '.');
    let mut end = digits.map_or(text.len(), |digits| sign + digits);
    // an exponent, where digits follow it
    if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            end += 1 + (exponent.len() - unsigned.len()) + digits;
        }
    }
    (end > sign).then(|| text.split_at(end))
}

fn duration(text: &str) -> Option<f64> {
    let text = text.trim();
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |text| (-1.0, text));
    if text.contains(':') {
        return clock(text).map(|seconds| sign * seconds);
    }
    if let Some(iso) = text.strip_prefix('P') {
        let (date, time) = iso.split_once('T').unwrap_or((iso, ""));
        let days = parts(date, |unit| match unit {
            "D" => Some(86_400.0),
            "W" => Some(604_800.0),
            _ => None, // months and years have no length
        })?;
        let seconds = parts(time, |unit| match unit {
            "H" => Some(3600.0),
            "M" => Some(60.0),
            "S" => Some(1.0),
            _ => None,
        })?;
        return (!iso.is_empty() && iso != "T").then_some(sign * (days + seconds));
    }
    if text.is_empty() {
        return None;
    }
    let seconds = parts(text, |unit| {
        Some(match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" | "msec" => 1e-3,
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "week" | "weeks" => 604_800.0,
            _ => return None,
        })
    })?;
    Some(sign * seconds)
}

/// The sum of numbers with units: `1h30m`, `2 days, 4 hours`.
fn parts(mut text: &str, unit_in_seconds: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let mut sum = 0.0;
    while !text.is_empty() {
        let (number, rest) = split(text)?;
        let rest = rest.trim_start();
        let end = rest.find(|character: char| !character.is_alphabetic()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(end);
        sum += number.parse::<f64>().ok()? * unit_in_seconds(unit)?;
        text = rest.trim_start_matches([' ', ',']);
    }
    Some(sum)
}

/// `02:03`, `01:02:03.5`, `3 days, 1:02:03`, `1.02:03:04`.
fn clock(text: &str) -> Option<f64> {
    let (days, clock) = match text.split_once("day") {
        Some((days, clock)) => (days.trim(), clock.trim_start_matches(['s', ',', ' '])),
        None => match text.split_once('.') {
            Some((days, clock)) if clock.contains(':') => (days, clock),
            _ => ("0", text),
        },
    };
    let fields: Vec<&str> = clock.split(':').collect();
    let (last, others) = fields.split_last()?;
    let mut seconds = 0.0;
    for field in others {
        seconds = seconds * 60.0 + f64::from(field.parse::<u32>().ok()?);
    }
    let digits = last.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let last: f64 = last.parse().ok().filter(|_| digits)?;
    let days = f64::from(days.parse::<u32>().ok()?);
    ((2..=3).contains(&fields.len())).then_some(days * 86_400.0 + seconds * 60.0 + last)
}

/// A moment, in seconds since 1970.
pub(crate) fn time(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some(number) = go_number(text) {
        // seconds until the year 5138; what is larger is told by its size
        return Some(match number.abs() {
            1e17.. => number / 1e9,
            1e14.. => number / 1e6,
            1e11.. => number / 1e3,
            _ => number,
        })
        .filter(|number| number.is_finite());
    }
    let (date, rest) = text.split_at_checked(10)?;
    let number = |range: std::ops::Range<usize>, text: &str| {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let (year, month, day) = (number(0..4, date)?, number(5..7, date)?, number(8..10, date)?);
    let dashes = date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-';
    if !dashes || !(1..=12).contains(&month) || day < 1 || day > days_of(year, month) {
        return None;
    }
    let midnight = days_from_civil(year, month, day) * 86_400;
    if rest.is_empty() {
        return Some(midnight as f64);
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let (hour, minute, second) = (number(0..2, clock)?, number(3..5, clock)?, number(6..8, clock)?);
    let colons = clock.as_bytes()[2] == b':' && clock.as_bytes()[5] == b':';
    if !colons || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut zone = &clock[8..];
    let mut fraction = 0.0;
    if let Some(digits) = zone.strip_prefix(['.', ',']) {
        let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
        fraction = format!("0.{}", &digits[..end]).parse().ok().filter(|_| end > 0)?;
        zone = &digits[end..];
    }
    let offset = match zone.trim_start() {
        "Z" | "z" | "" | "UTC" => 0,
        zone => {
            let sign = match zone.as_bytes()[0] {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let digits = zone[1..].replace(':', "");
            let (hours, minutes) = (number(0..2, &digits)?, number(2..4, &digits).unwrap_or(0));
            (hours <= 23 && minutes <= 59 && matches!(digits.len(), 2 | 4))
                .then_some(sign * (hours * 60 + minutes) * 60)?
        }
    };
    Some((midnight + hour * 3600 + minute * 60 + second - offset) as f64 + fraction)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970, by years that begin in March, so that the day of leap years comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_booleans_are_read_as_go_reads_them() {
        let conversion = Conversion::default();
        for (text, number) in [
            ("1234", 1234.0),
            ("1234.5", 1234.5),
            ("+1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("true", 1.0),
            ("TRUE", 1.0),
            ("True", 1.0),
            ("t", 1.0),
            ("T", 1.0),
            ("False", 0.0),
            ("FALSE", 0.0),
            ("f", 0.0),
            ("F", 0.0),
            ("0x1p-2", 0.25),
            ("-0X1.8p1", -3.0),
            ("0xd8ef11", 14_216_977.0),
            ("Inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(conversion.number(text), Ok(number), "{text}");
        }
        assert!(conversion.number("NaN").unwrap().is_nan());
        for text in [
            "",
            " 1",
            "1 ",
            "abcd",
            "{}",
            "[]",
            "''",
            "1_000",
            "1e400",
            "+nan",
            "0x",
            "0xg",
            "0xp1",
            "tRUE",
            "null",
            "1e",
            "0x1p2147483647",
        ] {
            assert!(conversion.number(text).is_err(), "{text}");
        }
        assert_eq!(conversion.number("0x1.8p-2147483648"), Ok(0.0));
        for format in [Format::Quantity, Format::Duration, Format::Time] {
            let conversion = Conversion { format, ..Conversion::default() };
            assert!(conversion.number("1e309").is_err(), "{format:?}");
        }
    }

    fn with(format: Format) -> Conversion {
        Conversion { format, ..Conversion::default() }
    }

    #[test]
    fn quantities_are_in_their_unit_without_a_prefix() {
        for (text, number) in [
            ("95.21 Mbps", 95.21e6),
            ("1000 MB", 1e9),
            ("4KiB", 4096.0),
            ("2 GiB", 2_147_483_648.0),
            ("150m", 0.15),
            ("64Mi", 67_108_864.0),
            ("5k", 5000.0),
            ("12", 12.0),
            ("1e3 kB", 1e6),
            ("7 pods", 7.0),
            ("3 ms", 0.003),
            ("8 s", 8.0),
            ("10 Mb/s", 1e7),
            ("99.5%", 99.5),
            ("-3 mV", -0.003),
        ] {
            assert_eq!(with(Format::Quantity).number(text), Ok(number), "{text}");
        }
        for text in ["", "MB", "many MB", "- 3"] {
            assert!(with(Format::Quantity).number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_in_seconds() {
        for (text, number) in [
            ("1d22h", 165_600.0),
            ("1h30m", 5400.0),
            ("250ms", 0.25),
            ("1.5s", 1.5),
            ("2 days, 4 hours", 187_200.0),
            ("3 min", 180.0),
            ("01:02:03", 3723.0),
            ("02:03.5", 123.5),
            ("3 days, 1:00:00", 262_800.0),
            ("1.02:00:00", 93_600.0),
            ("P1DT2H3M4.5S", 93_784.5),
            ("PT0.25S", 0.25),
            ("-5m", -300.0),
            ("42", 42.0),
            ("1w", 604_800.0),
        ] {
            assert_eq!(with(Format::Duration).number(text), Ok(number), "{text}");
        }
        for text in ["", "soon", "1 fortnight", "P", "PT", "P1Y", "1:2:3:4", "a:b", "1:-2", "5m x"] {
            assert!(with(Format::Duration).number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_in_seconds_since_1970() {
        for (text, number) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2025-01-22T19:30:19Z", 1_737_574_219.0),
            ("2025-01-22T20:30:19.25+01:00", 1_737_574_219.25),
            ("2025-01-22 14:00:19-0530", 1_737_574_219.0),
            ("2024-06-29", 1_719_619_200.0),
            ("2024-02-29", 1_709_164_800.0),
            ("1969-12-31T23:59:59Z", -1.0),
            ("1757568506", 1_757_568_506.0),
            ("1757568506000", 1_757_568_506.0),
            ("1757568506000000", 1_757_568_506.0),
            ("1757568506000000000", 1_757_568_506.0),
        ] {
            assert_eq!(with(Format::Time).number(text), Ok(number), "{text}");
        }
        for text in [
            "",
            "today",
            "2025-13-01",
            "2025-02-29",
            "2025-01-01T",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00:00X",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00+1",
            "2025/01/01",
            "NaN",
            "2025-01-0ä",
            "ä025-01-01T00:00:00Z",
        ] {
            assert!(with(Format::Time).number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_regular_expression_takes_a_part() {
        let of = |regex: &str, format| Conversion { regex: Regex::new(regex).ok(), format, ..Conversion::default() };
        assert_eq!(of(r"([\d.]+)", Format::Number).number("load 0.25 now"), Ok(0.25));
        assert_eq!(of(r"\d+", Format::Number).number("v12"), Ok(12.0));
        let units = of(r"(?P<value>[\d.]+)\D*?(?P<unit>[KMG]?B) free", Format::Quantity);
        assert_eq!(units.number("disk: 5 of them KB free"), Ok(5000.0));
        let fault = of(r"(\d+)", Format::Number).number("none").unwrap_err();
        assert_eq!(fault, r#""none" does not match (\d+)"#);
    }

    #[test]
    fn names_stand_for_numbers_in_any_case() {
        let map = BTreeMap::from([("ok".to_owned(), 0.0), ("bad".to_owned(), 1.0)]);
        let conversion = Conversion { map, ..Conversion::default() };
        assert_eq!((conversion.number("OK"), conversion.number(" Bad ")), (Ok(0.0), Ok(1.0)));
        assert_eq!(conversion.number("7"), Ok(7.0), "a number stands for itself");
        assert_eq!(conversion.number("odd"), Err("\"odd\" is not in the map".to_owned()));
    }

    #[test]
    fn a_scale_leads_to_the_base_unit() {
        let conversion = Conversion { scale: Some(0.001), ..Conversion::default() };
        assert_eq!(conversion.number("250"), Ok(0.25));
        assert_eq!(conversion.number("36"), Ok(0.036));
        assert_eq!([scaled(312.0, 1e-6), scaled(7.0, 1e-9), scaled(99.0, 0.01)], [0.000312, 7e-9, 0.99]);
        assert_eq!(
            [scaled(3.0, 1000.0), scaled(3.0, 0.0), scaled(3.0, 0.7), scaled(3.0, -0.5)],
            [3000.0, 0.0, 3.0 * 0.7, -1.5]
        );
    }
}
