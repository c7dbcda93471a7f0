//! Reads how pages are requested: headers, authentication, TLS, body and status codes.

use exporter_common::config::fields::{self, Fields};
use exporter_common::yaml::{Result, YamlError};
use reqwest::header::HeaderMap;

use super::proxy::{header_name, header_value, http_url, proxy, secret_value};
use super::secrets::{SecretReader, environment_variable};
use crate::http::settings::{Authentication, OAuth2Settings, RequestSettings, TlsSettings};

/// The request settings of a module.
pub(super) fn request(module: &mut Fields, secrets: &mut SecretReader<'_>) -> Result<RequestSettings> {
    let mut settings = match module.take("http_client_config") {
        Some(node) => client(Fields::of(node, "http_client_config")?, secrets)?,
        None => RequestSettings::default(),
    };
    for (name, node) in module.entries("headers")? {
        let (line, value) = fields::text(node, &name)?;
        settings.headers.insert(header_name(line, &name)?, header_value(line, &name, &value)?);
    }
    if let Some(body) = module.take("body") {
        let mut body = Fields::of(body, "body")?;
        let line = body.line;
        settings.body = body.text("content")?.filter(|content| !content.is_empty());
        if body.bool("templatize")? == Some(true) {
            let message = "body: templatize is not supported: write the body for the only target";
            return Err(YamlError::new(line, message));
        }
        body.end()?;
    }
    for node in module.list("valid_status_codes")? {
        let (line, code) = fields::text(node, "valid_status_codes")?;
        let valid = code.parse().ok().filter(|code| (100..600).contains(code));
        let message = || format!("valid_status_codes: {code:?} is not a number from 100 to 599");
        settings.valid_status_codes.push(valid.ok_or_else(|| YamlError::new(line, message()))?);
    }
    if let Some(node) = module.take("body_size_limit") {
        let (line, size) = fields::text(node, "body_size_limit")?;
        let message = || format!("body_size_limit: {size:?} is not a size up to 1GiB: use a size such as 4MiB");
        settings.body_limit = Some(body_size(&size).ok_or_else(|| YamlError::new(line, message()))?);
    }
    Ok(settings)
}

fn client(mut client: Fields, secrets: &mut SecretReader<'_>) -> Result<RequestSettings> {
    let line = client.line;
    let mut methods = Vec::new();
    if let Some(basic) = client.take("basic_auth") {
        let mut basic = Fields::of(basic, "basic_auth")?;
        let username = secrets.secret(&mut basic, ["username", "username_file", "username_env"])?.unwrap_or_default();
        let password = secrets.secret(&mut basic, ["password", "password_file", "password_env"])?.unwrap_or_default();
        basic.end()?;
        methods.push(Authentication::Basic { username, password });
    }
    if let Some(authorization) = client.take("authorization") {
        let mut authorization = Fields::of(authorization, "authorization")?;
        let line = authorization.line;
        let scheme = authorization.text("type")?.filter(|scheme| !scheme.is_empty()).unwrap_or("Bearer".to_owned());
        if scheme.eq_ignore_ascii_case("basic") {
            return Err(YamlError::new(line, "authorization: the type Basic is not supported: use basic_auth"));
        }
        let keys = ["credentials", "credentials_file", "credentials_env"];
        let credentials = secrets.secret(&mut authorization, keys)?.unwrap_or_default();
        authorization.end()?;
        let value = secret_value(line, "authorization", &format!("{scheme} {credentials}"))?;
        methods.push(Authentication::Header(value));
    }
    if let Some(token) = secrets.secret(&mut client, ["bearer_token", "bearer_token_file", "bearer_token_env"])? {
        methods.push(Authentication::Header(secret_value(line, "bearer_token", &format!("Bearer {token}"))?));
    }
    if let Some(node) = client.take("oauth2") {
        methods.push(Authentication::OAuth2(Box::new(oauth2(Fields::of(node, "oauth2")?, secrets)?)));
    }
    let tls = tls(&mut client, secrets)?;
    let proxy = proxy(&mut client)?;
    let no_redirects = client.bool("follow_redirects")? == Some(false);
    let _ = client.bool("enable_http2")?; // no benefit for one request per scrape; json_exporter disables it too
    let headers = http_headers(&mut client, secrets)?;
    client.end()?;
    if methods.len() > 1 {
        let message = "basic_auth, authorization, bearer_token and oauth2 are mutually exclusive";
        return Err(YamlError::new(line, message));
    }
    let authentication = methods.pop().unwrap_or_default();
    Ok(RequestSettings { headers, authentication, tls, proxy, no_redirects, ..RequestSettings::default() })
}

