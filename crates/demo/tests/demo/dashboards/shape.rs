//! The JSON of each dashboard, by the rules of Grafana's schema and of its dashboard linter, and some more.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Dashboard, Panel, STEMS, dashboards, list, read, repository, text};

/// What a dashboard of schema 42 has; a key that Grafana does not know is a slip of the pen.
const DASHBOARD: &[&str] = &[
    "annotations",
    "description",
    "editable",
    "fiscalYearStartMonth",
    "graphTooltip",
    "links",
    "liveNow",
    "panels",
    "preload",
    "refresh",
    "schemaVersion",
    "tags",
    "templating",
    "time",
    "timepicker",
    "timezone",
    "title",
    "uid",
    "version",
    "weekStart",
];
const ROW: &[&str] = &["collapsed", "gridPos", "id", "panels", "title", "type"];
const PANEL: &[&str] =
    &["datasource", "description", "fieldConfig", "gridPos", "id", "options", "targets", "title", "type"];
const TARGET: &[&str] = &["datasource", "editorMode", "expr", "format", "instant", "legendFormat", "range", "refId"];
const DEFAULTS: &[&str] =
    &["color", "custom", "decimals", "links", "mappings", "max", "min", "noValue", "thresholds", "unit"];
const LINK: &[&str] =
    &["asDropdown", "icon", "includeVars", "keepTime", "tags", "targetBlank", "title", "tooltip", "type", "url"];
const VARIABLE: &[&str] = &[
    "current",
    "hide",
    "includeAll",
    "label",
    "multi",
    "name",
    "options",
    "query",
    "refresh",
    "regex",
    "skipUrlSync",
    "type",
];

/// The kinds of panels, each with the options and the custom fields that it has.
const KINDS: &[(&str, &[&str], &[&str])] = &[
    (
        "timeseries",
        &["legend", "tooltip"],
        &[
            "axisBorderShow",
            "axisCenteredZero",
            "axisColorMode",
            "axisLabel",
            "axisPlacement",
            "barAlignment",
            "drawStyle",
            "fillOpacity",
            "gradientMode",
            "hideFrom",
            "insertNulls",
            "lineInterpolation",
            "lineWidth",
            "pointSize",
            "scaleDistribution",
            "showPoints",
            "spanNulls",
            "stacking",
            "thresholdsStyle",
        ],
    ),
    (
        "stat",
        &[
            "colorMode",
            "graphMode",
            "justifyMode",
            "orientation",
            "percentChangeColorMode",
            "reduceOptions",
            "showPercentChange",
            "textMode",
            "wideLayout",
        ],
        &[],
    ),
    (
        "state-timeline",
        &["alignValue", "legend", "mergeValues", "rowHeight", "showValue", "tooltip"],
        &["axisPlacement", "fillOpacity", "hideFrom", "insertNulls", "lineWidth", "spanNulls"],
    ),
    (
        "heatmap",
        &[
            "calculate",
            "cellGap",
            "cellValues",
            "color",
            "exemplars",
            "filterValues",
            "legend",
            "rowsFrame",
            "showValue",
            "tooltip",
            "yAxis",
        ],
        &["hideFrom", "scaleDistribution"],
    ),
    (
        "table",
        &["cellHeight", "frameIndex", "showHeader", "sortBy"],
        &["align", "cellOptions", "filterable", "inspect"],
    ),
];

/// The units that are used, all of them Grafana's own.
const UNITS: &[&str] =
    &["Bps", "bytes", "dateTimeFromNow", "dtdurations", "hertz", "mps", "ops", "percentunit", "reqps", "s", "short"];

/// Fails unless the object has every key of `must`, and no other but those of `may`.
fn assert_keys(place: &str, object: &Value, must: &[&str], may: &[&str]) {
    let keys: Vec<_> = object.as_object().unwrap_or_else(|| panic!("{place} is no object")).keys().collect();
    let missing: Vec<_> = must.iter().filter(|key| object.get(key).is_none()).collect();
    assert!(missing.is_empty(), "{place} lacks {missing:?}");
    let strange: Vec<_> =
        keys.iter().filter(|key| !must.contains(&key.as_str()) && !may.contains(&key.as_str())).collect();
    assert!(strange.is_empty(), "{place} has {strange:?}");
}

#[test]
fn there_is_a_dashboard_for_each_exporter_and_an_overview() {
    let folder = std::fs::read_dir(repository().join("grafana/dashboards")).unwrap();
    let files: BTreeSet<_> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let expected: BTreeSet<_> = STEMS.iter().map(|stem| format!("{stem}.json")).collect();
    assert_eq!(files, expected);
}

