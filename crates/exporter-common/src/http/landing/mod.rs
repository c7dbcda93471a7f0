//! The landing page at `/`: the exporter, the state of its collectors, and its metrics as a table.
//!
//! All content is escaped. The Content-Security-Policy allows only the page's own style and script, by their hashes,
//! and requests to this exporter for the live graphs. Without the script, the page is a plain table.

mod units;

use std::fmt::Write;

use super::exporter_info::ExporterInfo;
use crate::exposition::family::{Family, Kind, Value};
use crate::exposition::{Exposition, Group};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The limits of displayed series, per family and in total.
const MAX_SERIES_PER_FAMILY: usize = 200;
const MAX_SERIES: usize = 5000;

/// Beginnings of the names of metrics about the exporter itself, which are last.
const ABOUT_EXPORTER: [&str; 3] = ["exporter_", "process_", "promhttp_"];

/// The page's Content-Security-Policy. A test compares the hashes with the files.
pub(crate) const POLICY: &str = concat!(
    "default-src 'none'; style-src 'sha256-S1XTVcLadofrTdtbnVRf7n4ZrJH0CM5B3tbHmnbp7x8='; ",
    "script-src 'sha256-NDurTVXu+XvxupL0oUYbaSK9VVV8/Ny8qW2tcvF82nk='; ",
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
);

/// The page with the metrics of a scrape, or with the reason why there are none.
pub(crate) fn page(about: &ExporterInfo, telemetry_path: &str, found: Result<&Exposition, &str>) -> String {
    let mut page = String::with_capacity(32 * 1024);
    let (name, metrics) = (escaped(&about.name), escaped(telemetry_path));
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{name}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<header>\n<h1>{name}</h1>\n<p>{about}</p>\n<p>Version {version}</p>\n</header>\n\
         <nav><a href=\"{metrics}\">Metrics</a> <a href=\"/-/healthy\">Healthy</a> <a href=\"/-/ready\">Ready</a></nav>\n",
        about = escaped(&about.about),
        version = escaped(&about.version),
    ); // writing to a String cannot fail, here and below
    match found {
        Ok(exposition) => {
            states(exposition, &mut page);
            table(exposition, &mut page);
        }
        Err(why) => {
            let _ = writeln!(page, "<p class=\"note\">{}</p>", escaped(why));
        }
    }
    let _ = write!(page, "<script>{SCRIPT}</script>\n</body>\n</html>\n");
    page
}

/// The success and duration of each collector.
fn states(exposition: &Exposition, page: &mut String) {
    let group = |name: &str| exposition.groups.iter().find(|group| group.head().name() == name);
    let Some(success) = group("exporter_scrape_success") else { return };
    let durations = group("exporter_scrape_duration_seconds");
    page.push_str("<ul class=\"states\">\n");
    for (family, series) in success.series() {
        let Some((_, collector)) = family.labels(series).next() else { continue };
        let succeeded = *family.series_value(series) == Value::Number(1.0);
        let (class, state) = if succeeded { ("", "succeeded") } else { (" class=\"failed\"", "failed") };
        let duration = durations.iter().flat_map(|group| group.series()).find_map(|(family, series)| {
            let same = family.labels(series).next().is_some_and(|(_, other)| other == collector);
            match family.series_value(series) {
                Value::Number(seconds) if same => Some(units::value("_seconds", *seconds)),
                _ => None,
            }
        });
        let collector = escaped(&String::from_utf8_lossy(collector));
        let _ = writeln!(page, "<li{class}>{collector} {state}: {}</li>", duration.unwrap_or_default());
    }
    page.push_str("</ul>\n");
}

fn table(exposition: &Exposition, page: &mut String) {
    page.push_str(
        "<table>\n<thead><tr><th>Metric</th>\
         <th class=\"value\">Value</th><th class=\"raw\">Exactly</th></tr></thead>\n",
    );
    let mut left = MAX_SERIES;
    let (about_exporter, own): (Vec<_>, Vec<_>) = exposition.groups.iter().partition(|group| {
        let name = group.head().name();
        ABOUT_EXPORTER.iter().any(|prefix| name.starts_with(prefix))
    });
    for group in own.into_iter().chain(about_exporter) {
        rows(group, &mut left, page);
    }
    page.push_str("</table>\n");
}

