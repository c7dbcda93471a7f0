//! Attacks over plain connections, and over basic auth.

use std::io::{Result, Write};
use std::net::TcpStream;

use crate::site::login;
use crate::stage::{Stage, discard, offer, still_open};

/// Request headers that arrive byte by byte.
pub(crate) fn slowloris(stage: &Stage) {
    let connect = || greeted(stage, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    stage.crowd(600, connect, |client| {
        offer(client, b"a")?;
        discard(client)
    });
}

/// Connections that send nothing.
pub(crate) fn idle(stage: &Stage) {
    stage.crowd(1500, || stage.connect(), discard);
}

/// Connections that stay open after a response.
pub(crate) fn keep_alive(stage: &Stage) {
    let request = stage.request("");
    stage.crowd(700, || greeted(stage, &request), discard);
}

/// 300 requests on each connection, whose responses the client does not read.
pub(crate) fn pipelining(stage: &Stage) {
    let requests = stage.request("").repeat(300);
    stage.crowd(
        400,
        || Ok((stage.connect()?, 0)),
        |(client, sent)| {
            *sent += offer(client, &requests[*sent..])?;
            still_open(client)
        },
    );
}

/// Pipelined requests without end, whose responses are read.
pub(crate) fn endless_pipelining(stage: &Stage) {
    let requests = stage.request("").repeat(50);
    stage.crowd(
        64,
        || stage.connect(),
        |client| {
            offer(client, &requests)?;
            discard(client)
        },
    );
}

/// Large responses that the client does not read.
pub(crate) fn unread(stage: &Stage) {
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stage.crowd(100, || greeted(stage, request), |client| still_open(client));
}

/// Endless request headers.
pub(crate) fn huge_heads(stage: &Stage) {
    let header = format!("X-Large: {}\r\n", "a".repeat(16 * 1024)).into_bytes();
    stage.crowd(
        200,
        || greeted(stage, b"GET /metrics HTTP/1.1\r\nHost: x\r\n"),
        |client| {
            offer(client, &header)?;
            discard(client)
        },
    );
}

/// Bytes that are not HTTP.
pub(crate) fn garbage(stage: &Stage) {
    stage.crowd(200, || greeted(stage, b"\x16\x03\x01 this is not a request \x00\r\n\r\n"), discard);
}

/// A new wrong password in every request.
pub(crate) fn wrong_passwords(stage: &Stage) {
    let mut guess = 0;
    stage.crowd(
        600,
        || stage.connect(),
        |client| {
            guess += 1;
            offer(client, &stage.request(&login(&guess.to_string())))?;
            discard(client)
        },
    );
}

/// A connection that has sent these bytes.
pub(crate) fn greeted(stage: &Stage, bytes: &[u8]) -> Result<TcpStream> {
    let mut client = stage.connect()?;
    client.write_all(bytes)?;
    Ok(client)
}
