//! Formats the state of all parts as a table or a line.

use super::parts::Part;
use super::processes::PartProcess;
use super::values::Values;

/// The process and the address of each part, with a line for each additional link.
pub(crate) fn addresses(parts: &[Part], processes: &[PartProcess]) -> Vec<String> {
    let mut lines = vec![String::new(), address_line("part", "pid", "address")];
    for (part, process) in parts.iter().zip(processes) {
        let mut links = part.links.iter().map(String::as_str);
        let link = links.next().unwrap_or("-");
        lines.push(address_line(part.name, &process.pid.to_string(), link));
        lines.extend(links.map(|link| address_line("", "", link)));
    }
    lines.push(String::new());
    lines
}

fn address_line(part: &str, pid: &str, link: &str) -> String {
    format!("{part:<19}  {pid:>7}  {link}")
}

/// The usage and the current values of each part.
pub(crate) fn table(parts: &[Part], values: &[Values]) -> Vec<String> {
    let mut lines = vec![line(["part", "CPU", "memory", "now"])];
    for (part, values) in parts.iter().zip(values) {
        let (cpu, memory) = match values.usage {
            Some((cpu, memory)) if !values.exited => (format!("{cpu:.1} %"), megabytes(memory)),
            _ => ("-".to_owned(), "-".to_owned()),
        };
        lines.push(line([part.name, &cpu, &memory, &now(part, values)]));
    }
    lines
}

/// The current values in one line, for output without a terminal.
pub(crate) fn summary(parts: &[Part], values: &[Values]) -> String {
    let all = parts.iter().zip(values);
    let shown = all.filter(|(part, values)| values.exited || !part.values.is_empty());
    let mut words: Vec<_> = shown.map(|(part, values)| format!("{}: {}", part.name, now(part, values))).collect();
    let usages = || values.iter().filter(|values| !values.exited).filter_map(|values| values.usage);
    let cpu: f32 = usages().map(|(cpu, _)| cpu).sum();
    let memory = usages().map(|(_, memory)| memory).sum();
    words.push(format!("all: {cpu:.1} % CPU, {}", megabytes(memory)));
    words.join(" | ")
}

/// The current values of a part; those it does not export are omitted.
fn now(part: &Part, values: &Values) -> String {
    if values.exited {
        return "exited".to_owned();
    }
    let Some(metrics) = &values.metrics else { return "no response".to_owned() };
    if part.values.is_empty() {
        return "-".to_owned();
    }
    let known = part.values.iter().zip(metrics);
    let words = known.filter_map(|(series, value)| Some(format!("{} {}", number((*value)?), series.name)));
    let words: Vec<_> = words.collect();
    if words.is_empty() { "no data".to_owned() } else { words.join(", ") }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.2}") }
}

fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB")
}

fn line([part, cpu, memory, now]: [&str; 4]) -> String {
    format!("{part:<19}  {cpu:>7}  {memory:>8}  {now}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::series::Series;

    fn app() -> Part {
        Part {
            name: "demo-app",
            program: "demo".into(),
            arguments: Vec::new(),
            links: vec!["http://127.0.0.1:8080/status".to_owned(), "http://127.0.0.1:8002/metrics".to_owned()],
            metrics: None,
            values: const {
                &[Series::sum("requests_total", "responses"), Series::sum("rate_requests", "% with status 500")]
            },
        }
    }

    fn values(metrics: Option<Vec<Option<f64>>>) -> Values {
        Values { exited: false, usage: Some((1.25, 6_543_210)), metrics, failed_collectors: None }
    }

    #[test]
    fn a_row_fits_on_80_columns() {
        let lines = table(&[app()], &[values(Some(vec![Some(120.0), Some(49.512)]))]);
        assert_eq!(
            lines,
            [
                "part                     CPU    memory  now",
                "demo-app               1.2 %    6.5 MB  120 responses, 49.51 % with status 500",
            ]
        );
        assert!(lines.iter().all(|line| line.len() <= 80), "{lines:?}");
    }

    #[test]
    fn absent_values_are_omitted_but_never_leave_an_empty_cell() {
        assert_eq!(now(&app(), &values(Some(vec![Some(0.0), None]))), "0 responses");
        assert_eq!(now(&app(), &values(Some(vec![None, None]))), "no data");
        assert_eq!(now(&app(), &values(None)), "no response");
        assert_eq!(now(&Part { values: &[], ..app() }, &values(Some(Vec::new()))), "-");
        assert_eq!(now(&app(), &Values { exited: true, ..values(None) }), "exited");
    }

    #[test]
    fn the_summary_sums_running_processes() {
        let exited = Values { exited: true, ..values(None) };
        let parts = [app(), app()];
        assert_eq!(
            summary(&parts, &[values(Some(vec![Some(1.0), None])), exited]),
            "demo-app: 1 responses | demo-app: exited | all: 1.2 % CPU, 6.5 MB"
        );
    }
}
