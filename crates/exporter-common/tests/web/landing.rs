//! The landing page in a browser.

use std::process::Command;

use exporter_common::testing::{self, Running};

use crate::drill;

#[test]
fn the_page_shows_collectors_and_metrics_and_loads_nothing_external() {
    let exporter = Running::start(&drill(), ["--collector.fine", "--collector.fail", "--collector.large"]);
    let page = exporter.get("/", &[]);
    let header = |name: &str| page.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "text/html; charset=UTF-8");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    for part in [
        "<li>fine succeeded: ",
        "<li class=\"failed\">fail failed: ",
        "drill_<wbr>info</span><small class=\"type\">gauge</small><div>Enabled drills.</div>",
        "<td>drill=&quot;fine&quot;</td><td class=\"value\">1</td><td class=\"raw\">1</td>",
        "and 99800 more, see Metrics",
        "href=\"/metrics\"",
    ] {
        assert!(page.body.contains(part), "{part}\n{}", page.body);
    }
    let at = |name: &str| page.body.find(&heading(name)).unwrap_or_else(|| panic!("{name}"));
    assert!(at("drill_info") < at("exporter_scrape_success"), "metrics of the source are first");
    assert!(at("drill_exporter_build_info") < at("exporter_scrape_success"));
    assert!(at("drill_info") < at("process_cpu_seconds_total"));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.body.contains(outside), "{outside}");
    }
    assert!(page.body.len() < 1_000_000, "{} bytes", page.body.len());
}

/// How the page writes a metric's name above its series.
fn heading(name: &str) -> String {
    format!(">{}</span><small", name.replace('_', "_<wbr>"))
}

/// The page in Chromium after some virtual time, and Chromium's log.
fn browse(exporter: &Running, path: &str) -> Option<(String, String)> {
    browse_url(&format!("{}{path}", exporter.url), 1280)
}

fn browse_url(url: &str, width: u32) -> Option<(String, String)> {
    let chromium = testing::real("chromium")?;
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", "--dump-dom"])
        // a window is never narrower than 500 pixels, unless it fills its screen
        .args(["--virtual-time-budget=21000", "--start-fullscreen", &format!("--screen-info={{{width}x900}}")])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .output()
        .unwrap();
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(dom.contains("<input type=\"search\""), "the script ran\n{dom}\n{log}");
    assert!(!log.contains("Content Security Policy"), "{log}");
    Some((dom.into_owned(), log.into_owned()))
}

/// The part of a page that shows a family.
fn family<'a>(dom: &'a str, name: &str) -> &'a str {
    let at = dom.find(&heading(name)).unwrap();
    let start = dom[..at].rfind("<tbody").unwrap();
    &dom[start..start + dom[start..].find("</tbody>").unwrap()]
}

#[test]
fn a_browser_runs_the_search_under_the_policy() {
    let exporter = Running::start(&drill(), ["--collector.fine"]);
    let Some((dom, _)) = browse(&exporter, "/#drill%20fine") else { return };
    let shown = |name| !family(&dom, name).starts_with("<tbody hidden");
    assert!(shown("drill_info") && !shown("drill_exporter_build_info"), "{dom}");
    assert!(!dom.contains("<polyline points"), "the page requests nothing before a graph is opened");
}

#[test]
fn a_browser_draws_the_metrics_live_under_the_policy() {
    let exporter = Running::start(&drill(), ["--collector.fine"]);
    let Some((dom, log)) = browse(&exporter, "/?live") else { return };
    let line = |name| {
        let shown = family(&dom, name);
        let points = shown.split_once("<polyline points=\"").unwrap_or_else(|| panic!("{shown}\n{log}")).1;
        points.split('"').next().unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    // a changing gauge, a constant gauge, and a counter, whose increase is drawn
    let moving = line("exporter_last_success_timestamp_seconds");
    assert!(moving.len() > 2 && moving[0] == "0.0,19.0" && moving.last().unwrap() == "100.0,1.0", "{moving:?}");
    assert!(line("drill_info").iter().all(|point| point.ends_with(",10.0")));
    assert_eq!(line("process_cpu_seconds_total").len(), moving.len() - 1);
    let rate = family(&dom, "process_cpu_seconds_total").split_once("<span class=\"rate\">").unwrap().1;
    assert!(rate.split('<').next().unwrap().ends_with(" s/s"), "{rate}");
    assert!(family(&dom, "drill_info").contains("<span class=\"rate\"></span>"), "a gauge has no rate");
    assert!(dom.contains("aria-pressed=\"true\""), "{dom}");
}

/// Requests of the page get the page itself, as if nothing changed.
const OFFLINE: &str = "<script>const shown = document.documentElement.outerHTML;\
                       window.fetch = async () => new Response(shown)</script>";

/// Lists what looks wrong once the graphs are drawn: words, values and rows that are broken where they need not be, and rows
/// that a search does not hide.
const INSPECT: &str = r#"<script>setTimeout(() => {
  const faults = [], lines = (range) => new Set([...range.getClientRects()].map((part) => Math.round(part.bottom))).size;
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push("wider than the window");
  const texts = document.createTreeWalker(document.querySelector("table"), NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode()); ) {
    for (const { 0: word, index } of text.data.matchAll(/[^ \n]+/g)) {
      const range = document.createRange();
      range.setStart(text, index);
      range.setEnd(text, index + word.length);
      if (lines(range) > 1) faults.push("broken: " + word);
    }
  }
  const graphs = document.querySelectorAll(".graph");
  for (const graph of graphs) {
    const range = document.createRange();
    range.selectNode(graph.parentElement.querySelector(".now"));
    const middle = (box) => (box.top + box.bottom) / 2;
    const apart = [...graph.parentElement.children].some((part) => part.textContent && Math.abs(middle(part.getBoundingClientRect()) - middle(range.getBoundingClientRect())) > 8);
    if (apart) faults.push("not in one line: " + graph.closest("tr").textContent);
  }
  const search = document.querySelector("input");
  search.value = "drill_info";
  search.dispatchEvent(new Event("input"));
  const hidden = [...document.querySelectorAll("[hidden]")], visible = hidden.filter((part) => part.getClientRects().length > 0);
  if (hidden.length === 0 || visible.length > 0) faults.push("the search leaves " + visible.length + " others");
  document.body.dataset.inspected = graphs.length + " graphs; " + innerWidth + " px; " + faults.join("; ");
}, 19000)</script>"#;

#[test]
fn no_word_and_no_row_is_broken_on_a_phone_a_tablet_or_a_desk() {
    let exporter = Running::start(&drill(), ["--collector.fine", "--collector.fail"]);
    let page = exporter.get("/", &[]).body;
    let page =
        page.replacen("<script>", &format!("{OFFLINE}<script>"), 1).replace("</body>", &format!("{INSPECT}</body>"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    std::fs::write(&file, page).unwrap();
    for width in [390, 800, 1400] {
        let Some((dom, log)) = browse_url(&format!("file://{}?live", file.display()), width) else { return };
        let inspected = dom.split_once("data-inspected=\"").unwrap_or_else(|| panic!("{dom}\n{log}")).1;
        let (graphs, faults) = inspected.split('"').next().unwrap().split_once(" graphs; ").unwrap();
        assert!(graphs.parse::<u32>().unwrap() > 20, "{graphs} graphs");
        assert_eq!(faults, format!("{width} px; "));
    }
}
