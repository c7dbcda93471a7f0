//! The formats of access logs that are known by name.

use std::str::FromStr;

use crate::clf;
use crate::request::Request;

/// A format: its name, what it is, and how a line is read.
#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) name: &'static str,
    about: &'static str,
    /// Whether a line says how long the request took.
    pub(crate) has_duration: bool,
    /// `None` for a line that does not have this format.
    pub(crate) parse: fn(&[u8]) -> Option<Request>,
}

/// Every format there is.
pub(crate) const FORMATS: &[Format] = &[
    Format {
        name: "combined",
        about: "Apache's and nginx's combined format, which also reads common",
        has_duration: false,
        parse: clf::combined,
    },
    Format { name: "common", about: "Apache's common format", has_duration: false, parse: clf::common },
    Format {
        name: "combined_time",
        about: "combined, then the request's time in seconds (nginx $request_time)",
        has_duration: true,
        parse: clf::combined_time,
    },
];

/// A format as a flag names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named(pub(crate) &'static Format);

impl FromStr for Named {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        FORMATS.iter().find(|format| format.name == name).map(Self).ok_or_else(|| {
            let known: Vec<_> = FORMATS.iter().map(|format| format!("{} ({})", format.name, format.about)).collect();
            format!("no such format; there are {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_found_by_its_name() {
        for format in FORMATS {
            assert_eq!(format.name.parse::<Named>().unwrap().0.name, format.name);
        }
    }

    #[test]
    fn an_unknown_format_is_answered_with_those_there_are() {
        let error = "$remote_addr [$time_local]".parse::<Named>().unwrap_err();
        assert!(FORMATS.iter().all(|format| error.contains(format.name)), "{error}");
    }
}
