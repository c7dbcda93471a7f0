//! Leaks: a long run of scrapes, reloads, attacks and faults, with the memory and the descriptors after each minute.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::program::{Program, Running, Start};
use crate::scraper::{Scraper, Scrapes};
use crate::site::{Site, Web};
use crate::stage::Stage;
use crate::{http1, http2, trouble};

const MINUTE: Duration = Duration::from_secs(60);
/// The duration of an attack, and of the pause after it.
const ATTACK: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_secs(1);
/// The divisor of the attacks' sizes.
const REDUCED: usize = 8;
const INTERVAL: Duration = Duration::from_millis(50);

const PLAIN: &[fn(&Stage)] = &[
    http1::slowloris,
    http1::idle,
    http1::keep_alive,
    http1::pipelining,
    http1::endless_pipelining,
    http1::unread,
    http1::huge_heads,
    http1::garbage,
];
const TLS: &[fn(&Stage)] = &[
    http2::half_handshakes,
    http2::rapid_reset,
    http2::continuation,
    http2::window_starvation,
    http1::idle,
    http1::garbage,
    trouble::bad_certificates,
];

/// One of the two running programs.
struct Soaked {
    web: Web,
    site: Site,
    running: Running,
    attacks: &'static [fn(&Stage)],
}

/// Runs a program with and without TLS, and prints a row for each minute.
pub(crate) fn soak(program: &Program, duration: Duration) {
    let soaked = [(Web::Plain, PLAIN), (Web::Tls, TLS)].map(|(web, attacks)| {
        let site = Site::new(4);
        // so few descriptors that idle connections are evicted
        let running =
            program.start(&site, web, Start { shell: "ulimit -n 256;".to_owned(), ..Start::default() }).unwrap();
        Soaked { web, site, running, attacks }
    });
    println!("| minute | scrapes in time | resident, descriptors, threads | with TLS |");
    println!("|---|---|---|---|");
    let started = Instant::now();
    for minute in 1.. {
        if started.elapsed() >= duration {
            break;
        }
        let scrapes = thread::scope(|scope| {
            let each = soaked.each_ref().map(|soaked| scope.spawn(|| soaked.minute(program)));
            each.map(|scrapes| scrapes.join().unwrap())
        });
        let all: usize = scrapes.iter().map(Scrapes::all).sum();
        let failed: Vec<_> = scrapes.iter().flat_map(|scrapes| &scrapes.failed).collect();
        let [plain, tls] = soaked.each_ref().map(Soaked::figures);
        println!("| {minute} | {} of {all} | {plain} | {tls} |", all - failed.len());
        failed.iter().take(3).for_each(|why| println!("<!-- {why} -->"));
    }
}

impl Soaked {
    /// Attacks and reloads the program in turn, while it is scraped.
    fn minute(&self, program: &Program) -> Scrapes {
        let tls = (self.web == Web::Tls).then(|| self.site.tls("http/1.1"));
        let scraper = Scraper::new(self.running.address, program.page, tls);
        let (started, stop) = (Instant::now(), AtomicBool::new(false));
        thread::scope(|scope| {
            let scrapes = scope.spawn(|| scraper.scrape_until(INTERVAL, &stop));
            for attack in self.attacks.iter().cycle() {
                if started.elapsed() + ATTACK + PAUSE > MINUTE {
                    break;
                }
                let stage = Stage {
                    program: &self.running,
                    site: &self.site,
                    page: program.page,
                    from: Ipv4Addr::LOCALHOST,
                    reduced: REDUCED,
                    until: Instant::now() + ATTACK,
                };
                attack(&stage);
                self.running.signal("HUP");
                thread::sleep(PAUSE);
            }
            stop.store(true, Ordering::Relaxed);
            scrapes.join().unwrap()
        })
    }

    fn figures(&self) -> String {
        let resident = self.running.memory("VmRSS:").map_or("exited".to_owned(), |memory| format!("{memory:.1} MB"));
        let threads = self.running.status("Threads:").unwrap_or_default();
        format!("{resident}, {}, {threads}", self.running.descriptors())
    }
}
