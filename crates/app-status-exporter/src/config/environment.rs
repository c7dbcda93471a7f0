//! The environment variables of the classic sidecar: `APP_PORT`, `POLLING_INTERVAL_SECONDS` and `EXPORTER_PORT`. They
//! are the defaults of flags.

use std::time::Duration;

use exporter_common::duration;

/// The defaults of flags.
#[derive(Debug, PartialEq)]
pub(crate) struct Defaults {
    /// `--app.url`
    pub(crate) url: String,
    /// `--poll.interval`
    pub(crate) interval: Duration,
    /// `--web.listen-address`
    pub(crate) listen_address: String,
    /// Variables that are ignored because they are Kubernetes service links: a service named `app` sets
    /// `APP_PORT=tcp://10.0.0.1:80` in every pod of its namespace.
    pub(crate) ignored: Vec<&'static str>,
    /// Errors in variables. They are reported later, so that `--help` works.
    pub(crate) errors: Vec<String>,
}

impl Defaults {
    /// Reads the environment of the process.
    pub(crate) fn from_environment() -> Self {
        let get = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let typed =
            |flag: &str| std::env::args_os().any(|argument| argument.to_string_lossy().split('=').next() == Some(flag));
        Self::read(get, typed)
    }

    /// The defaults if no variable is set.
    pub(crate) fn without_environment() -> Self {
        Self::read(|_| None, |_| false)
    }

    /// Reads the variables with `get`, except those whose flag is on the command line (`typed`) or set by its own
    /// variable: a variable without effect is not checked.
    fn read(get: impl Fn(&str) -> Option<String>, typed: impl Fn(&str) -> bool) -> Self {
        let get = |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut ignored = Vec::new();
        let mut effective = |name: &'static str, flag: &str, own: &str| {
            let value = get(name).filter(|_| !typed(flag) && get(own).is_none())?;
            if value.starts_with("tcp://") {
                ignored.push(name);
                return None;
            }
            Some(value)
        };
        let app_port = effective("APP_PORT", "--app.url", "APP_STATUS_EXPORTER_APP_URL");
        let interval = effective("POLLING_INTERVAL_SECONDS", "--poll.interval", "APP_STATUS_EXPORTER_POLL_INTERVAL");
        let exporter_port =
            effective("EXPORTER_PORT", "--web.listen-address", "APP_STATUS_EXPORTER_WEB_LISTEN_ADDRESS");

        let mut errors = Vec::new();
        let mut add_error = |error| errors.push(error);
        let app_port = app_port.and_then(|value| match port("APP_PORT", &value) {
            Ok(0) => {
                add_error("APP_PORT='0' is not a port: use a number from 1 to 65535".to_owned());
                None
            }
            port => port.map_err(&mut add_error).ok(),
        });
        let interval = interval.and_then(|value| seconds(&value).map_err(&mut add_error).ok());
        let exporter_port = exporter_port.and_then(|value| port("EXPORTER_PORT", &value).map_err(&mut add_error).ok());
        Self {
            url: format!("http://localhost:{}/status", app_port.unwrap_or(80)),
            interval: interval.unwrap_or(Duration::from_secs(5)),
            listen_address: format!(":{}", exporter_port.unwrap_or(9877)),
            ignored,
            errors,
        }
    }
}

fn port(variable: &str, value: &str) -> Result<u16, String> {
    value.parse().map_err(|_| format!("{variable}='{value}' is not a port: use a number up to 65535"))
}

fn seconds(value: &str) -> Result<Duration, String> {
    let number = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = number.then(|| duration::parse(&format!("{value}s")).ok()).flatten();
    seconds.ok_or_else(|| {
        format!("POLLING_INTERVAL_SECONDS='{value}' is not a number of seconds up to a year: use 5 or 0.5")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Defaults {
        let set = |name: &str| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        Defaults::read(set, |flag| flag == "--poll.interval" && variables.contains(&("typed", "--poll.interval")))
    }

    fn plain() -> Defaults {
        Defaults {
            url: "http://localhost:80/status".to_owned(),
            interval: Duration::from_secs(5),
            listen_address: ":9877".to_owned(),
            ignored: Vec::new(),
            errors: Vec::new(),
        }
    }

    #[test]
    fn without_variables_the_defaults_apply() {
        assert_eq!(read(&[]), plain());
        assert_eq!(read(&[("APP_PORT", ""), ("POLLING_INTERVAL_SECONDS", " ")]), plain());
    }

    #[test]
    fn the_variables_of_the_classic_sidecar_are_read() {
        let defaults = read(&[("POLLING_INTERVAL_SECONDS", "0.5"), ("APP_PORT", "5000\n"), ("EXPORTER_PORT", "9999")]);
        let expected = Defaults {
            url: "http://localhost:5000/status".to_owned(),
            interval: Duration::from_millis(500),
            listen_address: ":9999".to_owned(),
            ignored: Vec::new(),
            errors: Vec::new(),
        };
        assert_eq!(defaults, expected);
    }

    #[test]
    fn a_service_link_is_ignored() {
        let defaults = read(&[("APP_PORT", "tcp://10.0.0.1:80"), ("EXPORTER_PORT", "tcp://10.0.0.2:9877")]);
        assert_eq!(defaults, Defaults { ignored: vec!["APP_PORT", "EXPORTER_PORT"], ..plain() });
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_variable() {
        for (name, value) in [
            ("APP_PORT", "http"),
            ("APP_PORT", "0"),
            ("APP_PORT", "70000"),
            ("EXPORTER_PORT", "-1"),
            ("EXPORTER_PORT", "udp://10.0.0.1:80"),
            ("POLLING_INTERVAL_SECONDS", "5s"),
            ("POLLING_INTERVAL_SECONDS", "1.2.3"),
            ("POLLING_INTERVAL_SECONDS", "."),
            ("POLLING_INTERVAL_SECONDS", "-1"),
            ("POLLING_INTERVAL_SECONDS", "inf"),
            ("POLLING_INTERVAL_SECONDS", "99999999999"),
        ] {
            let defaults = read(&[(name, value)]);
            let error = defaults.errors.first().unwrap().clone();
            assert_eq!(Defaults { errors: Vec::new(), ..defaults }, plain());
            assert!(error.starts_with(&format!("{name}='{value}'")), "{error}");
        }
    }

    #[test]
    fn a_variable_without_effect_is_not_checked() {
        assert_eq!(read(&[("APP_PORT", "x"), ("APP_STATUS_EXPORTER_APP_URL", "http://app/")]), plain());
        assert_eq!(read(&[("POLLING_INTERVAL_SECONDS", "x"), ("typed", "--poll.interval")]), plain());
    }
}
