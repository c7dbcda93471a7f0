//! Reads the proxy settings of `http_client_config`, which may refer to the environment.

use exporter_common::config::fields::{self, Fields};
use exporter_common::yaml::{Node, NodeValue, Result, YamlError};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::settings::ProxySettings;

pub(super) fn proxy(fields: &mut Fields) -> Result<ProxySettings> {
    let line = fields.line;
    let no_proxy = fields.text("no_proxy")?;
    let mut connect_headers = HeaderMap::new();
    for (name, node) in fields.entries("proxy_connect_header")? {
        let values = match node {
            Node { value: NodeValue::List(values), .. } => values,
            node => vec![node],
        };
        for value in values {
            let (line, value) = fields::text(value, &name)?;
            connect_headers.append(header_name(line, &name)?, secret_value(line, &name, &value)?);
        }
    }
    let from_environment = fields.bool("proxy_from_environment")? == Some(true);
    let url = fields.text("proxy_url")?.filter(|url| !url.is_empty());
    let error = |message: &str| Err(YamlError::new(line, message));
    Ok(match url {
        Some(_) if from_environment => {
            return error("proxy_url and proxy_from_environment are mutually exclusive");
        }
        Some(url) => {
            let url = http_url(line, "proxy_url", &url)?;
            let direct = no_proxy.as_deref().map(direct_hosts).unwrap_or_default();
            ProxySettings { http: Some(url.clone()), https: Some(url), direct, connect_headers }
        }
        None if no_proxy.is_some() => return error("no_proxy requires proxy_url"),
        None if from_environment => environment_proxy(line, connect_headers)?,
        None if !connect_headers.is_empty() => return error("proxy_connect_header requires a proxy"),
        None => ProxySettings::default(),
    })
}

fn environment_proxy(line: usize, connect_headers: HeaderMap) -> Result<ProxySettings> {
    let variable = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| Some((name, std::env::var(name).ok().filter(|text| !text.is_empty())?)))
    };
    let proxy = |names| {
        let Some((name, url)) = variable(names) else { return Ok(None) };
        let scheme = if url.contains("://") { "" } else { "http://" };
        http_url(line, name, &format!("{scheme}{url}")).map(Some)
    };
    let (http, https) = (proxy(["HTTP_PROXY", "http_proxy"])?, proxy(["HTTPS_PROXY", "https_proxy"])?);
    let direct = direct_hosts(&variable(["NO_PROXY", "no_proxy"]).map(|(_, hosts)| hosts).unwrap_or_default());
    Ok(ProxySettings { http, https, direct, connect_headers })
}

/// The hosts of a `no_proxy` list and the local host: Go programs with such a list never use a proxy for it.
fn direct_hosts(no_proxy: &str) -> String {
    let all = if no_proxy.split(',').any(|host| host.trim() == "*") { ",0.0.0.0/0,::/0" } else { "" };
    format!("{no_proxy},localhost,127.0.0.0/8,::1{all}")
}

/// Parses a URL. The message does not repeat it, because it may contain a password.
pub(super) fn http_url(line: usize, key: &str, text: &str) -> Result<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| YamlError::new(line, format!("{key} is not an http or https URL")))
}

pub(super) fn header_name(line: usize, name: &str) -> Result<HeaderName> {
    name.parse().map_err(|_| YamlError::new(line, format!("{name:?} is not a valid header name")))
}

pub(super) fn header_value(line: usize, name: &str, value: &str) -> Result<HeaderValue> {
    value.parse().map_err(|_| YamlError::new(line, format!("the value of {name} is not a valid header value")))
}

/// A header value that is not logged.
pub(super) fn secret_value(line: usize, name: &str, value: &str) -> Result<HeaderValue> {
    let mut value = header_value(line, name, value)?;
    value.set_sensitive(true);
    Ok(value)
}
