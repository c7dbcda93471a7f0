//! How a page is asked for: headers, methods, TLS, proxies, and the files and variables that secrets are in.

use exporter_common::yaml::{Node, Value};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::ModuleReader;
use crate::config::fields::{self, ConfigError, Fields, Result};

/// The largest file that a secret or a certificate is read from: all authorities of a system weigh 250 KB.
const LARGEST_FILE: u64 = 4 << 20;

/// How a page is asked for.
#[derive(Default)]
pub(crate) struct RequestSettings {
    pub(crate) headers: HeaderMap,
    /// Sent by POST.
    pub(crate) body: Option<String>,
    /// Status codes whose pages are read; none for 2xx and 503.
    pub(crate) valid_status_codes: Vec<u16>,
    /// The largest page that is read, in bytes.
    pub(crate) body_limit: Option<usize>,
    pub(crate) authentication: Authentication,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) proxy: ProxySettings,
    pub(crate) no_redirects: bool,
}

/// How the exporter shows who it is.
#[derive(Default)]
pub(crate) enum Authentication {
    #[default]
    None,
    Basic {
        username: String,
        password: String,
    },
    Header(HeaderValue),
    OAuth2(Box<OAuth2Settings>),
}

/// OAuth 2.0 with client credentials.
pub(crate) struct OAuth2Settings {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) token_url: Url,
    /// Scopes and further parameters.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) proxy: ProxySettings,
}

/// How TLS is spoken; all PEM.
#[derive(Default)]
pub(crate) struct TlsSettings {
    pub(crate) ca: Option<Vec<u8>>,
    /// Certificate and key.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) server_name: Option<String>,
    pub(crate) insecure: bool,
    pub(crate) tls12: bool,
    pub(crate) tls13: bool,
}

/// Which proxies are asked; none unless they are named.
#[derive(Default)]
pub(crate) struct ProxySettings {
    /// For what is asked over HTTP.
    pub(crate) http: Option<Url>,
    /// For what is asked over TLS, through a tunnel.
    pub(crate) https: Option<Url>,
    /// Hosts that are asked directly, as in `no_proxy`.
    pub(crate) direct: String,
    /// Sent to the proxy when a tunnel is asked for.
    pub(crate) connect_headers: HeaderMap,
}

impl ProxySettings {
    /// Whether there is any.
    pub(crate) fn is_any(&self) -> bool {
        self.http.is_some() || self.https.is_some()
    }
}

