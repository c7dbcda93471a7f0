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

/// The units that can have a prefix. The text after a number is otherwise ignored: `5 pods` is 5.
const UNITS: &[&str] =
    &["", "B", "b", "bps", "bit", "bits", "byte", "bytes", "s", "Hz", "W", "V", "A", "Wh", "J", "g", "m"];

/// Parses a quantity: `95.21 Mbps`, `4 KiB`, `150m`.
pub(super) fn quantity(text: &str) -> Option<f64> {
    let (number, unit) = split_number(text.trim())?;
    let number: f64 = number.parse().ok()?;
    // in "Mb/s" the unit before the slash counts
    let unit = unit.trim().split('/').next().unwrap_or_default();
    let factor =
        PREFIXES.iter().find(|(prefix, _)| unit.strip_prefix(prefix).is_some_and(|unit| UNITS.contains(&unit)));
    let whole = UNITS[1..].contains(&unit) && unit != "m"; // a single m is milli, as in Kubernetes
    Some(match factor {
        Some((_, factor)) if !whole => number * factor,
        _ => number,
    })
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
            ("7 pods", 7.0),
            ("3 ms", 0.003),
            ("8 s", 8.0),
            ("10 Mb/s", 1e7),
            ("99.5%", 99.5),
            ("-3 mV", -0.003),
        ] {
            assert_eq!(quantity(text), Some(expected), "{text}");
        }
        for text in ["", "MB", "many MB", "- 3"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }
}
