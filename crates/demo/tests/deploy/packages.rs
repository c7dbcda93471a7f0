//! Manual pages, completions and Debian packages.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use exporter_common::testing::{command, real, run};

use crate::{DEMO, EXPORTERS, released};

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Compares a folder with its expected files; `UPDATE_EXPECT=1` writes them.
fn assert_folder(folder: &str, expected: &BTreeMap<String, String>) {
    let folder = Path::new(WORKSPACE).join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in expected {
        expect_test::expect_file![folder.join(name)].assert_eq(text);
    }
    let found = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), expected.keys().cloned().collect(), "{}", folder.display());
}

/// The output of an exporter. The demo's program runs the exporter by whose name it is called.
fn output(exporter: &str, arguments: &[&str]) -> String {
    let output = command(DEMO).arg0(exporter).args(arguments).output().unwrap();
    assert!(output.status.success(), "{exporter} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn manual_pages_are_up_to_date() {
    let mut pages = BTreeMap::new();
    for (name, line) in EXPORTERS {
        pages.insert(format!("{name}.1"), output(name, &["man"]));
        for subcommand in released(*line).get_subcommands().map(clap::Command::get_name) {
            pages.insert(format!("{name}-{subcommand}.1"), output(name, &["man", subcommand]));
        }
    }
    for (name, page) in &pages {
        let statuses = page.split_once(r#".SH "EXIT STATUS""#).map(|(_, statuses)| statuses);
        assert!(statuses.is_some_and(|statuses| statuses.contains("\\fB2\\fR\n")), "{name}");
        assert!(page.is_ascii(), "{name}: man cannot show other characters in the locale C");
        assert!(!page.contains("\\fI\\fR"), "{name}: an argument without a name");
    }
    assert_folder("deploy/man", &pages);
}

#[test]
fn completions_are_up_to_date() {
    let mut scripts = BTreeMap::new();
    for (name, _) in EXPORTERS {
        for (shell, file) in
            [("bash", format!("{name}.bash")), ("fish", format!("{name}.fish")), ("zsh", format!("_{name}"))]
        {
            scripts.insert(file, output(name, &["completions", shell]));
        }
    }
    assert_folder("deploy/completions", &scripts);
}

#[test]
fn bash_completes_flags_and_their_values() {
    let bash = real("bash").unwrap();
    for (line, expected) in [
        ("cpu-exporter --web.tel", "--web.telemetry-path"),
        ("cpu-exporter --collector.press", "--collector.pressure"),
        ("cpu-exporter health", "healthcheck"),
        ("cpu-exporter --log.format l", "logfmt"),
        ("cpu-exporter --log.level w", "warn"),
        ("cpu-exporter completions f", "fish"),
        ("cpu-exporter man health", "healthcheck"),
        ("httpd-log-exporter expl", "explain"),
        ("httpd-log-exporter --access-log.format combined_t", "combined_time"),
        ("httpd-log-exporter explain --access-log.format hap", "haproxy"),
        ("app-status-exporter --poll.i", "--poll.interval"),
        ("queue-exporter --queue.system rabb", "rabbitmq"),
    ] {
        let name = line.split(' ').next().unwrap();
        let function = name.replace('-', "__");
        let script = format!(
            "source {WORKSPACE}/deploy/completions/{name}.bash\n\
             COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _{function} {name} \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output = run(bash.to_str().unwrap(), ["--norc", "-c", &script]);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(stdout.trim(), expected, "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Mode and path of the files in a package; `{}` is the program's name.
const CONTENTS: &[(&str, &str)] = &[
    ("-rwxr-xr-x", "./usr/bin/{}"),
    ("-rw-r--r--", "./usr/lib/systemd/system/{}.service"),
    ("-rw-r--r--", "./usr/lib/systemd/system/{}.socket"),
    ("-rw-r--r--", "./etc/default/{}"),
    ("-rw-r--r--", "./usr/share/man/man1/{}.1.gz"),
    ("-rw-r--r--", "./usr/share/man/man1/{}-healthcheck.1.gz"),
    ("-rw-r--r--", "./usr/share/man/man1/{}-man.1.gz"),
    ("-rw-r--r--", "./usr/share/bash-completion/completions/{}"),
    ("-rw-r--r--", "./usr/share/fish/vendor_completions.d/{}.fish"),
    ("-rw-r--r--", "./usr/share/zsh/vendor-completions/_{}"),
    ("-rw-r--r--", "./usr/share/doc/{}/copyright"),
    ("-rw-r--r--", "./usr/share/doc/{}/{}.md"),
];

/// Builds a package and returns its information and contents. It is unpacked to `root` in the folder.
fn package(name: &str, folder: &Path) -> Option<(String, String)> {
    let (_, dpkg) = (real("cargo-deb")?, real("dpkg-deb")?);
    // A release build is not needed: another small program is packed under the name.
    let target = folder.join("target");
    std::fs::create_dir_all(target.join("release")).unwrap();
    std::fs::copy(&dpkg, target.join("release").join(name)).unwrap();
    let file = folder.join(format!("{name}.deb"));
    let output = Command::new(env!("CARGO"))
        .args(["deb", "--no-build", "--no-strip", "--fast", "-p", name, "-o"])
        .arg(&file)
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(WORKSPACE)
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !message.contains("warning"), "{name}: {message}");
    let dpkg_deb = |flag: &str| {
        let output = run(dpkg.to_str().unwrap(), [flag, file.to_str().unwrap()]);
        String::from_utf8(output.stdout).unwrap()
    };
    let unpacked = Command::new(&dpkg).arg("-R").arg(&file).arg(folder.join("root")).status().unwrap();
    assert!(unpacked.success());
    Some((dpkg_deb("--info"), dpkg_deb("--contents")))
}

#[test]
fn every_package_has_its_program_units_manual_and_completions() {
    for (name, _) in EXPORTERS {
        let folder = tempfile::tempdir().unwrap();
        let Some((info, contents)) = package(name, folder.path()) else { return };
        for line in [&format!("Package: {name}"), "Section: net", "Architecture: ", "Depends: ", "Maintainer: "] {
            assert!(info.lines().any(|text| text.trim_start().starts_with(line)), "{name}: no {line:?} in {info}");
        }
        let version = format!("Version: {}", env!("CARGO_PKG_VERSION"));
        assert!(info.contains(&version), "{name}: {info}");
        for (mode, path) in CONTENTS {
            let path = path.replace("{}", name);
            let line = contents.lines().find(|line| line.ends_with(&format!(" {path}")));
            let line = line.unwrap_or_else(|| panic!("{name} has no {path}:\n{contents}"));
            assert!(line.starts_with(mode) && (line.contains("root/root") || line.contains(" 0/0 ")), "{line}");
        }
        let others = EXPORTERS.iter().filter(|(other, _)| other != name);
        for (other, _) in others {
            assert!(!contents.contains(other), "{name} contains a file of {other}:\n{contents}");
        }
        let root = folder.path().join("root");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        assert_eq!(read("DEBIAN/conffiles").trim(), format!("/etc/default/{name}"));
        for script in ["postinst", "prerm", "postrm"] {
            let file = format!("{WORKSPACE}/deploy/debian/{script}");
            assert_eq!(read(&format!("DEBIAN/{script}")), std::fs::read_to_string(file).unwrap());
        }
    }
}
