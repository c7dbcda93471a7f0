//! Basic auth.

use std::thread;

use exporter_common::testing::Running;

use super::client::{Client, request, tcp};
use super::pki::{Pki, TLS};
use super::start;

/// The hash of alice's password "alice123", in one of bcrypt's versions.
fn users(version: &str) -> String {
    let hash = bcrypt::hash_with_salt("alice123", 6, [5; 16]).unwrap().to_string();
    format!("basic_auth_users:\n  alice: {}\n", hash.replace("$2b$", version))
}

fn credentials(user: &str, password: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn status(exporter: &Running, user: &str, password: &str) -> u16 {
    exporter.get("/metrics", &[("Authorization", &credentials(user, password))]).status
}

#[test]
fn requests_without_a_valid_password_are_refused() {
    let pki = Pki::new();
    for version in ["$2a$", "$2b$", "$2y$"] {
        let exporter = start(&pki, &users(version));
        let refused = exporter.get("/metrics", &[]);
        let header = |name| refused.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!((refused.status, refused.body.as_str()), (401, "Unauthorized\n"));
        assert_eq!(header("www-authenticate"), Some("Basic"));
        assert_eq!(header("x-content-type-options"), Some("nosniff"));
        for _ in 0..2 {
            assert_eq!(status(&exporter, "alice", "alice123"), 200);
            assert_eq!(status(&exporter, "alice", "alice1234"), 401);
            assert_eq!(status(&exporter, "bob", "alice123"), 401);
        }
        for path in ["/", "/nope"] {
            assert_eq!(exporter.get(path, &[]).status, 401, "{path}");
        }
        for path in ["/-/healthy", "/-/ready"] {
            assert_ne!(exporter.get(path, &[]).status, 401, "{path}");
        }
    }
}

#[test]
fn a_hash_is_not_accepted_as_a_password() {
    // CVE-2022-46146: a cached result must not apply to other credentials
    let pki = Pki::new();
    let exporter = start(&pki, &users("$2b$"));
    let config = users("$2b$");
    let hash = config.split_whitespace().last().unwrap();
    let fake = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
    for hash in [hash, fake] {
        for (user, password) in [
            (format!("alice{hash}"), "alice123".to_owned()),
            (format!("alice:{hash}"), "alice123".to_owned()),
            ("alice".to_owned(), format!("{hash}alice123")),
            ("alice".to_owned(), format!("{hash}:alice123")),
            ("alice".to_owned(), hash.to_owned()),
        ] {
            assert_eq!(status(&exporter, &user, &password), 401, "{user}:{password}");
        }
    }
    assert_eq!(status(&exporter, "alice", "alice123"), 200);
}

#[test]
fn many_concurrent_right_and_wrong_passwords_get_the_right_responses() {
    let pki = Pki::new();
    let exporter = start(&pki, &users("$2b$"));
    thread::scope(|scope| {
        for number in 0..300 {
            let exporter = &exporter;
            scope.spawn(move || {
                let (password, expected) = if number % 2 == 0 { ("alice123", 200) } else { ("wrong", 401) };
                assert_eq!(exporter.get("/", &[("Authorization", &credentials("alice", password))]).status, expected);
            });
        }
    });
}

#[test]
fn basic_auth_works_over_tls() {
    let pki = Pki::new();
    let exporter = start(&pki, &format!("{TLS}{}", users("$2y$")));
    let client = Client::new(&pki);
    assert_eq!(client.status(&exporter), Ok(401));
    let header = format!("Authorization: {}\r\n", credentials("alice", "alice123"));
    assert_eq!(client.get(&exporter, "/", &header).unwrap().0, 200);
}

#[test]
fn a_flood_of_wrong_passwords_does_not_delay_a_scrape() {
    let pki = Pki::new();
    let hash = bcrypt::hash_with_salt("alice123", 6, [5; 16]).unwrap();
    let exporter = start(&pki, &format!("basic_auth_users:\n  alice: {hash}\n"));
    assert_eq!(status(&exporter, "alice", "alice123"), 200);
    let mut flood: Vec<_> = (0..200).map(|_| tcp(&exporter)).collect();
    for (number, stream) in flood.iter_mut().enumerate() {
        use std::io::Write;
        let credentials = credentials("alice", &format!("guess {number}"));
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {credentials}\r\n\r\n").unwrap();
    }
    // a new connection; the cached password needs no bcrypt
    let headers =
        format!("Authorization: {}\r\nX-Prometheus-Scrape-Timeout-Seconds: 5\r\n", credentials("alice", "alice123"));
    let (status, response) = request(&mut tcp(&exporter), "/metrics", &headers).unwrap();
    assert!(status == 200 && response.contains("\nexporter_scrape_success{collector=\""), "{response}");
    let refused = flood.iter_mut().map(|stream| {
        use std::io::Read;
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        String::from_utf8_lossy(&head[9..]).into_owned()
    });
    let refused: Vec<_> = refused.collect();
    assert!(refused.iter().all(|status| status == "401" || status == "429"), "{refused:?}");
    assert!(refused.iter().any(|status| status == "429"), "the queue has a bound: {refused:?}");
}
