//! What an attack gets: the address of the program, the attackers' address, and bounds of size and time.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::program::Running;
use crate::site::Site;

/// The receive buffer of attackers, so that unread responses are on the exporter's side.
const RECEIVE_BUFFER: usize = 4096;
/// The pause between the rounds of a crowd.
const ROUND: Duration = Duration::from_millis(50);

pub(crate) struct Stage<'a> {
    pub(crate) program: &'a Running,
    pub(crate) site: &'a Site,
    pub(crate) page: &'a str,
    /// The address of the attackers.
    pub(crate) from: Ipv4Addr,
    /// The divisor of all sizes.
    pub(crate) reduced: usize,
    pub(crate) until: Instant,
}

impl Stage<'_> {
    /// A size, reduced for tests.
    pub(crate) fn size(&self, full: usize) -> usize {
        (full / self.reduced).max(1)
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// The request of a scrape, with additional headers.
    pub(crate) fn request(&self, headers: &str) -> Vec<u8> {
        format!("GET {} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n", self.page).into_bytes()
    }

    /// A non-blocking connection of an attacker.
    pub(crate) fn connect(&self) -> Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.bind(&SocketAddr::from((self.from, 0)).into())?;
        socket.connect_timeout(&self.program.address.into(), Duration::from_millis(200))?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    }

    /// Keeps clients connected until the end. `act` is called for each in turn; one that fails is replaced.
    pub(crate) fn crowd<C>(
        &self,
        count: usize,
        connect: impl Fn() -> Result<C>,
        mut act: impl FnMut(&mut C) -> Result<()>,
    ) {
        let mut crowd: Vec<Option<C>> = (0..self.size(count)).map(|_| None).collect();
        while !self.is_over() {
            for client in crowd.iter_mut().take_while(|_| !self.is_over()) {
                match client {
                    None => *client = connect().ok(), // refused: tried again in the next round
                    Some(connected) => {
                        if act(connected).is_err() {
                            *client = None;
                        }
                    }
                }
            }
            thread::sleep(ROUND);
        }
    }
}

/// Writes what the kernel accepts. Returns the number of bytes.
pub(crate) fn offer(stream: &mut impl Write, bytes: &[u8]) -> Result<usize> {
    match stream.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}

/// Discards received bytes. Fails if the connection is closed.
pub(crate) fn discard(stream: &mut impl Read) -> Result<()> {
    let mut buffer = [0; 16 * 1024];
    for _ in 0..8 {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fails if the connection was reset, without reading.
pub(crate) fn still_open(stream: &TcpStream) -> Result<()> {
    stream.take_error()?.map_or(Ok(()), Err::<(), Error>)
}
