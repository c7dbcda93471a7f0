//! Pages that hang: FIFOs without a writer.

use std::os::unix::fs::FileTypeExt;
use std::process::Command;
use std::time::Duration;

use super::{Config, SUCCESS, config_text, program};
use exporter_common::testing::{Running, eventually, value};

fn make_fifo(config: &Config, name: &str) {
    let path = config.0.path().join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(std::fs::metadata(path).unwrap().file_type().is_fifo());
}

fn start(config: &Config, page: &str) -> Running {
    let url = format!("file:{}/{page}", config.0.path().display());
    Running::spawn(
        program().args(["--web.listen-address=127.0.0.1:0", "--scrape.timeout=200ms"]).args(config.flags(&url)),
    )
}

fn threads(exporter: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", exporter.pid())).unwrap().count()
}

#[test]
fn a_file_that_hangs_takes_one_thread_and_blocks_nothing_else() {
    let config = Config::new("");
    make_fifo(&config, "page.json");
    let exporter = start(&config, "page.json");
    for _ in 0..3 {
        assert_eq!(value(&exporter.scrape(), SUCCESS), Some(0.0));
    }
    let before = threads(&exporter);
    for _ in 0..20 {
        assert_eq!(value(&exporter.scrape(), SUCCESS), Some(0.0));
    }
    assert!(threads(&exporter) <= before + 1, "{before} threads before, {} after", threads(&exporter));
    exporter.signal("HUP");
    eventually("the reload is logged", || exporter.log().contains("msg=\"configuration loaded\"").then_some(()));
    exporter.scrape();
    assert!(threads(&exporter) <= before + 1, "a reload starts no other read");
    assert!(exporter.log().contains("no complete response within"), "{}", exporter.log());
    // the pending read ends with the first writer
    let path = config.0.path().join("page.json");
    std::fs::write(&path, "{\"up\": 1}").unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "{\"up\": 2}").unwrap();
    exporter.scrape_until("the file", |metrics| value(metrics, "up") == Some(2.0));
}

#[test]
fn a_page_that_hangs_does_not_affect_the_other_pages() {
    let config = Config::new("");
    config.write("status.json", "{\"up\": 1}");
    config.write("other.json", "{\"depth\": 3}");
    make_fifo(&config, "slow.json");
    let metrics =
        "    - {name: slow, url: /slow.json, path: '{.x}'}\n    - {name: depth, url: /other.json, path: '{.depth}'}\n";
    config.write("config.yml", &config_text(metrics, "up"));
    let exporter = start(&config, "status.json");
    let metrics = exporter.scrape();
    assert_eq!((value(&metrics, "up"), value(&metrics, "depth")), (Some(1.0), Some(3.0)), "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    let folder = config.0.path().display().to_string();
    for (page, success) in [("status.json", 1.0), ("other.json", 1.0), ("slow.json", 0.0)] {
        let series = format!("app_status_page_success{{page=\"{folder}/{page}\"}}");
        assert_eq!(value(&metrics, &series), Some(success), "{page}\n{metrics}");
    }
    std::thread::sleep(Duration::from_millis(100));
    let log = exporter.log();
    assert!(log.contains("slow.json: no complete response within") && !log.contains("status.json"), "{log}");
}