impl ModuleReader<'_> {
    /// What a module says of its requests.
    pub(super) fn request(&mut self, module: &mut Fields) -> Result<RequestSettings> {
        let mut request = match module.take("http_client_config") {
            Some(node) => self.client(Fields::of(node, "http_client_config")?)?,
            None => RequestSettings::default(),
        };
        for (name, node) in module.entries("headers")? {
            let (line, value) = fields::text(node, &name)?;
            request.headers.insert(header_name(line, &name)?, header_value(line, &name, &value)?);
        }
        if let Some(body) = module.take("body") {
            let mut body = Fields::of(body, "body")?;
            let line = body.line;
            request.body = body.text("content")?.filter(|content| !content.is_empty());
            if body.bool("templatize")? == Some(true) {
                return Err(ConfigError::new(
                    line,
                    "body: templatize is not supported: there is one target, write its body out",
                ));
            }
            body.end()?;
        }
        for node in module.list("valid_status_codes")? {
            let (line, code) = fields::text(node, "a status code")?;
            let code = code.parse().ok().filter(|code| (100..600).contains(code));
            request
                .valid_status_codes
                .push(code.ok_or_else(|| ConfigError::new(line, "a status code is a number from 100 to 599"))?);
        }
        if let Some((line, size)) =
            module.take("body_size_limit").map(|node| fields::text(node, "body_size_limit")).transpose()?
        {
            request.body_limit = Some(body_size(&size).ok_or_else(|| {
                ConfigError::new(line, format!("body_size_limit: {size:?} is no size up to 1GiB, write 4MiB"))
            })?);
        }
        Ok(request)
    }

    fn client(&mut self, mut client: Fields) -> Result<RequestSettings> {
        let line = client.line;
        let mut methods = Vec::new();
        if let Some(basic) = client.take("basic_auth") {
            let mut basic = Fields::of(basic, "basic_auth")?;
            let username = self.secret(&mut basic, ["username", "username_file", "username_env"])?.unwrap_or_default();
            let password = self.secret(&mut basic, ["password", "password_file", "password_env"])?.unwrap_or_default();
            basic.end()?;
            methods.push(Authentication::Basic { username, password });
        }
        if let Some(authorization) = client.take("authorization") {
            let mut authorization = Fields::of(authorization, "authorization")?;
            let line = authorization.line;
            let scheme = authorization.text("type")?.filter(|scheme| !scheme.is_empty()).unwrap_or("Bearer".to_owned());
            if scheme.eq_ignore_ascii_case("basic") {
                return Err(ConfigError::new(line, "authorization: for the type Basic there is basic_auth"));
            }
            let keys = ["credentials", "credentials_file", "credentials_env"];
            let credentials = self.secret(&mut authorization, keys)?.unwrap_or_default();
            authorization.end()?;
            methods.push(Authentication::Header(secret_value(
                line,
                "authorization",
                &format!("{scheme} {credentials}"),
            )?));
        }
        if let Some(token) = self.secret(&mut client, ["bearer_token", "bearer_token_file", "bearer_token_env"])? {
            methods.push(Authentication::Header(secret_value(line, "bearer_token", &format!("Bearer {token}"))?));
        }
        let oauth2 = client.take("oauth2");
        let tls = self.tls(&mut client)?;
        let proxy = proxy(&mut client)?;
        let no_redirects = client.bool("follow_redirects")? == Some(false);
        let _ = client.bool("enable_http2")?; // what is asked once a scrape gains nothing by it; json_exporter has it off too
        let headers = self.headers(&mut client)?;
        client.end()?;
        if let Some(oauth2) = oauth2 {
            let oauth2 = self.oauth2(Fields::of(oauth2, "oauth2")?)?;
            methods.push(Authentication::OAuth2(Box::new(oauth2)));
        }
        if methods.len() > 1 {
            let what = "of basic_auth, authorization, bearer_token and oauth2 there is one at most";
            return Err(ConfigError::new(line, what));
        }
        Ok(RequestSettings {
            headers,
            authentication: methods.pop().unwrap_or_default(),
            tls,
            proxy,
            no_redirects,
            ..RequestSettings::default()
        })
    }

    fn oauth2(&mut self, mut oauth2: Fields) -> Result<OAuth2Settings> {
        let line = oauth2.line;
        let (_, client_id) = oauth2.required("client_id")?;
        let client_secret =
            self.secret(&mut oauth2, ["client_secret", "client_secret_file", "client_secret_env"])?.unwrap_or_default();
        let (url_line, token_url) = oauth2.required("token_url")?;
        let token_url = http_url(url_line, "token_url", &token_url)?;
        if oauth2.text("grant_type")?.is_some_and(|grant| grant != "client_credentials") {
            return Err(ConfigError::new(line, "oauth2: of the grant types client_credentials is supported"));
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
        let tls = self.tls(&mut oauth2)?;
        let proxy = proxy(&mut oauth2)?;
        let headers = self.headers(&mut oauth2)?;
        oauth2.end()?;
        Ok(OAuth2Settings { client_id, client_secret, token_url, parameters, headers, tls, proxy })
    }

    fn tls(&mut self, fields: &mut Fields) -> Result<Option<TlsSettings>> {
        let Some(node) = fields.take("tls_config") else { return Ok(None) };
        let mut fields = Fields::of(node, "tls_config")?;
        let line = fields.line;
        let ca = self.pem(&mut fields, "ca", "ca_file")?;
        let identity = match (self.pem(&mut fields, "cert", "cert_file")?, self.pem(&mut fields, "key", "key_file")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(ConfigError::new(line, "tls_config: a certificate and its key go together")),
        };
        let versions = [("TLS10", 10), ("TLS11", 11), ("TLS12", 12), ("TLS13", 13)];
        let least = fields.choice("min_version", &versions)?.unwrap_or(12);
        let most = fields.choice("max_version", &versions)?.unwrap_or(13);
        if most < 12 || most < least {
            return Err(ConfigError::new(
                line,
                "tls_config: of the versions TLS12 and TLS13 are supported, and none is left",
            ));
        }
        let server_name = fields.text("server_name")?.filter(|name| !name.is_empty());
        let insecure = fields.bool("insecure_skip_verify")?.unwrap_or(false);
        fields.end()?;
        Ok(Some(TlsSettings { ca, identity, server_name, insecure, tls12: least <= 12, tls13: most == 13 }))
    }

    fn pem(&mut self, fields: &mut Fields, inline: &'static str, file: &'static str) -> Result<Option<Vec<u8>>> {
        Ok(self.secret(fields, [inline, file, ""])?.map(String::into_bytes))
    }

    /// `http_headers`: values, secrets, and secrets from files and variables.
    fn headers(&mut self, fields: &mut Fields) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, node) in fields.entries("http_headers")? {
            let line = node.line;
            let key = header_name(line, &name)?;
            let mut header = Fields::of(node, name.as_str())?;
            for value in header.texts("values")? {
                headers.append(&key, header_value(line, &name, &value)?);
            }
            let mut secrets = header.texts("secrets")?;
            for file in header.texts("files")? {
                secrets.push(self.read(line, &name, &file)?);
            }
            for variable in header.texts("env")? {
                secrets.push(environment(line, &name, &variable)?);
            }
            for secret in secrets {
                headers.append(&key, secret_value(line, &name, &secret)?);
            }
            header.end()?;
        }
        Ok(headers)
    }

    /// A secret: as it is, from a file, or from a variable, whose keys these are.
    fn secret(&mut self, fields: &mut Fields, [inline, file, variable]: [&'static str; 3]) -> Result<Option<String>> {
        let inline_value = fields.text(inline)?;
        let file_node = fields.take(file);
        let variable_node = if variable.is_empty() { None } else { fields.take(variable) };
        match (inline_value, file_node, variable_node) {
            (None, None, None) => Ok(None),
            (Some(secret), None, None) => Ok(Some(secret)),
            (None, Some(node), None) => {
                let (line, path) = fields::text(node, file)?;
                self.read(line, file, &path).map(Some)
            }
            (None, None, Some(node)) => {
                let (line, name) = fields::text(node, variable)?;
                environment(line, variable, &name).map(Some)
            }
            _ => Err(ConfigError::new(fields.line, format!("{inline} is given in more than one way"))),
        }
    }

    fn read(&mut self, line: usize, key: &str, path: &str) -> Result<String> {
        let path = self.folder.join(path);
        self.files.add(&path);
        let fault = |why: String| ConfigError::new(line, format!("{key}: cannot read {}: {why}", path.display()));
        let metadata = std::fs::metadata(&path).map_err(|error| fault(error.to_string()))?;
        if !metadata.is_file() || metadata.len() > LARGEST_FILE {
            return Err(fault("it is not a small file".to_owned())); // a FIFO would be waited for, a device read for ever
        }
        let text = std::fs::read_to_string(&path).map_err(|error| fault(error.to_string()))?;
        Ok(text.trim().to_owned())
    }
}

