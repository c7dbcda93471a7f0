//! Parses the fields of a certificate that rustls does not expose: alternative names, dates and usages.
//!
//! Source: RFC 5280, X.690. Parsing returns `None` for invalid data.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::calendar;

/// The parsed fields of a certificate.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Certificate {
    /// Whether it has a version older than 3, which has no names and usages.
    pub(crate) is_old: bool,
    /// Seconds since the epoch.
    pub(crate) not_before: i64,
    /// Seconds since the epoch.
    pub(crate) not_after: i64,
    /// Host names, mail addresses, IP addresses and URIs.
    pub(crate) names: Vec<String>,
    /// Whether clients may use it: its usages contain client authentication or any usage, or it has none.
    pub(crate) for_clients: bool,
    /// The same for servers.
    pub(crate) for_servers: bool,
}

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.29.37
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// 2.5.29.37.0
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
/// 1.3.6.1.5.5.7.3.2
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
/// 1.3.6.1.5.5.7.3.1
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// Parses a certificate.
pub(crate) fn certificate(der: &[u8]) -> Option<Certificate> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    let is_old = rest.first() != Some(&0xa0);
    if !is_old {
        (_, _, rest) = element(rest)?; // version
    }
    for _ in ["serial number", "signature algorithm", "issuer"] {
        (_, _, rest) = element(rest)?;
    }
    let (validity, mut rest) = expect(rest, SEQUENCE)?;
    let (not_before, after) = time(validity)?;
    let (not_after, _) = time(after)?;
    for _ in ["subject", "public key"] {
        (_, _, rest) = element(rest)?;
    }
    let mut certificate =
        Certificate { is_old, not_before, not_after, names: Vec::new(), for_clients: true, for_servers: true };
    while !rest.is_empty() {
        let (tag, content, following) = element(rest)?;
        rest = following;
        if tag == 0xa3 {
            certificate.extensions(expect(content, SEQUENCE)?.0)?;
        }
    }
    Some(certificate)
}

impl Certificate {
    fn extensions(&mut self, mut list: &[u8]) -> Option<()> {
        while !list.is_empty() {
            let (extension, following) = expect(list, SEQUENCE)?;
            list = following;
            let (id, mut rest) = expect(extension, OID)?;
            if rest.first() == Some(&0x01) {
                (_, _, rest) = element(rest)?; // critical
            }
            let (value, _) = expect(rest, OCTETS)?;
            match id {
                SUBJECT_ALT_NAME => self.names = names(expect(value, SEQUENCE)?.0)?,
                EXTENDED_KEY_USAGE => {
                    let usages = expect(value, SEQUENCE)?.0;
                    self.for_clients = allows(usages, CLIENT_AUTH)?;
                    self.for_servers = allows(usages, SERVER_AUTH)?;
                }
                _ => {}
            }
        }
        Some(())
    }
}

fn names(mut list: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while !list.is_empty() {
        let (tag, content, following) = element(list)?;
        list = following;
        match tag {
            0x81 | 0x82 | 0x86 => names.extend(String::from_utf8(content.to_vec()).ok()), // mail, DNS, URI
            0x87 => names.extend(address(content)),
            _ => {}
        }
    }
    Some(names)
}

fn address(content: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(content).ok().map(|octets| Ipv4Addr::from(octets).to_string());
    v4.or_else(|| <[u8; 16]>::try_from(content).ok().map(|octets| Ipv6Addr::from(octets).to_string()))
}

fn allows(mut list: &[u8], wanted: &[u8]) -> Option<bool> {
    let mut allows = false;
    while !list.is_empty() {
        let (usage, following) = expect(list, OID)?;
        list = following;
        allows |= usage == ANY_USAGE || usage == wanted;
    }
    Some(allows)
}

/// A time in seconds since the epoch, and the remaining bytes.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, content, rest) = element(der)?;
    let digits = std::str::from_utf8(content.strip_suffix(b"Z")?).ok()?;
    let (year, fields) = match tag {
        UTC_TIME => {
            let year: i64 = digits.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, digits.get(2..)?)
        }
        GENERALIZED_TIME => (digits.get(..4)?.parse().ok()?, digits.get(4..)?),
        _ => return None,
    };
    if fields.len() != 10 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let field = |at: usize| fields.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day, hour, minute, second) = (field(0)?, field(2)?, field(4)?, field(6)?, field(8)?);
    let days = calendar::days_since_epoch(year, month, day)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second, rest))
}

/// The content of an element with the expected tag, and the remaining bytes.
fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// The tag and content of the first element, and the remaining bytes.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType, date_time_ymd};

    use super::*;

    fn der(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = date_time_ymd(2000, 2, 29);
        params.not_after = date_time_ymd(2051, 3, 1);
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_of_every_type_are_parsed() {
        let der = der(|params| {
            params.subject_alt_names = vec![
                SanType::DnsName("a.example".try_into().unwrap()),
                SanType::Rfc822Name("me@a.example".try_into().unwrap()),
                SanType::URI("spiffe://a/b".try_into().unwrap()),
                SanType::IpAddress("10.0.0.1".parse().unwrap()),
                SanType::IpAddress("2001:db8::1".parse().unwrap()),
            ];
        });
        let certificate = certificate(&der).unwrap();
        assert_eq!(certificate.names, ["a.example", "me@a.example", "spiffe://a/b", "10.0.0.1", "2001:db8::1"]);
        // checked with `date -ud 2000-02-29 +%s` and `date -ud 2051-03-01 +%s`: a UTCTime and a GeneralizedTime
        assert_eq!((certificate.not_before, certificate.not_after), (951_782_400, 2_561_241_600));
        assert!(certificate.for_clients, "it has no usages");
    }

    #[test]
    fn a_certificate_for_servers_only_is_not_for_clients() {
        for (usage, expected) in [
            (ExtendedKeyUsagePurpose::ServerAuth, false),
            (ExtendedKeyUsagePurpose::ClientAuth, true),
            (ExtendedKeyUsagePurpose::Any, true),
        ] {
            let der = der(|params| params.extended_key_usages = vec![usage.clone()]);
            assert_eq!(certificate(&der).unwrap().for_clients, expected, "{usage:?}");
        }
    }

    #[test]
    fn a_truncated_certificate_is_not_parsed() {
        let der = der(|_| {});
        for length in 0..der.len() {
            assert_eq!(certificate(&der[..length]), None, "{length}");
        }
    }
}