#[test]
fn every_dashboard_is_a_classic_one_that_nobody_edits_in_place() {
    for Dashboard { stem, json } in dashboards() {
        assert_keys(stem, &json, DASHBOARD, &[]);
        assert_eq!(json["schemaVersion"], 42, "{stem}");
        assert_eq!(json["uid"], format!("exporters-{stem}"));
        assert_eq!(json["editable"], false, "{stem}");
        assert_eq!(json["graphTooltip"], 1, "{stem}: panels share the crosshair");
        assert!(list(&json["tags"]).contains(&json!("exporters")), "{stem}");
        assert!(!text(&json["title"]).is_empty() && !text(&json["description"]).is_empty(), "{stem}");
        let [others, runbooks] = list(&json["links"]) else { panic!("{stem}: links to dashboards and to runbooks") };
        assert_keys(stem, others, LINK, &[]);
        assert_eq!((&others["type"], &others["tags"]), (&json!("dashboards"), &json!(["exporters"])), "{stem}");
        assert_keys(stem, runbooks, LINK, &[]);
        assert_eq!(runbooks["url"], "/public/runbooks/README.md", "{stem}");
    }
}

#[test]
fn panels_have_ids_of_their_own_and_do_not_overlap() {
    for dashboard in dashboards() {
        let stem = dashboard.stem;
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        let mut lay = |panel: &Value| {
            let place = format!("{stem}: {}", text(&panel["title"]));
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{place}: its id is another's");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{place} is outside the grid");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{place} overlaps another at {cell:?}");
            }
        };
        for panel in list(&dashboard.json["panels"]) {
            lay(panel);
            if panel["type"] == "row" {
                assert_keys(stem, panel, ROW, &[]);
                let inside = list(&panel["panels"]);
                assert_eq!(panel["collapsed"], !inside.is_empty(), "{stem}: an open row holds no panels itself");
                inside.iter().for_each(&mut lay);
            }
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_in_a_unit_that_grafana_knows() {
    for dashboard in dashboards() {
        for Panel { json, place, closed } in dashboard.panels() {
            let kind = KINDS.iter().find(|(name, ..)| json["type"] == *name);
            let (name, options, custom) = kind.unwrap_or_else(|| panic!("{place}: a {} is not expected", json["type"]));
            let transformed: &[&str] = if *name == "table" { &["transformations"] } else { &[] };
            assert_keys(&place, json, PANEL, transformed);
            assert_keys(&place, &json["options"], options, &[]);
            let defaults = &json["fieldConfig"]["defaults"];
            assert_keys(&place, defaults, &["unit", "thresholds", "color", "mappings"], DEFAULTS);
            if !custom.is_empty() {
                assert_keys(&place, &defaults["custom"], custom, &[]);
            }
            assert!(!text(&json["title"]).is_empty(), "{place}");
            let description = text(&json["description"]);
            assert!(description.len() > 20 && description.ends_with('.'), "{place}: {description}");
            assert!(UNITS.contains(&text(&defaults["unit"])), "{place}: {}", defaults["unit"]);
            let steps = list(&defaults["thresholds"]["steps"]);
            assert!(steps[0].get("value").is_some_and(Value::is_null), "{place}: the first step has no limit");
            let limits: Vec<_> = steps[1..].iter().map(|step| step["value"].as_f64().unwrap()).collect();
            assert!(limits.is_sorted_by(|a, b| a < b), "{place}: {limits:?}");
            assert!(!list(&json["targets"]).is_empty(), "{place}: it asks for nothing");
            assert_eq!(json["datasource"], json!({ "type": "prometheus", "uid": "${datasource}" }), "{place}");
            for (target, name) in list(&json["targets"]).iter().zip("ABCDEFGH".chars()) {
                assert_keys(&place, target, TARGET, &[]);
                assert_eq!(target["datasource"], json["datasource"], "{place}");
                assert_eq!(target["refId"], name.to_string(), "{place}");
                assert_ne!(target["instant"], target["range"], "{place}");
                // the last of a range may be long ago, and would be shown as if it were now
                assert!(json["type"] != "stat" || target["instant"] == true, "{place}");
            }
            if closed {
                assert!(description.contains("Empty"), "{place}: why it may be empty is to be said");
            }
        }
    }
}

#[test]
fn the_first_row_is_of_colours_and_of_alerts_and_only_the_last_may_be_closed() {
    for dashboard in dashboards() {
        let stem = dashboard.stem;
        let first: Vec<_> =
            list(&dashboard.json["panels"])[1..].iter().take_while(|panel| panel["type"] != "row").collect();
        let (alerts, first) = first.split_last().unwrap();
        assert_eq!((&alerts["type"], &alerts["gridPos"]["w"]), (&json!("table"), &json!(24)), "{stem}");
        assert!(text(&alerts["targets"][0]["expr"]).contains("ALERTS{alertstate=\"firing\""), "{stem}");
        assert!(
            alerts["fieldConfig"]["overrides"].to_string().contains("/public/runbooks/${__value.raw}.md"),
            "{stem}"
        );
        assert!(first.len() >= 4 && first.iter().all(|panel| panel["type"] == "stat"), "{stem}");
        let colours =
            first.iter().filter(|panel| list(&panel["fieldConfig"]["defaults"]["thresholds"]["steps"]).len() > 1);
        assert!(colours.count() >= 4, "{stem}: at three in the morning colours tell");
        let rows: Vec<_> = list(&dashboard.json["panels"]).iter().filter(|panel| panel["type"] == "row").collect();
        assert!(rows[..rows.len() - 1].iter().all(|row| row["collapsed"] == false), "{stem}");
    }
}

#[test]
fn a_number_is_green_only_where_it_is_known() {
    let grey = json!([{
        "type": "special",
        "options": { "match": "null+nan", "result": { "color": "#808080", "index": 0 } },
    }]);
    for dashboard in dashboards() {
        for Panel { json, place, .. } in dashboard.panels() {
            let defaults = &json["fieldConfig"]["defaults"];
            let steps = list(&defaults["thresholds"]["steps"]);
            if json["type"] == "stat" && steps.len() > 1 && steps[0]["color"] == "green" {
                assert_eq!(defaults["mappings"], grey, "{place}");
                assert!(!text(&defaults["noValue"]).is_empty(), "{place}: it does not say that nothing is known");
            }
        }
    }
}

#[test]
fn variables_choose_the_data_source_the_job_and_the_instance() {
    for dashboard in dashboards() {
        let stem = dashboard.stem;
        let names: Vec<_> = dashboard.variables().iter().map(|variable| text(&variable["name"])).collect();
        assert_eq!(names[..3], ["datasource", "job", "instance"], "{stem}");
        for variable in dashboard.variables() {
            let place = format!("{stem}: ${}", text(&variable["name"]));
            if variable["type"] == "datasource" {
                assert_keys(&place, variable, VARIABLE, &[]);
                assert_eq!((&variable["label"], &variable["query"]), (&json!("Data source"), &json!("prometheus")));
                continue;
            }
            assert_keys(&place, variable, VARIABLE, &["allValue", "datasource", "definition", "sort"]);
            assert_eq!(variable["type"], "query", "{place}");
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{place}");
            assert_eq!(text(&variable["label"]).to_lowercase(), text(&variable["name"]), "{place}");
            assert_eq!((&variable["multi"], &variable["includeAll"]), (&json!(true), &json!(true)), "{place}");
            // every series has a job and an instance; what a system says of all of its queues together has no queue
            let all = if variable["name"] == "queue" { ".*" } else { ".+" };
            assert_eq!(variable["allValue"], all, "{place}");
            assert_eq!(variable["refresh"], 2, "{place}: its values are those of the time that is shown");
            assert_eq!(variable["query"]["query"], variable["definition"], "{place}");
            assert!(text(&variable["definition"]).starts_with("label_values("), "{place}");
        }
    }
}

#[test]
fn every_link_leads_to_a_dashboard_or_a_runbook() {
    let mut links = 0;
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            for link in list(&panel.json["fieldConfig"]["defaults"]["links"]) {
                if let Some(page) = text(&link["url"]).strip_prefix("/public/runbooks/") {
                    assert!(repository().join("docs/runbooks").join(page).is_file(), "{}: {link}", panel.place);
                    continue;
                }
                let uid = text(&link["url"]).strip_prefix("/d/exporters-").and_then(|rest| rest.split('?').next());
                assert!(uid.is_some_and(|stem| STEMS.contains(&stem)), "{}: {link}", panel.place);
                links += 1;
            }
        }
    }
    assert!(links >= 4, "the overview leads to each of the others");
}

/// What a YAML file of ours says after a key, wherever that first stands.
fn after(file: &str, key: &str) -> String {
    let text = read(file);
    let found = text.lines().find_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key));
    found.unwrap_or_else(|| panic!("{file}: no {key}")).trim().to_owned()
}

#[test]
fn the_data_source_is_the_prometheus_that_is_there() {
    let file = "grafana/provisioning/datasources/prometheus.yml";
    assert_eq!(after(file, "uid:"), "prometheus");
    // $__rate_interval is made of it
    assert_eq!(after(file, "timeInterval:"), after("prometheus/prometheus.yml", "scrape_interval:"));
    assert_eq!(after(".env", "PROMETHEUS_VERSION=v"), after(file, "prometheusVersion:"));
    let folder = after("grafana/provisioning/dashboards/exporters.yml", "path:");
    let compose = read("docker-compose.yml");
    assert!(compose.contains(&format!("./grafana/dashboards:{folder}:ro")));
    // where the links to runbooks lead
    assert!(compose.contains("./docs/runbooks:/usr/share/grafana/public/runbooks:ro"));
    for dashboard in dashboards() {
        assert_eq!(dashboard.variables()[0]["current"]["value"], "prometheus", "{}", dashboard.stem);
    }
}
