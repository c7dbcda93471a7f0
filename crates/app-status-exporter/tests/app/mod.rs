//! An application that can be broken in many ways while it runs.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The page of a healthy application.
pub(crate) const CLASSIC: &str = include_str!("../pages/classic.json");

/// What the application does with a request.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Answers these bytes and keeps the connection.
    Answers(String),
    /// Answers these bytes and closes the connection without having announced it.
    AnswersAndCloses(String),
    /// Answers these bytes, except on a connection that has waited this long for its next request: that is closed.
    AnswersUnlessWaited(String, Duration),
    /// Answers so many bytes of blanks, in chunks, before a page.
    Floods(usize),
    /// Never answers.
    Hangs,
    /// Answers a byte now and then, for ever.
    Trickles,
    /// Announces a page, sends its beginning and resets the connection.
    Resets,
}

/// An answer with a status line and a body.
pub(crate) fn answer(status: &str, body: &str) -> Manner {
    Manner::Answers(raw(status, "Content-Type: application/json\r\n", body))
}

/// The bytes of an answer.
pub(crate) fn raw(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The application; it is down once this is dropped.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<thread::JoinHandle<()>>,
}

struct Shared {
    manner: Mutex<Manner>,
    down: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl App {
    pub(crate) fn start(manner: Manner) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), manner).unwrap()
    }

    pub(crate) fn start_at(address: SocketAddr, manner: Manner) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            down: AtomicBool::new(false),
            connections: Mutex::default(),
            accepted: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let accepting = thread::spawn({
            let shared = shared.clone();
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if shared.down.load(Ordering::SeqCst) {
                        return;
                    }
                    shared.accepted.fetch_add(1, Ordering::SeqCst);
                    shared.connections.lock().unwrap().push(stream.try_clone().unwrap());
                    let shared = shared.clone();
                    thread::spawn(move || {
                        let peer = stream.peer_addr().ok();
                        serve(stream, &shared);
                        forget(peer, &shared);
                    });
                }
            }
        });
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// The status page's URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/status", self.address)
    }

    /// What it does from the next request on.
    pub(crate) fn now(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// The heads of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.shared.down.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes what accepts
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
        for connection in self.shared.connections.lock().unwrap().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// Serves one connection until the client closes it; its errors are the client's business.
fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut answered: Option<Instant> = None;
    loop {
        let first = byte(&mut stream)?;
        let waited = answered.map(|answered| answered.elapsed());
        let manner = shared.manner.lock().unwrap().clone();
        if matches!(manner, Manner::Resets) {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"current_requests\": 7,").ok()?;
            // closing with the rest of the request unread resets the connection, once what was sent has arrived
            thread::sleep(Duration::from_millis(50));
            return stop(&stream, shared);
        }
        let mut head = vec![first];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(byte(&mut stream)?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        for _ in 0..body(&head) {
            byte(&mut stream)?;
        }
        shared.requests.lock().unwrap().push(head);
        match manner {
            Manner::AnswersUnlessWaited(_, long) if waited >= Some(long) => return stop(&stream, shared),
            Manner::Answers(answer) | Manner::AnswersUnlessWaited(answer, _) => {
                stream.write_all(answer.as_bytes()).ok()?
            }
            Manner::AnswersAndCloses(answer) => {
                stream.write_all(answer.as_bytes()).ok()?;
                return stop(&stream, shared);
            }
            Manner::Floods(size) => {
                let chunk = " ".repeat(1 << 20);
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").ok()?;
                for _ in 0..size >> 20 {
                    stream.write_all(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes()).ok()?;
                }
                stream.write_all(format!("{:x}\r\n{CLASSIC}\r\n0\r\n\r\n", CLASSIC.len()).as_bytes()).ok()?;
            }
            Manner::Hangs => {
                let _ = byte(&mut stream)?; // until the client gives up
            }
            Manner::Trickles => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").ok()?;
                loop {
                    stream.write_all(b" ").ok()?;
                    thread::sleep(Duration::from_millis(20));
                }
            }
            Manner::Resets => unreachable!("handled above"),
        }
        answered = Some(Instant::now());
    }
}

/// How long the body of a request is.
fn body(head: &str) -> usize {
    let length = head.lines().filter_map(|line| line.split_once(": "));
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, length)| length);
    length.map(|length| length.parse::<usize>().unwrap()).sum()
}

/// Drops the last handles of a connection, which closes it.
fn stop(stream: &TcpStream, shared: &Shared) -> Option<()> {
    forget(stream.peer_addr().ok(), shared);
    None
}

fn forget(peer: Option<SocketAddr>, shared: &Shared) {
    shared.connections.lock().unwrap().retain(|other| other.peer_addr().ok().is_some_and(|other| Some(other) != peer));
}

fn byte(stream: &mut TcpStream) -> Option<u8> {
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return None,
            Ok(_) => return Some(byte[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}