fn oauth2(mut oauth2: Fields, secrets: &mut SecretReader<'_>) -> Result<OAuth2Settings> {
    let line = oauth2.line;
    let (_, client_id) = oauth2.required("client_id")?;
    let keys = ["client_secret", "client_secret_file", "client_secret_env"];
    let client_secret = secrets.secret(&mut oauth2, keys)?.unwrap_or_default();
    let (url_line, token_url) = oauth2.required("token_url")?;
    let token_url = http_url(url_line, "token_url", &token_url)?;
    if oauth2.text("grant_type")?.is_some_and(|grant| grant != "client_credentials") {
        return Err(YamlError::new(line, "oauth2: the only supported grant_type is client_credentials"));
    }
    let scopes = oauth2.texts("scopes")?;
    let mut parameters = Vec::new();
    if !scopes.is_empty() {
        parameters.push(("scope".to_owned(), scopes.join(" ")));
    }
    for (name, node) in oauth2.entries("endpoint_params")? {
        let (_, value) = fields::text(node, &name)?;
        parameters.push((name, value));
    }
    let tls = tls(&mut oauth2, secrets)?;
    let proxy = proxy(&mut oauth2)?;
    let headers = http_headers(&mut oauth2, secrets)?;
    oauth2.end()?;
    Ok(OAuth2Settings { client_id, client_secret, token_url, parameters, headers, tls, proxy })
}

fn tls(fields: &mut Fields, secrets: &mut SecretReader<'_>) -> Result<Option<TlsSettings>> {
    let Some(node) = fields.take("tls_config") else { return Ok(None) };
    let mut fields = Fields::of(node, "tls_config")?;
    let line = fields.line;
    let ca = secrets.pem(&mut fields, "ca", "ca_file")?;
    let certificate = secrets.pem(&mut fields, "cert", "cert_file")?;
    let identity = match (certificate, secrets.pem(&mut fields, "key", "key_file")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(YamlError::new(line, "tls_config: a certificate requires a key, and a key a certificate")),
    };
    let versions = [("TLS10", 10), ("TLS11", 11), ("TLS12", 12), ("TLS13", 13)];
    let min = fields.choice("min_version", &versions)?.unwrap_or(12);
    let max = fields.choice("max_version", &versions)?.unwrap_or(13);
    if max < 12 || max < min {
        let message = "tls_config: min_version and max_version leave no supported version: these are TLS12 and TLS13";
        return Err(YamlError::new(line, message));
    }
    let server_name = fields.text("server_name")?.filter(|name| !name.is_empty());
    let insecure = fields.bool("insecure_skip_verify")?.unwrap_or(false);
    fields.end()?;
    Ok(Some(TlsSettings { ca, identity, server_name, insecure, tls12: min <= 12, tls13: max == 13 }))
}

/// The headers of `http_headers`: values, and secrets that are inline, in files or in environment variables.
fn http_headers(fields: &mut Fields, secrets: &mut SecretReader<'_>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, node) in fields.entries("http_headers")? {
        let line = node.line;
        let key = header_name(line, &name)?;
        let mut header = Fields::of(node, name.as_str())?;
        for value in header.texts("values")? {
            headers.append(&key, header_value(line, &name, &value)?);
        }
        let mut values = header.texts("secrets")?;
        for file in header.texts("files")? {
            values.push(secrets.file(line, &name, &file)?);
        }
        for variable in header.texts("env")? {
            values.push(environment_variable(line, &name, &variable)?);
        }
        for value in values {
            headers.append(&key, secret_value(line, &name, &value)?);
        }
        header.end()?;
    }
    Ok(headers)
}

/// Parses `4MiB`, `512KB` or `1000000`, up to 1 GiB, the limit of positions in a document.
fn body_size(text: &str) -> Option<usize> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "B" => 1,
        "KB" | "KiB" => 1 << 10, // both are 1024 in Prometheus
        "MB" | "MiB" => 1 << 20,
        "GB" | "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit).filter(|size| (1..=1 << 30).contains(size))
}
