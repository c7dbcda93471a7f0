//! `healthcheck`: asks the running exporter's `/-/healthy`, for containers that have no curl.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::flags::ListenAddress;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Succeeds when the exporter answers 200 at one of its addresses.
pub(crate) fn check(addresses: &[ListenAddress]) -> Result<()> {
    let mut result = Ok(());
    for address in addresses {
        result = ask(address).with_context(|| format!("no healthy exporter at {address}"));
        if result.is_ok() {
            break;
        }
    }
    result
}

fn ask(address: &ListenAddress) -> Result<()> {
    // an exporter that listens on all addresses is asked on loopback
    let host = match address.host.as_deref() {
        None | Some("0.0.0.0" | "::") => "localhost",
        Some(host) => host,
    };
    let candidates = (host, address.port).to_socket_addrs().with_context(|| format!("cannot resolve {host}"))?;
    let mut connection = candidates
        .map(|candidate| TcpStream::connect_timeout(&candidate, TIMEOUT))
        .reduce(Result::or)
        .with_context(|| format!("{host} has no address"))??;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    connection.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n")?;
    let mut status = [0; 12];
    connection.read_exact(&mut status).context("it does not answer")?;
    if !status.ends_with(b" 200") {
        bail!("it answers {}", String::from_utf8_lossy(&status));
    }
    Ok(())
}
