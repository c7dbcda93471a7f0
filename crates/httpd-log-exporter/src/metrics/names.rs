//! The names of the metrics of requests, which no other metric may have.

/// All names except the ones that start with `httpd_log_`.
pub(crate) const OWN_NAMES: &[&str] = &[
    "httpd_requests_total",
    "httpd_bytes_sent_total",
    "httpd_bytes_received_total",
    "httpd_request_duration_seconds",
    "httpd_upstream_connect_duration_seconds",
    "httpd_upstream_header_duration_seconds",
    "httpd_upstream_response_duration_seconds",
    "httpd_requests_by_protocol_total",
    "httpd_requests_by_cache_status_total",
    "httpd_requests_overflowed_total",
];
