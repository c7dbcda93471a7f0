//! Numbers with units and unit prefixes.

use exporter_common::config::duration::split_number;

/// The unit prefixes; a prefix comes before its own prefixes.
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

/// The units that can have a prefix. Without a unit, the prefix is the unit: `64Mi`, `150m`.
const PREFIXED_UNITS: &[&str] = &[
    "", "B", "b", "Bps", "bps", "bit", "bits", "byte", "bytes", "s", "Hz", "W", "Wh", "V", "VA", "A", "Ah", "J", "g",
    "m", "Pa", "Ω", "ohm", "l", "L",
];

/// The units without a prefix.
const UNITS: &[&str] = &[
    "%", "°C", "C", "°F", "F", "sec", "secs", "second", "seconds", "dB", "dBm", "rpm", "RPM", "bar", "ppm", "req",
    "reqs", "requests", "ops", "packets", "cps", "CPS", "rps", "RPS", "qps", "QPS", "tps", "TPS", "pps", "fps", "iops",
    "IOPS",
];

/// The units after a slash, as in `Mb/s`.
const PER: &[&str] = &["s", "sec", "second", "min", "minute", "h", "hour", "d", "day"];

/// Parses a quantity: a number, optionally with a known unit: `95.21 Mbps`, `4 KiB`, `150m`, `10 MB/s`. Any other text
/// after the number makes it invalid, because the unit would be a guess.
pub(super) fn quantity(text: &str) -> Option<f64> {
    let (number, unit) = split_number(text.trim())?;
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim_start();
    let unit = match unit.split_once('/') {
        Some((unit, per)) if !unit.is_empty() && PER.contains(&per) => unit,
        Some(_) => return None,
        None => unit,
    };
    // a single m is milli, as in Kubernetes
    if UNITS.contains(&unit) || (PREFIXED_UNITS.contains(&unit) && unit != "m") {
        return Some(number);
    }
    let factor = |(prefix, factor): &(&str, f64)| {
        unit.strip_prefix(prefix).filter(|unit| PREFIXED_UNITS.contains(unit)).map(|_| *factor)
    };
    PREFIXES.iter().find_map(factor).map(|factor| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_in_the_unit_without_a_prefix() {
        for (text, expected) in [
            ("95.21 Mbps", 95.21e6),
            ("1000 MB", 1e9),
            ("4KiB", 4096.0),
            ("2 GiB", 2_147_483_648.0),
            ("150m", 0.15),
            ("64Mi", 67_108_864.0),
            ("5k", 5000.0),
            ("12", 12.0),
            ("1e3 kB", 1e6),
            ("3 ms", 0.003),
            ("8 s", 8.0),
            ("8 seconds", 8.0),
            ("10 Mb/s", 1e7),
            ("120 req/s", 120.0),
            ("99.5%", 99.5),
            ("99.5 %", 99.5),
            ("23.5 °C", 23.5),
            ("-3 mV", -0.003),
        ] {
            assert_eq!(quantity(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_not_wholly_a_number_with_a_known_unit_is_invalid() {
        for text in [
            "",
            "MB",
            "many MB",
            "- 3",
            "7 pods",
            "1,234.5",
            "12,345",
            "23,5 C",
            "2024-06-29",
            "12:30",
            "3/10",
            "3 / 10",
            "3 hours",
            "3 h 5 s",
            "10 Mb/x",
            "10 /s",
            "1 MB of 2 MB",
            "5 s ago",
            "1.2.3",
            "1_000",
            "5 m m",
        ] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }
}
