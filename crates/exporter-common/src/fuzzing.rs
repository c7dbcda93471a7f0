//! The parsers that strangers reach, for the fuzz targets. Built by `cargo fuzz` only.
#![expect(missing_docs, reason = "not part of the library")]

use crate::listen::ListenAddress;
use crate::{answer, negotiate, web};

pub fn config(text: &str) {
    web::fuzz_config(text);
}

pub fn certificate(der: &[u8]) {
    web::fuzz_certificate(der);
}

pub fn negotiation(header: &str) {
    let (format, escaping) = negotiate::format(header);
    assert!(http::HeaderValue::try_from(format.content_type(escaping)).is_ok());
    negotiate::gzip(header);
}

pub fn query(text: &str) {
    let _ = answer::Wanted::parse(text, &["cpu", "stat"]);
    if let Ok(address) = text.parse::<ListenAddress>() {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
}
