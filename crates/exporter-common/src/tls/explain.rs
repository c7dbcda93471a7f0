//! Explains errors of rustls in plain words: why, and what to do. Their own texts are the names of its enums.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription as Alert, CertificateError, Error, PeerIncompatible};

/// Explains the TLS error inside an error of a connection to a server; `None` if it has none. `trust` is what to do if no
/// trusted CA signed the server's certificate.
///
/// ```
/// use scrapewright::tls::{explain_server_error, rustls};
///
/// let error = std::io::Error::other(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired));
/// let text = explain_server_error(&error, "set --tls-ca-file");
/// assert_eq!(text.as_deref(), Some("the server requires a client certificate"));
/// assert_eq!(explain_server_error(&std::io::Error::other("reset"), "set --tls-ca-file"), None);
/// ```
pub fn explain_server_error(error: &(dyn StdError + 'static), trust: &str) -> Option<String> {
    find(error).map(|error| connection(Peer::Server, error, trust))
}

/// The same for a connection from a client.
pub(crate) fn explain_client_error(error: &(dyn StdError + 'static)) -> Option<String> {
    find(error).map(|error| connection(Peer::Client, error, "add its CA certificate to client_ca_file"))
}

/// Explains why this program's own certificate and key cannot be used, or why a CA certificate cannot be.
pub fn explain_certificate_error(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(fault) => format!("the certificate is not accepted: {}", certificate(fault, "")),
        Error::InconsistentKeys(_) => {
            "the key does not belong to the certificate: use the key for which it was issued".to_owned()
        }
        // an error of a key is only a text
        Error::General(why) => {
            format!(
                "the key cannot be used ({why}): use RSA with 2048 to 4096 bits, ECDSA with P-256 or P-384, or Ed25519"
            )
        }
        other => other.to_string(),
    }
}

/// The other end of a connection.
#[derive(Clone, Copy)]
enum Peer {
    Server,
    Client,
}

impl Peer {
    /// What to do if it sent no certificate.
    fn without_certificate(self) -> &'static str {
        match self {
            Self::Server => "the server sent no certificate",
            Self::Client => "the client sent no certificate: set cert_file and key_file in its tls_config",
        }
    }

    /// Why and what to do if it refuses a certificate.
    fn refusal(self, alert: &Alert) -> String {
        let why = words(alert);
        match self {
            Self::Server => format!("the server refuses the certificate of this program, or needs one ({why})"),
            Self::Client => {
                format!(
                    "the client refuses this program's certificate ({why}): set ca_file and server_name in its tls_config"
                )
            }
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server => "the server",
            Self::Client => "the client",
        })
    }
}

fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    error.downcast_ref::<Error>().or_else(|| find(error.downcast_ref::<std::io::Error>()?.get_ref()?))
}

fn connection(peer: Peer, error: &Error, trust: &str) -> String {
    match error {
        Error::InvalidMessage(_) => format!("{peer} does not speak TLS"),
        Error::InvalidCertificate(fault) => {
            format!("{peer}'s certificate is not accepted: {}", certificate(fault, trust))
        }
        Error::NoCertificatesPresented => peer.without_certificate().to_owned(),
        Error::AlertReceived(Alert::CertificateRequired) => format!("{peer} requires a client certificate"),
        Error::AlertReceived(Alert::ProtocolVersion)
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => format!("{peer} supports none of the enabled TLS versions: enable TLS 1.2 or 1.3"),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            format!("{peer} supports none of the enabled cipher suites")
        }
        Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied),
        ) => peer.refusal(alert),
        Error::AlertReceived(alert) => format!("{peer} refuses the TLS connection ({})", words(alert)),
        Error::PeerIncompatible(why) => format!("{peer} does not support the same TLS options ({})", words(why)),
        Error::PeerMisbehaved(why) => format!("{peer} violates the TLS protocol ({})", words(why)),
        other => format!("TLS: {other}"),
    }
}

/// Why a certificate is not valid.
fn certificate(fault: &CertificateError, trust: &str) -> String {
    match fault {
        CertificateError::UnknownIssuer => untrusted("no trusted CA signed it", trust),
        CertificateError::BadSignature => {
            untrusted("its signature does not match the CA certificate of that name", trust)
        }
        CertificateError::BadEncoding => "it is not an X.509 certificate".to_owned(),
        CertificateError::Expired => "it has expired: renew it".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => format!("it expired at {}: renew it", time(*not_after)),
        CertificateError::NotValidYet => "it is not valid yet: check the clocks".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("it is not valid before {}: check the clocks", time(*not_before))
        }
        CertificateError::Revoked => "it is revoked: renew it".to_owned(),
        CertificateError::NotValidForName => "it has none of the accepted names".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = if presented.is_empty() { "nothing".to_owned() } else { presented.join(", ") };
            format!("it is valid for {names}, not for {}", expected.to_str())
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its extended key usage forbids this use".to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its signature algorithm is not supported: use SHA-256 with RSA of at least 2048 bits, or ECDSA, or Ed25519"
                .to_owned()
        }
        CertificateError::Other(cause) => match cause.to_string().as_str() {
            "UnsupportedCertVersion" => "it has X.509 version 1: create one with version 3".to_owned(),
            // a self-signed certificate that is not trusted, made by `openssl req -x509`
            "CaUsedAsEndEntity" => untrusted("no trusted CA signed it", trust),
            name => words(&format_args!("{name}")),
        },
        other => words(other),
    }
}

