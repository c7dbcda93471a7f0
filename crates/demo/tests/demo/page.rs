//! The demo's page: its state, its drills, and how it looks in a browser.

use std::process::Command;

use exporter_common::testing::{eventually, get, real};
use serde_json::Value;

use crate::stack::Demo;

impl Demo {
    fn state(&self) -> Value {
        serde_json::from_str(&get(&self.url(8090, "/state"), &[]).body).unwrap()
    }

    /// The state of a part, once the page knows it.
    fn part(&self, name: &str) -> Option<Value> {
        let state = self.state();
        state["parts"].as_array()?.iter().find(|part| part["name"] == name).cloned()
    }

    fn order(&self, drill: &str, action: &str, header: &str) -> u16 {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(self.url(8090, &format!("/drills/{drill}/{action}"))).header(header, "1");
        request.send_empty().unwrap().status().as_u16()
    }
}

#[test]
fn the_page_has_the_values_of_all_exporters() {
    let demo = Demo::start();
    for exporter in ["cpu-exporter", "httpd-log-exporter", "app-status-exporter", "queue-exporter"] {
        eventually(&format!("{exporter} has two graphs of three seconds"), || {
            let part = demo.part(exporter)?;
            let graphs = part["graphs"].as_array()?;
            let known =
                |graph: &Value| graph["points"].as_array().unwrap().iter().filter(|point| point.is_f64()).count();
            (part["state"] == "running" && graphs.len() == 2 && graphs.iter().all(|graph| known(graph) > 2))
                .then_some(())
        });
    }
    let page = get(&demo.url(8090, "/"), &[]);
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none';"));
    assert!(page.body.contains("page.js"), "{}", page.body);
}

#[test]
fn a_drill_breaks_a_part_until_it_is_stopped() {
    let demo = Demo::start();
    let state = |part: &str| demo.part(part).map(|part| part["state"].as_str().unwrap().to_owned());
    let is = |part: &str, wanted: &str| {
        eventually(&format!("{part} is {wanted}"), || (state(part)? == wanted).then_some(()));
    };
    is("cpu-exporter", "running");
    assert_eq!(demo.order("exporter-hang", "start", "x-demo"), 202);
    is("cpu-exporter", "suspended");
    let running = |state: &Value, drill: &str| {
        state["drills"].as_array().unwrap().iter().any(|found| found["name"] == drill && found["running"] == true)
    };
    assert!(running(&demo.state(), "exporter-hang"));
    assert_eq!(demo.order("exporter-hang", "stop", "x-demo"), 202);
    is("cpu-exporter", "running");
    assert_eq!(demo.order("errors", "start", "x-demo"), 202);
    eventually("the drill runs", || running(&demo.state(), "errors").then_some(()));
    assert_eq!(demo.order("errors", "stop", "x-demo"), 202);
    eventually("the drill is stopped", || (!running(&demo.state(), "errors")).then_some(()));
}

#[test]
fn other_websites_cannot_start_a_drill_and_unknown_drills_are_not_found() {
    let demo = Demo::start();
    assert_eq!(demo.order("exporter-hang", "start", "x-other"), 400);
    assert_eq!(demo.order("unknown", "start", "x-demo"), 404);
    assert_eq!(demo.order("exporter-hang", "break", "x-demo"), 404);
}

#[test]
fn a_browser_draws_the_page_on_a_desk_and_on_a_phone() {
    let Some(chromium) = real("chromium") else { return };
    let demo = Demo::start();
    eventually("the graphs have points", || {
        let graphs = demo.part("cpu-exporter")?;
        (graphs["graphs"][0]["points"].as_array()?.len() > 8).then_some(())
    });
    for size in ["1280x900", "390x844"] {
        let profile = tempfile::tempdir().unwrap();
        let output = Command::new(&chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", "--dump-dom"])
            // a window is never narrower than 500 pixels, unless it fills its screen
            .args(["--virtual-time-budget=5000", "--start-fullscreen", &format!("--screen-info={{{size}}}")])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(demo.url(8090, "/"))
            .output()
            .unwrap();
        let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!log.contains("Content Security Policy") && !log.contains("Uncaught"), "{log}");
        assert_eq!(
            dom.matches("<article class=\"card").count(),
            demo.state()["parts"].as_array().unwrap().len(),
            "{dom}"
        );
        let lines: Vec<_> =
            dom.split("<polyline points=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(lines.len() >= 8, "{dom}");
        for line in lines.iter().filter(|line| line.contains(' ')) {
            let last = line.rsplit(' ').next().unwrap();
            assert!(last.starts_with("120,"), "the graph does not fill its width: {line}");
        }
        assert!(lines.iter().filter(|line| line.starts_with("0,")).count() >= 4, "{lines:?}");
        assert_eq!(dom.matches("<button type=\"button\"").count(), 5, "{dom}");
        let data = |name| dom.split_once(&format!("data-{name}=\"")).unwrap().1.split_once('"').unwrap().0;
        assert_eq!(data("width"), size.split_once('x').unwrap().0);
        assert_eq!(data("overflow"), "0", "the page is wider than {size}");
    }
}
