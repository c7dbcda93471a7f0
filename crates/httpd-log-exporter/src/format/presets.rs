//! The log formats that have names.

use crate::format::clf;
use crate::format::field::{Field, NAMES};
use crate::format::request::{Request, Unit, Upstream};
use crate::format::w3c::W3cDialect;

/// A named format.
#[derive(Debug)]
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    /// Alternative names.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) about: &'static str,
    pub(crate) definition: PresetDefinition,
}

/// The definition of a format.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PresetDefinition {
    /// A hand-written parser, and the same format in Apache or nginx syntax.
    Clf(fn(&[u8]) -> Option<Request<'_>>, &'static str),
    /// In nginx or Apache syntax.
    Template(&'static str),
    /// Key paths in a JSON object.
    Json(&'static [(&'static str, Field)]),
    /// Key paths in a JSON object, which may lack any of them.
    JsonNames(&'static [(&'static str, Field)]),
    /// Columns that the log names.
    W3c(W3cDialect),
}

/// All presets.
pub(crate) const PRESETS: &[Preset] = &[
    Preset {
        name: "combined",
        aliases: &["nginx", "nginx_main", "apache", "httpd"],
        about: "the default of nginx and Apache; also matches common, and additional fields at the end",
        definition: PresetDefinition::Clf(clf::combined, r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#),
    },
    Preset {
        name: "common",
        aliases: &["clf"],
        about: "the common log format of NCSA and Apache",
        definition: PresetDefinition::Clf(clf::common, r#"%h %l %u %t "%r" %>s %b"#),
    },
    Preset {
        name: "combined_time",
        aliases: &[],
        about: "combined, then nginx's $request_time",
        definition: PresetDefinition::Clf(clf::combined_time, COMBINED_TIME),
    },
    Preset {
        name: "combined_us",
        aliases: &[],
        about: "combined, then Apache's %D",
        definition: PresetDefinition::Template(r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D"#),
    },
    Preset {
        name: "combinedio",
        aliases: &[],
        about: "combined, then Apache's %I and %O",
        definition: PresetDefinition::Template(r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %I %O"#),
    },
    Preset {
        name: "vhost_combined",
        aliases: &["vcombined"],
        about: "Apache on Debian: virtual host and port, then combined",
        definition: PresetDefinition::Template(r#"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#),
    },
    Preset {
        name: "vhost_common",
        aliases: &["vcommon"],
        about: "virtual host, then common",
        definition: PresetDefinition::Template(r#"%v %h %l %u %t "%r" %>s %b"#),
    },
    Preset {
        name: "lighttpd",
        aliases: &[],
        about: "lighttpd's default",
        definition: PresetDefinition::Template(r#"%h %V %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#),
    },
    Preset {
        name: "ingress_nginx",
        aliases: &["nginx_ingress", "upstreaminfo"],
        about: "the default of Kubernetes' ingress-nginx",
        definition: PresetDefinition::Template(
            r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"#,
        ),
    },
    Preset {
        name: "traefik",
        aliases: &["traefik_clf"],
        about: "Traefik's default",
        definition: PresetDefinition::Template(
            r#"log_format traefik escape=none '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_count "$router" "$server_url" ${duration_ms}ms'"#,
        ),
    },
    Preset {
        name: "traefik_json",
        aliases: &[],
        about: "Traefik with format: json",
        definition: PresetDefinition::Json(&[
            ("DownstreamStatus", Field::Status),
            ("OriginStatus", Field::Status),
            ("RequestMethod", Field::Method),
            ("RequestPath", Field::Path),
            ("RequestProtocol", Field::Protocol),
            ("DownstreamContentSize", Field::Bytes),
            ("OriginContentSize", Field::Bytes),
            ("RequestContentSize", Field::Received),
            ("Duration", Field::Duration(Unit::Nanoseconds)),
            ("OriginDuration", Field::Upstream(Upstream::Response, Unit::Nanoseconds)),
            ("RequestHost", Field::Vhost),
            ("time", Field::Time),
            ("StartUTC", Field::Time),
        ]),
    },
    Preset {
        name: "caddy",
        aliases: &["caddy_json"],
        about: "Caddy's JSON",
        definition: PresetDefinition::Json(&[
            ("status", Field::Status),
            ("request.method", Field::Method),
            ("request.uri", Field::Path),
            ("request.proto", Field::Protocol),
            ("size", Field::Bytes),
            ("bytes_read", Field::Received),
            ("duration", Field::Duration(Unit::Seconds)),
            ("request.host", Field::Vhost),
            ("ts", Field::Time),
        ]),
    },
    Preset {
        name: "haproxy",
        aliases: &["haproxy_http", "haproxy_httplog"],
        about: "HAProxy with option httplog",
        definition: PresetDefinition::Template(
            r#"log_format haproxy escape=none '$syslog [$time] $frontend $backend/$server $wait_request/$wait_queue/$upstream_connect_ms/$upstream_header_ms/$duration_ms $status $bytes_sent $rest "$request"'"#,
        ),
    },
    Preset {
        name: "envoy",
        aliases: &[],
        about: "Envoy's default",
        definition: PresetDefinition::Template(
            r#"log_format envoy escape=none '[$time_iso8601] "$request" $status $flags $bytes_received $bytes_sent $duration_ms $upstream_response_ms "$x_forwarded_for" "$user_agent" "$request_id" "$http_host" "$upstream_host"'"#,
        ),
    },
    Preset {
        name: "istio",
        aliases: &[],
        about: "Istio's default",
        definition: PresetDefinition::Template(
            r#"log_format istio escape=none '[$time_iso8601] "$request" $status $flags $details $termination "$failure" $bytes_received $bytes_sent $duration_ms $upstream_response_ms "$x_forwarded_for" "$user_agent" "$request_id" "$http_host" "$upstream_host" $rest'"#,
        ),
    },
    Preset {
        name: "istio_json",
        aliases: &["envoy_json"],
        about: "Istio's and Envoy's JSON",
        definition: PresetDefinition::Json(&[
            ("response_code", Field::Status),
            ("method", Field::Method),
            ("path", Field::Path),
            ("protocol", Field::Protocol),
            ("bytes_sent", Field::Bytes),
            ("bytes_received", Field::Received),
            ("duration", Field::Duration(Unit::Milliseconds)),
            ("upstream_service_time", Field::Upstream(Upstream::Response, Unit::Milliseconds)),
            ("authority", Field::Vhost),
            ("start_time", Field::Time),
        ]),
    },
    Preset {
        name: "json",
        aliases: &["nginx_json"],
        about: "JSON objects whose keys are nginx variables or other common names",
        definition: PresetDefinition::JsonNames(NAMES),
    },
    Preset {
        name: "ecs",
        aliases: &["elastic", "ecs_json"],
        about: "JSON objects with the names of the Elastic Common Schema or of OpenTelemetry, nested or dotted",
        definition: PresetDefinition::JsonNames(&[
            ("http.response.status_code", Field::Status),
            ("http.request.method", Field::Method),
            ("url.path", Field::Path),
            ("url.original", Field::Path),
            ("http.version", Field::Protocol),
            ("network.protocol.version", Field::Protocol),
            ("http.response.bytes", Field::Bytes),
            ("http.response.body.bytes", Field::Bytes),
            ("http.response.body.size", Field::Bytes),
            ("http.request.bytes", Field::Received),
            ("http.request.body.bytes", Field::Received),
            ("http.request.body.size", Field::Received),
            ("event.duration", Field::Duration(Unit::Nanoseconds)),
            ("url.domain", Field::Vhost),
            ("server.address", Field::Vhost),
            ("@timestamp", Field::Time),
        ]),
    },
    Preset {
        name: "cloudfront",
        aliases: &[],
        about: "CloudFront's standard logs, with tabs and a line #Fields:",
        definition: PresetDefinition::W3c(W3cDialect::CloudFront),
    },
    Preset {
        name: "w3c",
        aliases: &["iis", "w3c_extended"],
        about: "W3C extended logs with lines #Fields:, with time-taken in milliseconds as in IIS",
        definition: PresetDefinition::W3c(W3cDialect::Iis),
    },
    Preset {
        name: "w3c_seconds",
        aliases: &[],
        about: "the same with time-taken in seconds, as in Tomcat",
        definition: PresetDefinition::W3c(W3cDialect::Standard),
    },
];

/// Combined with nginx's `$request_time`.
const COMBINED_TIME: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time"#;

/// The preset with this name. `-` equals `_`; case is ignored.
pub(crate) fn preset(name: &str) -> Option<&'static Preset> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    PRESETS.iter().find(|preset| preset.name == name || preset.aliases.contains(&name.as_str()))
}