fn untrusted(why: &str, trust: &str) -> String {
    if trust.is_empty() { why.to_owned() } else { format!("{why}: {trust}") }
}

fn time(time: UnixTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}

/// The name of an enum's variant in words: `NoKxGroupsInCommon` is "no kx groups in common".
fn words(variant: &dyn std::fmt::Debug) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for letter in format!("{variant:?}").chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
        before = letter;
    }
    words
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use rustls::pki_types::ServerName;
    use rustls::{InconsistentKeys, InvalidMessage, OtherError};

    use super::*;

    fn explained(error: impl Into<Error>) -> String {
        explain_server_error(&io::Error::other(io::Error::other(error.into())), "trust it").unwrap()
    }

    #[test]
    fn errors_of_a_connection_say_why_and_what_to_do() {
        let expired = CertificateError::ExpiredContext {
            time: UnixTime::since_unix_epoch(Duration::from_secs(1_900_000_000)),
            not_after: UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000)),
        };
        let name = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("a.example").unwrap(),
            presented: vec!["b.example".to_owned(), "c.example".to_owned()],
        };
        let other = |name: &'static str| CertificateError::Other(OtherError(Arc::new(io::Error::other(name))));
        for (error, text) in [
            (CertificateError::UnknownIssuer, "no trusted CA signed it: trust it"),
            (expired, "it expired at 2027-01-15T08:00:00Z: renew it"),
            (name, "it is valid for b.example, c.example, not for a.example"),
            (other("UnsupportedCertVersion"), "it has X.509 version 1: create one with version 3"),
            (other("CaUsedAsEndEntity"), "no trusted CA signed it: trust it"),
            (other("MaximumPathDepthExceeded"), "maximum path depth exceeded"),
            (CertificateError::UnhandledCriticalExtension, "unhandled critical extension"),
        ] {
            assert_eq!(explained(error), format!("the server's certificate is not accepted: {text}"));
        }
        assert_eq!(
            explained(Error::InvalidMessage(InvalidMessage::InvalidContentType)),
            "the server does not speak TLS"
        );
        assert_eq!(
            explained(Error::AlertReceived(Alert::HandshakeFailure)),
            "the server refuses the TLS connection (handshake failure)"
        );
        let alert = explained(Error::AlertReceived(Alert::UnknownCA));
        assert_eq!(alert, "the server refuses the certificate of this program, or needs one (unknown ca)");
        let groups = explained(PeerIncompatible::NoKxGroupsInCommon);
        assert_eq!(groups, "the server does not support the same TLS options (no kx groups in common)");
    }

    #[test]
    fn errors_of_a_client_say_what_to_set_there() {
        for (error, text) in [
            (
                Error::AlertReceived(Alert::UnknownCA),
                "the client refuses this program's certificate (unknown ca): set ca_file and server_name in its tls_config",
            ),
            (
                Error::NoCertificatesPresented,
                "the client sent no certificate: set cert_file and key_file in its tls_config",
            ),
            (
                CertificateError::UnknownIssuer.into(),
                "the client's certificate is not accepted: no trusted CA signed it: add its CA certificate to client_ca_file",
            ),
        ] {
            assert_eq!(explain_client_error(&io::Error::other(error)).unwrap(), text);
        }
    }

    #[test]
    fn errors_of_the_own_certificate_say_why_and_what_to_do() {
        let key = "use RSA with 2048 to 4096 bits, ECDSA with P-256 or P-384, or Ed25519";
        for (error, text) in [
            (CertificateError::BadEncoding.into(), "the certificate is not accepted: it is not an X.509 certificate"),
            (
                InconsistentKeys::KeyMismatch.into(),
                "the key does not belong to the certificate: use the key for which it was issued",
            ),
            (
                Error::General("failed to parse RSA private key: TooLarge".to_owned()),
                &format!("the key cannot be used (failed to parse RSA private key: TooLarge): {key}"),
            ),
        ] {
            assert_eq!(explain_certificate_error(&error), text);
        }
    }
}