fn rows(group: &Group, left: &mut usize, page: &mut String) {
    let head = group.head();
    // Long names break after an underscore.
    let (name, kind) = (escaped(head.name()).replace('_', "_<wbr>"), kind(head.kind()));
    let _ = writeln!(
        page,
        "<tbody>\n<tr><th colspan=\"3\" scope=\"rowgroup\"><span class=\"name\">{name}</span><small class=\"type\">{kind}</small><div>{}</div></th></tr>",
        escaped(head.help())
    );
    let most = MAX_SERIES_PER_FAMILY.min(*left);
    for (family, series) in group.series().take(most) {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td class=\"value\">{}</td><td class=\"raw\">{}</td></tr>",
            labels(family, series),
            unbroken(&escaped(&shown(family.name(), family.series_value(series)))),
            exactly(family.series_value(series))
        );
    }
    let all = group.series().count();
    *left -= most.min(all);
    if all > most {
        let _ = writeln!(page, "<tr><td class=\"note\" colspan=\"3\">and {} more, see Metrics</td></tr>", all - most);
    }
    page.push_str("</tbody>\n");
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::Summary => "summary",
        Kind::Unknown => "unknown",
        Kind::Info => "info",
        Kind::StateSet => "state set",
    }
}

/// `mode="idle" cpu="0"`, or a dash.
fn labels(family: &Family, series: usize) -> String {
    let labels = family.labels(series);
    let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", String::from_utf8_lossy(value)));
    let labels: Vec<_> = labels.collect();
    if labels.is_empty() { "–".to_owned() } else { escaped(&labels.join(" ")) }
}

fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::Number(number) => units::value(name, *number),
        Value::Histogram(histogram) => units::histogram(name, histogram),
        Value::Summary(summary) => {
            let quantiles = summary.quantiles.iter();
            let quantiles =
                quantiles.map(|(quantile, at)| format!("{} %: {}", quantile * 100.0, units::value(name, *at)));
            quantiles.chain([format!("{} ×", units::value("", summary.count as f64))]).collect::<Vec<_>>().join(", ")
        }
    }
}

/// A value that breaks only between its parts: after a comma.
fn unbroken(value: &str) -> String {
    value.replace(' ', "\u{a0}").replace(",\u{a0}", ", ")
}

fn exactly(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Histogram(histogram) => match histogram.sum {
            Some(sum) => format!("sum {sum}"),
            None => String::new(),
        },
        Value::Summary(summary) => format!("sum {}", summary.sum),
    }
}

/// Escapes a text for HTML content and quoted attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use ring::digest;

    use super::*;

    const ABOUT: ExporterInfo = ExporterInfo {
        name: Cow::Borrowed("x-exporter"),
        version: Cow::Borrowed("1"),
        about: Cow::Borrowed("Exports <x> & \"y\"."),
    };

    #[test]
    fn the_policy_allows_exactly_the_style_and_the_script() {
        for content in [STYLE, SCRIPT] {
            let hash = STANDARD.encode(digest::digest(&digest::SHA256, content.as_bytes()));
            assert!(POLICY.contains(&format!("-src 'sha256-{hash}';")), "POLICY needs 'sha256-{hash}'");
        }
    }

    #[test]
    fn everything_is_escaped() {
        let evil = "<script>alert('1')</script>&\"";
        let family = Family::gauge("queue_depth", evil, &["queue_name"]).with(&[evil], 1.0);
        let state = Family::gauge("exporter_scrape_success", "", &["collector"]).with(&[evil], 0.0);
        let exposition = Exposition::merge(vec![Arc::new(family), Arc::new(state)]);
        let page = page(&ABOUT, "/m\"><script>", Ok(&exposition));
        assert_eq!(page.matches("<script>").count(), 1, "only the script of the page");
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;"));
        assert!(page.contains("href=\"/m&quot;&gt;&lt;script&gt;\""));
        assert!(page.contains("<li class=\"failed\">"));
        let note = super::page(&ABOUT, "/m", Err(evil));
        assert_eq!(note.matches("<script>").count(), 1);
    }

    #[test]
    fn the_number_of_displayed_series_is_limited() {
        let mut families = Vec::new();
        for name in 0..40 {
            let mut family = Family::gauge(format!("g{name}"), "", &["l"]);
            for series in 0..1000 {
                family.push(&[series.to_string()], 1.0);
            }
            families.push(Arc::new(family));
        }
        let page = page(&ABOUT, "/metrics", Ok(&Exposition::merge(families)));
        assert_eq!(page.matches("<td class=\"value\">").count(), MAX_SERIES);
        assert!(page.contains("and 800 more, see Metrics"));
        assert!(page.contains("and 1000 more, see Metrics"));
    }

    #[test]
    fn a_value_breaks_after_commas_and_a_name_after_underscores() {
        let family = Family::gauge("read_timestamp_seconds", "", &[]).with::<&str>(&[], 0.0);
        let page = page(&ABOUT, "/metrics", Ok(&Exposition::merge(vec![Arc::new(family)])));
        assert!(page.contains("<td class=\"value\">1970-01-01T00:00:00Z, "), "{page}");
        assert!(page.contains("\u{a0}d\u{a0}"), "{page}");
        assert!(page.contains("<span class=\"name\">read_<wbr>timestamp_<wbr>seconds</span>"), "{page}");
    }

    #[test]
    fn style_and_script_do_not_close_their_elements() {
        assert!(!STYLE.contains('<') && !SCRIPT.contains("</"));
    }
}
