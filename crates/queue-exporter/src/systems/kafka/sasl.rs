//! Authentication by user name and password: SASL with PLAIN or SCRAM (RFC 5802).

use std::num::NonZeroU32;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

/// The mechanisms that Kafka has for user names and passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

pub(super) const MECHANISMS: [Mechanism; 3] = [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512];

impl Mechanism {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// The only message of PLAIN.
pub(super) fn plain(username: &str, password: &str) -> Vec<u8> {
    format!("\0{username}\0{password}").into_bytes()
}

/// The algorithms of a mechanism.
struct Hash {
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
    digest: &'static digest::Algorithm,
}

/// The client's side of SCRAM, after its first message.
pub(super) struct Scram {
    hash: Hash,
    nonce: String,
    /// The first message without its header.
    first: String,
}

/// The numbers of iterations that are accepted: fewer make passwords easy to guess, and more take too long. Kafka allows
/// up to 16,384.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=100_000;

impl Scram {
    /// The first message goes to the server.
    pub(super) fn start(mechanism: Mechanism, username: &str) -> Result<(Self, Vec<u8>)> {
        let mut random = [0; 24];
        SystemRandom::new().fill(&mut random).ok().context("no random numbers")?;
        Ok(Self::with_nonce(mechanism, username, BASE64.encode(random)))
    }

    fn with_nonce(mechanism: Mechanism, username: &str, nonce: String) -> (Self, Vec<u8>) {
        let hash = match mechanism {
            Mechanism::ScramSha512 => {
                Hash { hmac: hmac::HMAC_SHA512, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA512, digest: &digest::SHA512 }
            }
            Mechanism::Plain | Mechanism::ScramSha256 => {
                Hash { hmac: hmac::HMAC_SHA256, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256, digest: &digest::SHA256 }
            }
        };
        let first = format!("n={},r={nonce}", username.replace('=', "=3D").replace(',', "=2C"));
        let message = format!("n,,{first}").into_bytes();
        (Self { hash, nonce, first }, message)
    }

    /// The last message to the server, and the one that it must return: it proves that the server knows the password.
    pub(super) fn finish(&self, server_first: &[u8], password: &str) -> Result<(Vec<u8>, Vec<u8>)> {
        let server_first = std::str::from_utf8(server_first).context("SCRAM: the server's message is not UTF-8")?;
        let field = |name: &str| server_first.split(',').find_map(|field| field.strip_prefix(name));
        let nonce = field("r=").filter(|nonce| nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len());
        let nonce = nonce.context("SCRAM: the server's nonce does not continue the client's")?;
        let salt = field("s=").and_then(|salt| BASE64.decode(salt).ok()).context("SCRAM: the salt is invalid")?;
        let iterations = field("i=").and_then(|count| count.parse().ok()).filter(|count| ITERATIONS.contains(count));
        let iterations = iterations.and_then(NonZeroU32::new).with_context(|| {
            format!("SCRAM: the number of iterations is not from {} to {}", ITERATIONS.start(), ITERATIONS.end())
        })?;
        let mut salted = vec![0; self.hash.digest.output_len()];
        pbkdf2::derive(self.hash.pbkdf2, iterations, &salt, password.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(self.hash.hmac, key), text);
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.first);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(self.hash.digest, client_key.as_ref());
        let signature = sign(stored_key.as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, by)| key ^ by).collect();
        let server_key = sign(&salted, b"Server Key");
        let expected = sign(server_key.as_ref(), signed.as_bytes());
        let last = format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes();
        Ok((last, format!("v={}", BASE64.encode(expected.as_ref())).into_bytes()))
    }
}

/// Verifies the server's last message.
pub(super) fn verify(server_last: &[u8], expected: &[u8]) -> Result<()> {
    let first = server_last.split(|byte| *byte == b',').next().unwrap_or_default();
    if let Some(error) = first.strip_prefix(b"e=") {
        bail!("SCRAM: {}: check --queue.username and --queue.password-file", String::from_utf8_lossy(error));
    }
    ensure!(first == expected, "SCRAM: the server does not know the password");
    Ok(())
}

/// Parses a server's first message.
#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    let (scram, _) = Scram::with_nonce(Mechanism::ScramSha256, "me", "n".to_owned());
    let _ = scram.finish(data, "secret");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exchange_of_rfc_7677_is_reproduced() {
        let (scram, first) = Scram::with_nonce(Mechanism::ScramSha256, "user", "rOprNGfwEbeRWgbNEkqO".to_owned());
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server_first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, expected) = scram.finish(server_first, "pencil").unwrap();
        let last = String::from_utf8(last).unwrap();
        assert!(last.ends_with(",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{last}");
        verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", &expected).unwrap();
        assert!(verify(b"e=invalid-proof", &expected).is_err());
    }

    #[test]
    fn an_impostor_is_refused() {
        let (scram, first) = Scram::with_nonce(Mechanism::ScramSha512, "a=b,c", "abc".to_owned());
        assert_eq!(first, b"n,,n=a=3Db=2Cc,r=abc");
        for message in [
            &b"r=xyz,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"[..],
            b"r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            b"r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
            b"r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
            b"r=abcd,s=?,i=4096",
            b"\xff",
            b"",
        ] {
            assert!(scram.finish(message, "secret").is_err());
        }
    }
}
