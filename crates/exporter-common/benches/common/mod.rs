//! What benchmarks share: release programs, and a web server for exporters that read one.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

/// Builds programs with the release profile.
pub(crate) fn build(programs: &[&str]) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let packages = programs.iter().flat_map(|program| ["--package", program]);
    let built = Command::new(cargo).args(["build", "--release", "--quiet"]).args(packages).status().unwrap();
    assert!(built.success());
}

pub(crate) fn binary(program: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    deps.parent().unwrap().join(program)
}

/// A web server on loopback that returns a JSON page for every path.
pub(crate) struct Pages {
    pub(crate) url: String,
}

impl Pages {
    pub(crate) fn serve(page: fn(&str) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || respond(connection, page));
            }
        });
        Self { url }
    }
}

/// Serves requests on one connection until it is closed.
fn respond(connection: TcpStream, page: fn(&str) -> String) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while header != "\r\n" {
            header.clear();
            reader.read_line(&mut header)?;
        }
        let body = page(request.split(' ').nth(1).unwrap_or_default());
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        reader.get_mut().write_all((head + &body).as_bytes())?;
    }
}
