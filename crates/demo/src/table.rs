//! The table of what runs where, as text: pure functions from parts and values to lines.

use crate::parts::Part;
use crate::values::Values;

/// The table, a line for each part and each of its further links.
pub(crate) fn table(parts: &[Part], values: &[Values]) -> Vec<String> {
    let mut lines = vec![line(["what", "where", "pid", "CPU", "memory", "now"])];
    for (part, values) in parts.iter().zip(values) {
        let (cpu, memory) = match values.cost {
            Some((cpu, memory)) if !values.ended => (format!("{cpu:.1} %"), megabytes(memory)),
            _ => ("-".to_owned(), "-".to_owned()),
        };
        let mut links = part.links.iter().map(String::as_str);
        let link = links.next().unwrap_or("-");
        lines.push(line([part.name, link, &values.pid.to_string(), &cpu, &memory, &now(part, values)]));
        lines.extend(links.map(|link| line(["", link, "", "", "", ""])));
    }
    lines
}

/// The live values in one line, for where there is no screen to draw on.
pub(crate) fn summary(parts: &[Part], values: &[Values]) -> String {
    let all = parts.iter().zip(values);
    let said = all.filter(|(part, values)| values.ended || !part.values.is_empty());
    let mut said: Vec<_> = said.map(|(part, values)| format!("{}: {}", part.name, now(part, values))).collect();
    let costs = || values.iter().filter(|values| !values.ended).filter_map(|values| values.cost);
    let cpu: f32 = costs().map(|(cpu, _)| cpu).sum();
    let memory = costs().map(|(_, memory)| memory).sum();
    said.push(format!("all: {cpu:.1} % CPU, {}", megabytes(memory)));
    said.join(" | ")
}

/// What a part is doing, in a few words.
fn now(part: &Part, values: &Values) -> String {
    if values.ended {
        return "ended".to_owned();
    }
    let Some(metrics) = &values.metrics else { return "no answer".to_owned() };
    let known = part.values.iter().zip(metrics);
    let words = known.filter_map(|((_, name), value)| Some(format!("{} {name}", number((*value)?))));
    words.collect::<Vec<_>>().join(", ")
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.2}") }
}

fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB")
}

fn line([what, link, pid, cpu, memory, now]: [&str; 6]) -> String {
    format!("{what:<19}  {link:<31}  {pid:>7}  {cpu:>7}  {memory:>8}  {now}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> Part {
        Part {
            name: "demo-app",
            program: "demo".into(),
            arguments: Vec::new(),
            ports: Vec::new(),
            links: vec!["http://127.0.0.1:8080/status".to_owned(), "http://127.0.0.1:8002/metrics".to_owned()],
            metrics: None,
            values: &[("requests_total", "answers"), ("rate_requests", "% of them 500")],
        }
    }

    fn values(metrics: Option<Vec<Option<f64>>>) -> Values {
        Values { pid: 4711, ended: false, cost: Some((1.25, 6_543_210)), metrics }
    }

    #[test]
    fn a_part_is_a_line_and_each_further_link_one_more() {
        let lines = table(&[app()], &[values(Some(vec![Some(120.0), Some(49.512)]))]);
        assert_eq!(
            lines,
            [
                "what                 where                                pid      CPU    memory  now",
                "demo-app             http://127.0.0.1:8080/status        4711    1.2 %    6.5 MB  120 answers, 49.51 % of them 500",
                "                     http://127.0.0.1:8002/metrics",
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_not_shown() {
        assert_eq!(now(&app(), &values(Some(vec![Some(0.0), None]))), "0 answers");
        assert_eq!(now(&app(), &values(None)), "no answer");
        assert_eq!(now(&app(), &Values { ended: true, ..values(None) }), "ended");
    }

    #[test]
    fn the_summary_adds_up_what_runs() {
        let ended = Values { ended: true, ..values(None) };
        let parts = [app(), app()];
        assert_eq!(
            summary(&parts, &[values(Some(vec![Some(1.0), None])), ended]),
            "demo-app: 1 answers | demo-app: ended | all: 1.2 % CPU, 6.5 MB"
        );
    }
}
