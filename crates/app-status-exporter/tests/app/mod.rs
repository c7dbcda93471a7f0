//! A test application whose behavior can change while it runs.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The page of a healthy application.
pub(crate) const CLASSIC: &str = include_str!("../pages/classic.json");

/// The behavior of the application on a request.
#[derive(Clone)]
pub(crate) enum Behavior {
    /// Sends these bytes and keeps the connection open.
    Responds(String),
    /// Sends these bytes and closes the connection without announcing it.
    RespondsAndCloses(String),
    /// Sends these bytes, but closes a connection that was idle for this long.
    RespondsUnlessIdle(String, Duration),
    /// Sends this number of blanks, in chunks, before the page.
    Floods(usize),
    /// Never responds.
    Hangs,
    /// Sends one byte at a time, without end.
    Trickles,
    /// Sends a part of the page and resets the connection.
    Resets,
}

/// A JSON response.
pub(crate) fn response(status: &str, body: &str) -> Behavior {
    Behavior::Responds(raw(status, "Content-Type: application/json\r\n", body))
}

/// The bytes of a response.
pub(crate) fn raw(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A running application. It stops when it is dropped.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accept_thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    behavior: Mutex<Behavior>,
    down: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl App {
    pub(crate) fn start(behavior: Behavior) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), behavior).unwrap()
    }

    pub(crate) fn start_at(address: SocketAddr, behavior: Behavior) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            behavior: Mutex::new(behavior),
            down: AtomicBool::new(false),
            connections: Mutex::default(),
            accepted: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let accept_thread = thread::spawn({
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
        Ok(Self { address, shared, accept_thread: Some(accept_thread) })
    }

    /// The URL of the status page.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/status", self.address)
    }

    /// Changes the behavior for the following requests.
    pub(crate) fn set(&self, behavior: Behavior) {
        *self.shared.behavior.lock().unwrap() = behavior;
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// The headers of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.shared.down.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the accept thread
        if let Some(accept_thread) = self.accept_thread.take() {
            accept_thread.join().unwrap();
        }
        for connection in self.shared.connections.lock().unwrap().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// Serves one connection until the client closes it. Errors are ignored.
fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut last_response: Option<Instant> = None;
    loop {
        let first = byte(&mut stream)?;
        let idle = last_response.map(|time| time.elapsed());
        let behavior = shared.behavior.lock().unwrap().clone();
        if matches!(behavior, Behavior::Resets) {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"current_requests\": 7,").ok()?;
            // closing with unread data resets the connection, once the sent data has arrived
            thread::sleep(Duration::from_millis(50));
            return close(&stream, shared);
        }
        let mut head = vec![first];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(byte(&mut stream)?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        for _ in 0..body_length(&head) {
            byte(&mut stream)?;
        }
        shared.requests.lock().unwrap().push(head);
        match behavior {
            Behavior::RespondsUnlessIdle(_, limit) if idle >= Some(limit) => return close(&stream, shared),
            Behavior::Responds(response) | Behavior::RespondsUnlessIdle(response, _) => {
                stream.write_all(response.as_bytes()).ok()?
            }
            Behavior::RespondsAndCloses(response) => {
                stream.write_all(response.as_bytes()).ok()?;
                return close(&stream, shared);
            }
            Behavior::Floods(size) => {
                let chunk = " ".repeat(1 << 20);
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").ok()?;
                for _ in 0..size >> 20 {
                    stream.write_all(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes()).ok()?;
                }
                stream.write_all(format!("{:x}\r\n{CLASSIC}\r\n0\r\n\r\n", CLASSIC.len()).as_bytes()).ok()?;
            }
            Behavior::Hangs => {
                let _ = byte(&mut stream)?; // until the client closes
            }
            Behavior::Trickles => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").ok()?;
                loop {
                    stream.write_all(b" ").ok()?;
                    thread::sleep(Duration::from_millis(20));
                }
            }
            Behavior::Resets => unreachable!("handled above"),
        }
        last_response = Some(Instant::now());
    }
}

/// The length of the body of a request.
fn body_length(head: &str) -> usize {
    let length = head.lines().filter_map(|line| line.split_once(": "));
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, length)| length);
    length.map(|length| length.parse::<usize>().unwrap()).sum()
}

/// Closes a connection by dropping its last handles.
fn close(stream: &TcpStream, shared: &Shared) -> Option<()> {
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
