//! Torture: servers write and rotate logs while the exporter that follows them is killed. Counts lost and doubled lines.
//!
//! `cargo run --release -p httpd-log-exporter --example torture` prints one row for each kind of rotation, and the same
//! for mtail if it is installed. A seed gives the same sequence of writes, rotations and kills; the timing of the followers
//! differs.
#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::unwrap_used, reason = "a failure ends the program")]

mod follower;
mod log_server;
mod random;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use exporter_common::testing::real;

use crate::follower::{Counted, Follower, Program};
use crate::log_server::{LogServer, Rotation};
use crate::random::Random;

/// Follows logs of random servers through rotations and kills.
#[derive(Debug, Parser)]
struct Flags {
    /// Number of runs for each kind of rotation.
    #[arg(long, default_value_t = 10)]
    runs: u64,
    /// Seed of the first run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of rotations in a run.
    #[arg(long, default_value_t = 4)]
    rotations: u64,
    /// Number of kills in a run.
    #[arg(long, default_value_t = 4)]
    kills: u64,
    /// Number of concurrent runs.
    #[arg(long, default_value_t = 8)]
    concurrent: usize,
    /// Kind of rotation. Repeatable; default: all.
    #[arg(long)]
    rotation: Vec<Rotation>,
    /// Print one line for each run that lost or doubled lines.
    #[arg(long)]
    verbose: bool,
}

/// Number of writes in a run.
const WRITES: u64 = 600;

/// The result of one run, or the sum of several.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    runs: u64,
    written: u64,
    /// Lines that the rotation itself destroyed: written between copy and truncation.
    destroyed: u64,
    lost: u64,
    doubled: u64,
    inexact: u64,
    /// Lines whose counter decreased after a kill.
    decreased: u64,
    /// Lines that the exporter reported as lost.
    reported: u64,
}

fn main() -> ExitCode {
    if std::env::args_os().next().is_some_and(|name| follower::is_exporter(&name)) {
        return httpd_log_exporter::main();
    }
    let flags = Flags::parse();
    let programs: Vec<_> = [Program::Exporter].into_iter().chain(real("mtail").map(Program::Mtail)).collect();
    let kinds = if flags.rotation.is_empty() { Rotation::value_variants() } else { &flags.rotation };
    let runs: Vec<_> = programs
        .iter()
        .flat_map(|program| kinds.iter().map(move |kind| (program, *kind)))
        .flat_map(|(program, kind)| (flags.seed..flags.seed + flags.runs).map(move |seed| (program, kind, seed)))
        .collect();
    let (next, totals) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..flags.concurrent {
            scope.spawn(|| {
                while let Some((program, kind, seed)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run(program, *kind, *seed, &flags);
                    if flags.verbose && outcome.inexact > 0 {
                        println!("{} {} seed {seed}: {outcome:?}", program.name(), kind.name());
                    }
                    let mut totals = totals.lock().unwrap();
                    add(totals.entry((program.name(), *kind)).or_default(), &outcome);
                }
            });
        }
    });
    print(&totals.into_inner().unwrap());
    ExitCode::SUCCESS
}

/// One run: a server, and the program that follows its log.
fn run(program: &Program, kind: Rotation, seed: u64, flags: &Flags) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(seed);
    let mut server = LogServer::new(folder.path(), kind);
    let mut follower = Follower::new(program, folder.path(), kind.access_log());
    follower.start();
    let rotations: Vec<_> = (0..flags.rotations).map(|_| random.below(WRITES)).collect();
    let kills: Vec<_> = (0..flags.kills).map(|_| random.below(WRITES)).collect();
    let mut start_at = None;
    for write in 0..WRITES {
        server.write(random.below(8), &mut random);
        if kills.contains(&write) {
            follower.kill(random.below(3) == 0);
            start_at = Some(write + random.below(WRITES / 6));
        }
        if rotations.contains(&write) {
            server.rotate(&mut random);
        }
        if start_at.is_some_and(|start| start <= write) {
            start_at = None;
            follower.start();
        }
        thread::sleep(Duration::from_millis(random.below(20)));
    }
    follower.start();
    let Counted { lines, reported, decreased } = follower.finish(server.written);
    let lost = lines.iter().filter(|count| **count == 0).count() as u64;
    let doubled = lines.iter().map(|count| count.saturating_sub(1)).sum();
    let inexact = u64::from(lost + doubled > 0);
    let (written, destroyed) = (server.written, server.destroyed);
    let reported = reported / log_server::LINE;
    Outcome { runs: 1, written, destroyed, lost, doubled, inexact, decreased, reported }
}

fn add(total: &mut Outcome, one: &Outcome) {
    total.runs += one.runs;
    total.written += one.written;
    total.destroyed += one.destroyed;
    total.lost += one.lost;
    total.doubled += one.doubled;
    total.inexact += one.inexact;
    total.decreased += one.decreased;
    total.reported += one.reported;
}

fn print(totals: &BTreeMap<(&str, Rotation), Outcome>) {
    println!(
        "| program | rotation | runs | inexact | lines written | destroyed | lost | doubled | decreased | reported |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for ((program, kind), total) in totals {
        let Outcome { runs, written, destroyed, lost, doubled, inexact, decreased, reported } = total;
        println!(
            "| {program} | {} | {runs} | {inexact} | {written} | {destroyed} | {lost} | {doubled} | {decreased} | {reported} |",
            kind.name()
        );
    }
}
