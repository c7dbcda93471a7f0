//! An exporter of many targets: whether they accept TCP connections, and how fast.
//!
//! `cargo run --example probe-exporter -- --probe.target='localhost:*'`, then request
//! `http://localhost:9998/probe?target=localhost:22&module=tcp4`.

use std::time::Instant;

use scrapewright::{Family, ProbeFlags, ProbeRequest, Prober, Program, Scrape, anyhow, async_trait, clap};

#[derive(clap::Args)]
struct Flags {
    #[command(flatten)]
    probe: ProbeFlags,
}

/// Connects to the target. The module restricts the IP version.
struct Connect;

#[async_trait]
impl Prober for Connect {
    async fn probe(&self, request: &ProbeRequest, scrape: &Scrape) -> anyhow::Result<()> {
        let addresses = tokio::net::lookup_host(request.target()).await?;
        let wanted = |address: &std::net::SocketAddr| match request.module() {
            "tcp4" => address.is_ipv4(),
            "tcp6" => address.is_ipv6(),
            _ => true,
        };
        let addresses: Vec<_> = addresses.filter(wanted).collect();
        anyhow::ensure!(!addresses.is_empty(), "no address of this IP version");
        let started = Instant::now();
        tokio::net::TcpStream::connect(&addresses[..]).await?;
        let seconds = started.elapsed().as_secs_f64();
        let help = "Duration of the TCP connect in seconds.";
        scrape.add(Family::gauge("probe_tcp_connect_seconds", help, &[]).value(seconds));
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    Program::new("probe-exporter", "1.0.0", "Exports whether targets accept TCP connections.", 9998)
        .main(|flags: Flags, _| Ok(flags.probe.probe(Connect).modules(["tcp", "tcp4", "tcp6"])))
}