fn environment(line: usize, key: &str, variable: &str) -> Result<String> {
    let value = std::env::var(variable);
    value.map_err(|_| ConfigError::new(line, format!("{key}: the variable {variable} is not set")))
}

fn proxy(fields: &mut Fields) -> Result<ProxySettings> {
    let line = fields.line;
    let no_proxy = fields.text("no_proxy")?;
    let mut connect_headers = HeaderMap::new();
    for (name, node) in fields.entries("proxy_connect_header")? {
        let values = match node {
            Node { value: Value::List(values), .. } => values,
            node => vec![node],
        };
        for value in values {
            let (line, value) = fields::text(value, &name)?;
            connect_headers.append(header_name(line, &name)?, secret_value(line, &name, &value)?);
        }
    }
    let from_environment = fields.bool("proxy_from_environment")? == Some(true);
    let url = fields.text("proxy_url")?.filter(|url| !url.is_empty());
    let fault = |what: &str| Err(ConfigError::new(line, what));
    Ok(match url {
        Some(_) if from_environment => return fault("proxy_url and proxy_from_environment exclude each other"),
        Some(url) => {
            let url = http_url(line, "proxy_url", &url)?;
            let direct = no_proxy.as_deref().map(beside).unwrap_or_default();
            ProxySettings { http: Some(url.clone()), https: Some(url), direct, connect_headers }
        }
        None if no_proxy.is_some() => return fault("no_proxy goes with proxy_url"),
        None if from_environment => {
            let set = |names: [&'static str; 2]| {
                names
                    .into_iter()
                    .find_map(|name| Some((name, std::env::var(name).ok().filter(|text| !text.is_empty())?)))
            };
            let proxy = |names| {
                let Some((name, url)) = set(names) else { return Ok(None) };
                let scheme = if url.contains("://") { "" } else { "http://" };
                http_url(line, name, &format!("{scheme}{url}")).map(Some)
            };
            let (http, https) = (proxy(["HTTP_PROXY", "http_proxy"])?, proxy(["HTTPS_PROXY", "https_proxy"])?);
            let direct = beside(&set(["NO_PROXY", "no_proxy"]).map(|(_, hosts)| hosts).unwrap_or_default());
            ProxySettings { http, https, direct, connect_headers }
        }
        None if !connect_headers.is_empty() => return fault("proxy_connect_header goes with a proxy"),
        None => ProxySettings::default(),
    })
}

/// The hosts of a `no_proxy`, and this one, for which Go never asks a proxy where it reads such a list.
fn beside(no_proxy: &str) -> String {
    let all = if no_proxy.split(',').any(|host| host.trim() == "*") { ",0.0.0.0/0,::/0" } else { "" };
    format!("{no_proxy},localhost,127.0.0.0/8,::1{all}")
}

fn http_url(line: usize, key: &str, text: &str) -> Result<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| ConfigError::new(line, format!("{key} is no URL of http or https"))) // which may hold a password
}

fn header_name(line: usize, name: &str) -> Result<HeaderName> {
    name.parse().map_err(|_| ConfigError::new(line, format!("{name:?} cannot be the name of a header")))
}

fn header_value(line: usize, name: &str, value: &str) -> Result<HeaderValue> {
    value.parse().map_err(|_| ConfigError::new(line, format!("the value of {name} cannot be that of a header")))
}

fn secret_value(line: usize, name: &str, value: &str) -> Result<HeaderValue> {
    let mut value = header_value(line, name, value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// `4MiB`, `512KB`, `1000000`; up to 1 GiB, to which positions in a document reach.
fn body_size(text: &str) -> Option<usize> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "B" => 1,
        "KB" | "KiB" => 1 << 10, // as in Prometheus, where both are 1024
        "MB" | "MiB" => 1 << 20,
        "GB" | "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit).filter(|size| (1..=1 << 30).contains(size))
}
