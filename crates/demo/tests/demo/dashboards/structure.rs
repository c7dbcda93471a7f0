//! Structure and provisioning of the dashboards.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Dashboard, Panel, RUNBOOKS, STEMS, dashboards, list, read, repository, runbook, text};

#[test]
fn each_exporter_has_a_dashboard_and_there_is_an_overview() {
    let folder = std::fs::read_dir(repository().join("grafana/dashboards")).unwrap();
    let files: BTreeSet<_> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let expected: BTreeSet<_> = STEMS.iter().map(|stem| format!("{stem}.json")).collect();
    assert_eq!(files, expected);
}

#[test]
fn every_dashboard_is_read_only_and_has_the_common_links() {
    for Dashboard { stem, json } in dashboards() {
        assert_eq!(json["schemaVersion"], 42, "{stem}");
        assert_eq!(json["uid"], format!("exporters-{stem}"));
        assert_eq!(json["editable"], false, "{stem}");
        assert_eq!(json["graphTooltip"], 1, "{stem}: panels share the crosshair");
        assert!(list(&json["tags"]).contains(&json!("exporters")), "{stem}");
        assert!(!text(&json["title"]).is_empty() && !text(&json["description"]).is_empty(), "{stem}");
        let [others, runbooks] = list(&json["links"]) else {
            panic!("{stem}: expected links to dashboards and runbooks")
        };
        assert_eq!((&others["type"], &others["tags"]), (&json!("dashboards"), &json!(["exporters"])), "{stem}");
        assert_eq!(runbook(text(&runbooks["url"])), Some("index"), "{stem}"); // README.md on the website
    }
}

/// Graphs show the alerts of the table: an annotation has the same selector.
#[test]
fn graphs_are_annotated_with_the_alerts_of_the_table() {
    for dashboard in dashboards() {
        let [_, alerts] = list(&dashboard.json["annotations"]["list"]) else {
            panic!("{}: expected an annotation", dashboard.stem)
        };
        assert_eq!((&alerts["enable"], &alerts["datasource"]["uid"]), (&json!(true), &json!("${datasource}")));
        let selector = text(&alerts["expr"]);
        assert!(selector.starts_with("ALERTS{alertstate=\"firing\","), "{}: {selector}", dashboard.stem);
        let table = dashboard.panels().into_iter().find(|panel| panel.json["title"] == "Firing alerts").unwrap();
        assert!(text(&table.json["targets"][0]["expr"]).contains(selector), "{}: {selector}", dashboard.stem);
    }
}

#[test]
fn panels_have_unique_ids_and_do_not_overlap() {
    for dashboard in dashboards() {
        let stem = dashboard.stem;
        let mut ids = BTreeSet::new();
        let mut occupied = BTreeSet::new();
        let mut check = |panel: &Value| {
            let location = format!("{stem}: {}", text(&panel["title"]));
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{location}: duplicate id");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{location}: outside the grid");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(occupied.insert(cell), "{location}: overlaps another panel at {cell:?}");
            }
        };
        for panel in list(&dashboard.json["panels"]) {
            check(panel);
            if panel["type"] == "row" {
                let inside = list(&panel["panels"]);
                assert_eq!(panel["collapsed"], !inside.is_empty(), "{stem}: only a collapsed row contains panels");
                inside.iter().for_each(&mut check);
            }
        }
    }
}

#[test]
fn every_panel_has_a_description_thresholds_and_queries() {
    for dashboard in dashboards() {
        for Panel { json, location, collapsed } in dashboard.panels() {
            let defaults = &json["fieldConfig"]["defaults"];
            assert!(!text(&json["title"]).is_empty(), "{location}");
            let description = text(&json["description"]);
            assert!(description.len() > 20 && description.ends_with('.'), "{location}: {description}");
            let steps = list(&defaults["thresholds"]["steps"]);
            assert!(steps[0].get("value").is_some_and(Value::is_null), "{location}: the first threshold must be null");
            let limits: Vec<_> = steps[1..].iter().map(|step| step["value"].as_f64().unwrap()).collect();
            assert!(limits.is_sorted_by(|a, b| a < b), "{location}: {limits:?}");
            assert!(!list(&json["targets"]).is_empty(), "{location}: no query");
            assert_eq!(json["datasource"], json!({ "type": "prometheus", "uid": "${datasource}" }), "{location}");
            for (target, name) in list(&json["targets"]).iter().zip("ABCDEFGH".chars()) {
                assert_eq!(target["datasource"], json["datasource"], "{location}");
                assert_eq!(target["refId"], name.to_string(), "{location}");
                assert_ne!(target["instant"], target["range"], "{location}");
                // With a range query, a stat panel would show an old value as the current one.
                assert!(json["type"] != "stat" || target["instant"] == true, "{location}");
            }
            if collapsed {
                assert!(description.contains("Empty"), "{location}: the description must say when the panel is empty");
            }
        }
    }
}

