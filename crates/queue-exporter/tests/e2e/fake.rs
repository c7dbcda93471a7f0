//! A fake HTTP server that responds, hangs, truncates or closes as a test defines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A request as tests see it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Path and query as sent.
    pub(crate) target: String,
    pub(crate) authorization: Option<String>,
    /// How long its connection was idle before it; `None` for the first request.
    pub(crate) waited: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status and a body.
    Complete(u16, String),
    /// No response, until the client disconnects.
    Hang,
    /// Half of this body, then the connection is closed.
    Truncated(String),
    /// The connection is closed.
    Close,
    /// A redirect to another address.
    Redirect(String),
    /// A body of this many bytes, whose length is not announced.
    Flood(usize),
}

impl Reply {
    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self::Complete(200, body.into())
    }
}

pub(crate) struct Fake {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    /// Serves on a free port for as long as the test runs.
    pub(crate) fn start(respond: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (seen, respond) = (requests.clone(), Arc::new(respond));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, respond) = (seen.clone(), respond.clone());
                thread::spawn(move || {
                    let _ = serve(stream, &seen, &*respond); // a client may disconnect at any time
                });
            }
        });
        Self { url, requests }
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    respond: &dyn Fn(&Request) -> Reply,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut responded: Option<Instant> = None;
    while let Some(Ok(first)) = lines.next() {
        let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let waited = responded.map(|responded| responded.elapsed());
        let mut request = Request { target, authorization: None, waited };
        for header in lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()) {
            if let Some((name, value)) = header.split_once(": ")
                && name.eq_ignore_ascii_case("authorization")
            {
                request.authorization = Some(value.to_owned());
            }
        }
        seen.lock().unwrap().push(request.clone());
        match respond(&request) {
            Reply::Complete(status, body) => {
                let length = body.len();
                // in one write: a second one would wait for the acknowledgement of the first
                let reply = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(reply.as_bytes())?;
                responded = Some(Instant::now());
            }
            Reply::Hang => return stream.read_to_end(&mut Vec::new()).map(drop),
            Reply::Truncated(body) => {
                let (length, half) = (body.len(), &body[..body.len() / 2]);
                return write!(stream, "HTTP/1.1 200 X\r\ncontent-length: {length}\r\n\r\n{half}");
            }
            Reply::Close => return Ok(()),
            Reply::Redirect(url) => {
                write!(stream, "HTTP/1.1 302 X\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n")?;
            }
            Reply::Flood(bytes) => {
                write!(stream, "HTTP/1.1 200 X\r\nconnection: close\r\n\r\n")?;
                let spaces = vec![b' '; 1 << 16];
                for _ in 0..bytes / spaces.len() {
                    stream.write_all(&spaces)?;
                }
                return Ok(());
            }
        }
    }
    Ok(())
}
