//! Entry points of the fuzz targets: the parsers of untrusted input. Built only by `.ci/fuzz`.
#![expect(missing_docs, reason = "not part of the library")]

use crate::exposition::negotiation;
use crate::http::listen::ListenAddress;
use crate::http::web_settings::web_file;
use crate::scrape::scrape_response::ScrapeFilter;

pub fn config(text: &str) {
    web_file::fuzz_config(text);
}

pub fn certificate(der: &[u8]) {
    web_file::fuzz_certificate(der);
}

pub fn negotiation(header: &str) {
    let (format, escaping) = negotiation::format(header);
    assert!(http::HeaderValue::try_from(format.content_type(escaping)).is_ok());
    negotiation::gzip(header);
}

pub fn query(text: &str) {
    let _ = ScrapeFilter::parse(text, &["cpu", "stat"]);
    if let Ok(address) = text.parse::<ListenAddress>() {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
}