#[test]
fn the_first_row_has_status_panels_and_alerts_and_only_the_last_may_be_collapsed() {
    for dashboard in dashboards() {
        let stem = dashboard.stem;
        let first: Vec<_> =
            list(&dashboard.json["panels"])[1..].iter().take_while(|panel| panel["type"] != "row").collect();
        let (alerts, first) = first.split_last().unwrap();
        assert_eq!((&alerts["type"], &alerts["gridPos"]["w"]), (&json!("table"), &json!(24)), "{stem}");
        assert!(text(&alerts["targets"][0]["expr"]).contains("ALERTS{alertstate=\"firing\""), "{stem}");
        assert!(
            alerts["fieldConfig"]["overrides"].to_string().contains(&format!("{RUNBOOKS}${{__value.raw}}.html")),
            "{stem}"
        );
        assert!(first.len() >= 4 && first.iter().all(|panel| panel["type"] == "stat"), "{stem}");
        let colored =
            first.iter().filter(|panel| list(&panel["fieldConfig"]["defaults"]["thresholds"]["steps"]).len() > 1);
        assert!(colored.count() >= 4, "{stem}: the first row needs colored status panels");
        let rows: Vec<_> = list(&dashboard.json["panels"]).iter().filter(|panel| panel["type"] == "row").collect();
        assert!(rows[..rows.len() - 1].iter().all(|row| row["collapsed"] == false), "{stem}");
    }
}

#[test]
fn an_unknown_value_is_not_green() {
    let grey = json!([{
        "type": "special",
        "options": { "match": "null+nan", "result": { "color": "#808080", "index": 0 } },
    }]);
    for dashboard in dashboards() {
        for Panel { json, location, .. } in dashboard.panels() {
            let defaults = &json["fieldConfig"]["defaults"];
            let steps = list(&defaults["thresholds"]["steps"]);
            if json["type"] == "stat" && steps.len() > 1 && steps[0]["color"] == "green" {
                assert_eq!(defaults["mappings"], grey, "{location}");
                assert!(!text(&defaults["noValue"]).is_empty(), "{location}: noValue is missing");
            }
        }
    }
}

#[test]
fn variables_select_data_source_job_and_instance() {
    for dashboard in dashboards() {
        let stem = dashboard.stem;
        let names: Vec<_> = dashboard.variables().iter().map(|variable| text(&variable["name"])).collect();
        assert_eq!(names[..3], ["datasource", "job", "instance"], "{stem}");
        for variable in dashboard.variables() {
            let location = format!("{stem}: ${}", text(&variable["name"]));
            if variable["type"] == "datasource" {
                assert_eq!((&variable["label"], &variable["query"]), (&json!("Data source"), &json!("prometheus")));
                continue;
            }
            assert_eq!(variable["type"], "query", "{location}");
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{location}");
            assert_eq!(text(&variable["label"]).to_lowercase(), text(&variable["name"]), "{location}");
            assert_eq!((&variable["multi"], &variable["includeAll"]), (&json!(true), &json!(true)), "{location}");
            // Every series has a job and an instance. Series for a whole queue system have no queue.
            let all = match (stem, text(&variable["name"])) {
                ("overview", _) => Value::Null, // the listed values only, not every target of this Prometheus
                (_, "queue") => json!(".*"),
                _ => json!(".+"),
            };
            assert_eq!(variable.get("allValue").unwrap_or(&Value::Null), &all, "{location}");
            assert_eq!(variable["refresh"], 2, "{location}: must refresh when the time range changes");
            assert_eq!(variable["query"]["query"], variable["definition"], "{location}");
            assert!(text(&variable["definition"]).starts_with("label_values("), "{location}");
        }
    }
}

/// Four scrapes fit into `$__rate_interval` at a scrape interval of 60 s, even with Grafana's default data source.
#[test]
fn rates_have_data_at_a_scrape_interval_of_a_minute() {
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            for target in list(&panel.json["targets"]) {
                let interval = text(&target["expr"]).contains("$__rate_interval").then_some("1m");
                assert_eq!(target["interval"].as_str(), interval, "{}", panel.location);
            }
        }
    }
}

#[test]
fn every_link_points_to_a_dashboard_or_a_runbook() {
    let mut links = 0;
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            for link in list(&panel.json["fieldConfig"]["defaults"]["links"]) {
                if let Some(page) = runbook(text(&link["url"])) {
                    let file = repository().join(format!("docs/runbooks/{page}.md"));
                    assert!(file.is_file(), "{}: {link}", panel.location);
                    continue;
                }
                let uid = text(&link["url"]).strip_prefix("/d/exporters-").and_then(|rest| rest.split('?').next());
                assert!(uid.is_some_and(|stem| STEMS.contains(&stem)), "{}: {link}", panel.location);
                links += 1;
            }
        }
    }
    assert!(links >= 4, "the overview must link to every other dashboard");
}

/// The value of the first occurrence of a key in a YAML file.
fn first_value(file: &str, key: &str) -> String {
    let text = read(file);
    let found = text.lines().find_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key));
    found.unwrap_or_else(|| panic!("{file}: no {key}")).trim().to_owned()
}

#[test]
fn the_data_source_is_the_prometheus_of_the_compose_file() {
    let file = "grafana/provisioning/datasources/prometheus.yml";
    assert_eq!(first_value(file, "uid:"), "prometheus");
    // Grafana derives $__rate_interval from it.
    assert_eq!(first_value(file, "timeInterval:"), first_value("prometheus/prometheus.yml", "scrape_interval:"));
    assert_eq!(first_value(".env", "PROMETHEUS_VERSION=v"), first_value(file, "prometheusVersion:"));
    let folder = first_value("grafana/provisioning/dashboards/exporters.yml", "path:");
    let compose = read("docker-compose.yml");
    assert!(compose.contains(&format!("./grafana/dashboards:{folder}:ro")));
    // docs/compose.md shows how to let the links to runbooks lead there.
    assert!(compose.contains("./docs/runbooks:/usr/share/grafana/public/runbooks:ro"));
    for dashboard in dashboards() {
        assert_eq!(dashboard.variables()[0]["current"]["value"], "prometheus", "{}", dashboard.stem);
    }
}
