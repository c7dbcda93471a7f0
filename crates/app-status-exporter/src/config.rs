//! `--config.file`: json_exporter's configuration, read strictly, and what this exporter knows beyond it.
//!
//! Source: config/config.go of json_exporter, config/http_config.go of Prometheus' common library.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use exporter_common::Kind;
use exporter_common::reload::Files;
use exporter_common::yaml::{self, Node, Value};
use regex::Regex;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::convert::{Conversion, Format};
use crate::fields::{self, Fault, Fields, Result};
use crate::jsonpath::Template;
use crate::mapping::{Bounds, Buckets, Metric, Moment, Otherwise, Policy, Reading};

/// One module: how pages are fetched, and what is taken from them.
pub(crate) struct Module {
    pub(crate) metrics: Vec<Metric>,
    /// The pages the metrics are read from, relative to `--app.url`; the first is that URL itself.
    pub(crate) pages: Vec<String>,
    pub(crate) request: Request,
    /// The file itself and all files it names.
    pub(crate) files: Files,
    pub(crate) warnings: Vec<String>,
}

/// How a page is asked for.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) headers: HeaderMap,
    /// Sent by POST.
    pub(crate) body: Option<String>,
    /// Status codes whose pages are read; none for 2xx and 503.
    pub(crate) valid_status_codes: Vec<u16>,
    /// The largest page that is read, in bytes.
    pub(crate) body_limit: Option<usize>,
    pub(crate) login: Login,
    pub(crate) tls: Option<Tls>,
    pub(crate) proxy: Proxy,
    pub(crate) no_redirects: bool,
}

/// How the exporter shows who it is.
#[derive(Default)]
pub(crate) enum Login {
    #[default]
    None,
    Basic {
        username: String,
        password: String,
    },
    Header(HeaderValue),
    OAuth2(Box<OAuth2>),
}

/// OAuth 2.0 with client credentials.
pub(crate) struct OAuth2 {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) token_url: Url,
    /// Scopes and further parameters.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) tls: Option<Tls>,
    pub(crate) proxy: Proxy,
}

/// How TLS is spoken; all PEM.
#[derive(Default)]
pub(crate) struct Tls {
    pub(crate) ca: Option<Vec<u8>>,
    /// Certificate and key.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) server_name: Option<String>,
    pub(crate) insecure: bool,
    pub(crate) tls12: bool,
    pub(crate) tls13: bool,
}

/// Which proxy is asked.
#[derive(Default)]
pub(crate) enum Proxy {
    #[default]
    None,
    Environment,
    Url {
        url: Url,
        no_proxy: Option<String>,
        headers: Box<HeaderMap>,
    },
}

/// Reads one module of a file.
///
/// # Errors
/// What is wrong, with file and line.
pub(crate) fn load(path: &Path, module: &str) -> anyhow::Result<Module> {
    let place = path.display();
    let files = Files::look([path.to_owned()]);
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {place}"))?;
    let root = yaml::parse(&text).with_context(|| place.to_string())?;
    let mut reader = Reader { folder: path.parent().unwrap_or(Path::new("")), files, warnings: Vec::new() };
    match reader.file(root, module) {
        Ok((metrics, pages, request)) => {
            Ok(Module { metrics, pages, request, files: reader.files, warnings: reader.warnings })
        }
        Err(fault) => bail!("{place}:{fault}"),
    }
}

/// Reads a configuration from its text, for fuzzing.
#[cfg(fuzzing)]
pub(crate) fn check(text: &str) -> anyhow::Result<()> {
    let folder = Path::new("/nowhere");
    Reader { folder, files: Files::default(), warnings: Vec::new() }.file(yaml::parse(text)?, "default")?;
    Ok(())
}

/// Reads a configuration, and keeps what is to be known of it besides.
struct Reader<'a> {
    /// What relative names of files are relative to.
    folder: &'a Path,
    files: Files,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn file(&mut self, root: Node, module: &str) -> Result<(Vec<Metric>, Vec<String>, Request)> {
        let mut file = Fields::of(root, "the file")?;
        if file.has("metrics") {
            let what = "metrics stand in a module: put this file's content under modules: and default:";
            return Err(Fault::new(file.line, what));
        }
        let modules = file.entries("modules")?;
        file.ignore(|key| key.starts_with("x-")); // a place for anchors, as in compose files
        let line = file.line;
        file.end()?;
        let names: Vec<_> = modules.iter().map(|(name, _)| name.as_str()).collect();
        let missing = match names[..] {
            [] => "there is no module: write modules: and under it default:".to_owned(),
            _ => format!("there is no module {module}, which --config.module asks for; there are {}", names.join(", ")),
        };
        let found = modules.into_iter().find(|(name, _)| name == module);
        let (name, node) = found.ok_or_else(|| Fault::new(line, missing))?;
        self.module(Fields::of(node, format!("module {name}"))?)
    }

    fn module(&mut self, mut module: Fields) -> Result<(Vec<Metric>, Vec<String>, Request)> {
        let mut request = match module.take("http_client_config") {
            Some(node) => self.client(Fields::of(node, "http_client_config")?)?,
            None => Request::default(),
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
                return Err(Fault::new(
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
                .push(code.ok_or_else(|| Fault::new(line, "a status code is a number from 100 to 599"))?);
        }
        if let Some((line, size)) =
            module.take("body_size_limit").map(|node| fields::text(node, "body_size_limit")).transpose()?
        {
            request.body_limit = Some(body_size(&size).ok_or_else(|| {
                Fault::new(line, format!("body_size_limit: {size:?} is no size up to 1GiB, write 4MiB"))
            })?);
        }
        let (mut metrics, mut pages) = (Vec::<Metric>::new(), vec![String::new()]);
        for node in module.list("metrics")? {
            let line = node.line;
            let metric = self.metric(Fields::of(node, "a metric")?, &mut pages)?;
            for (name, _) in &metric.values {
                let same = |other: &&Metric| other.values.iter().any(|(other, _)| other == name);
                if let Some(other) = metrics.iter().find(same).filter(|other| other.kind != metric.kind) {
                    let what = format!("{name} has another valuetype here than where {} is defined first", other.name);
                    return Err(Fault::new(line, what));
                }
            }
            metrics.push(metric);
        }
        module.end()?;
        Ok((metrics, pages, request))
    }

    fn metric(&mut self, mut fields: Fields, pages: &mut Vec<String>) -> Result<Metric> {
        let line = fields.line;
        let (name_line, name) = fields.required("name")?;
        if name.is_empty() {
            return Err(Fault::new(name_line, "a metric's name is not empty"));
        }
        let fault = |what: String| Fault::new(line, format!("{name}: {what}"));
        let objects = fields.choice("type", &[("value", false), ("object", true)])?.unwrap_or(false);
        let kind = match fields.text("valuetype")?.as_deref() {
            None | Some("untyped" | "unknown") => Kind::Unknown,
            Some("gauge") => Kind::Gauge,
            Some("counter") => Kind::Counter,
            Some("stateset") => Kind::StateSet,
            Some("info") => Kind::Info,
            Some("histogram") => Kind::Histogram,
            Some(other) => {
                let kinds = "gauge, counter, untyped, stateset, info, histogram";
                return Err(fault(format!("valuetype {other:?} is none of {kinds}")));
            }
        };
        match fields.text("engine")?.as_deref() {
            None | Some("jsonpath") => {}
            Some(other) => return Err(fault(format!("engine {other} is not supported: write the paths as JSONPath"))),
        }
        let help = fields.text("help")?.unwrap_or_else(|| name.clone());
        let path = template(&mut fields, "path")?;
        let mut labels = Vec::new();
        for (label, node) in fields.entries("labels")? {
            let (line, text) = fields::text(node, &label)?;
            if label.is_empty() || label.starts_with("__") || (kind == Kind::Histogram && label == "le") {
                return Err(Fault::new(line, format!("{label:?} cannot be the name of a label")));
            }
            labels.push((label, compile(line, &text)?));
        }
        let mut suffixes = Vec::new();
        for (suffix, node) in fields.entries("values")? {
            let (line, text) = fields::text(node, &suffix)?;
            suffixes.push((format!("{name}_{suffix}"), compile(line, &text)?));
        }
        let timestamp = match (template(&mut fields, "epochtimestamp")?, template(&mut fields, "timestamp")?) {
            (Some(_), Some(_)) => return Err(fault("epochtimestamp and timestamp exclude each other".to_owned())),
            (Some(path), None) => Some((path, Moment::Milliseconds)),
            (None, path) => path.map(|path| (path, Moment::Any)),
        };
        if fields.take("epochTimestamp").is_some() {
            self.warnings.push(format!(
                "{name}: epochTimestamp is ignored, as json_exporter does; write epochtimestamp for milliseconds, or timestamp"
            ));
        }
        let allow_missing = fields.bool("allow_missing_key")?.unwrap_or(false);
        let skip = if allow_missing { Otherwise::Skip } else { Otherwise::Fail };
        let policy = Policy {
            missing: otherwise(&mut fields, "if_missing")?.unwrap_or(skip),
            null: otherwise(&mut fields, "if_null")?.unwrap_or_default(),
            invalid: otherwise(&mut fields, "if_invalid")?.unwrap_or_default(),
        };
        let page = match fields.text("url")? {
            None => 0,
            Some(url) => pages.iter().position(|page| *page == url).unwrap_or_else(|| {
                pages.push(url);
                pages.len() - 1
            }),
        };
        let states = fields.texts("states")?;
        let histogram = fields.take("histogram");
        let conversion = conversion(&mut fields)?;
        fields.end()?;

        if (kind == Kind::StateSet) == states.is_empty() {
            return Err(fault("states go with valuetype stateset, and it with states".to_owned()));
        }
        if (kind == Kind::Histogram) != histogram.is_some() {
            return Err(fault("histogram goes with valuetype histogram, and it with histogram".to_owned()));
        }
        let numbers = [policy.missing, policy.null, policy.invalid]
            .iter()
            .any(|otherwise| matches!(otherwise, Otherwise::Number(_)));
        if matches!(kind, Kind::StateSet | Kind::Histogram) && numbers {
            return Err(fault(
                "with this valuetype a series is left out (skip) or a failure (error), no number".to_owned(),
            ));
        }
        if conversion.is_some() && matches!(kind, Kind::StateSet | Kind::Histogram | Kind::Info) {
            return Err(fault("regex, map, format and scale make a number, which this valuetype has not".to_owned()));
        }
        if kind == Kind::StateSet && labels.iter().any(|(label, _)| *label == name) {
            return Err(fault("the label of this name shows the state".to_owned()));
        }
        let (elements, values) = if matches!(kind, Kind::Info | Kind::Histogram) {
            if !suffixes.is_empty() {
                return Err(fault("with this valuetype there are no values".to_owned()));
            }
            let reading = match histogram {
                Some(histogram) => Reading::Histogram(buckets(Fields::of(histogram, "histogram")?)?),
                None => Reading::Info,
            };
            (path, vec![(name.clone(), reading)])
        } else {
            let path = path.ok_or_else(|| fault("it has no path".to_owned()))?;
            let (elements, templates) = match (objects, suffixes.is_empty()) {
                (true, true) => return Err(fault("type object needs values: a suffix and a path each".to_owned())),
                (true, false) => (Some(path), suffixes),
                (false, true) => (None, vec![(name.clone(), path)]),
                (false, false) => return Err(fault("values go with type: object".to_owned())),
            };
            let reading = |template| match kind {
                Kind::StateSet => Reading::State(template, states.clone()),
                _ => Reading::Number(template, conversion.clone().unwrap_or_default()),
            };
            (elements, templates.into_iter().map(|(name, template)| (name, reading(template))).collect())
        };
        if elements.as_ref().is_some_and(|path| !path.is_path()) {
            return Err(fault("the path of objects is one path in braces, such as '{.items[*]}'".to_owned()));
        }
        Ok(Metric { name, help, page, kind, elements, values, labels, timestamp, policy })
    }

    fn client(&mut self, mut client: Fields) -> Result<Request> {
        let line = client.line;
        let mut logins = Vec::new();
        if let Some(basic) = client.take("basic_auth") {
            let mut basic = Fields::of(basic, "basic_auth")?;
            let username = self.secret(&mut basic, ["username", "username_file", "username_env"])?.unwrap_or_default();
            let password = self.secret(&mut basic, ["password", "password_file", "password_env"])?.unwrap_or_default();
            basic.end()?;
            logins.push(Login::Basic { username, password });
        }
        if let Some(authorization) = client.take("authorization") {
            let mut authorization = Fields::of(authorization, "authorization")?;
            let line = authorization.line;
            let scheme = authorization.text("type")?.filter(|scheme| !scheme.is_empty()).unwrap_or("Bearer".to_owned());
            if scheme.eq_ignore_ascii_case("basic") {
                return Err(Fault::new(line, "authorization: for the type Basic there is basic_auth"));
            }
            let keys = ["credentials", "credentials_file", "credentials_env"];
            let credentials = self.secret(&mut authorization, keys)?.unwrap_or_default();
            authorization.end()?;
            logins.push(Login::Header(secret_value(line, "authorization", &format!("{scheme} {credentials}"))?));
        }
        if let Some(token) = self.secret(&mut client, ["bearer_token", "bearer_token_file", "bearer_token_env"])? {
            logins.push(Login::Header(secret_value(line, "bearer_token", &format!("Bearer {token}"))?));
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
            logins.push(Login::OAuth2(Box::new(oauth2)));
        }
        if logins.len() > 1 {
            let what = "of basic_auth, authorization, bearer_token and oauth2 there is one at most";
            return Err(Fault::new(line, what));
        }
        Ok(Request { headers, login: logins.pop().unwrap_or_default(), tls, proxy, no_redirects, ..Request::default() })
    }

    fn oauth2(&mut self, mut oauth2: Fields) -> Result<OAuth2> {
        let line = oauth2.line;
        let (_, client_id) = oauth2.required("client_id")?;
        let client_secret =
            self.secret(&mut oauth2, ["client_secret", "client_secret_file", "client_secret_env"])?.unwrap_or_default();
        let (url_line, token_url) = oauth2.required("token_url")?;
        let token_url = http_url(url_line, "token_url", &token_url)?;
        if oauth2.text("grant_type")?.is_some_and(|grant| grant != "client_credentials") {
            return Err(Fault::new(line, "oauth2: of the grant types client_credentials is supported"));
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
        Ok(OAuth2 { client_id, client_secret, token_url, parameters, headers, tls, proxy })
    }

    fn tls(&mut self, fields: &mut Fields) -> Result<Option<Tls>> {
        let Some(node) = fields.take("tls_config") else { return Ok(None) };
        let mut fields = Fields::of(node, "tls_config")?;
        let line = fields.line;
        let ca = self.pem(&mut fields, "ca", "ca_file")?;
        let identity = match (self.pem(&mut fields, "cert", "cert_file")?, self.pem(&mut fields, "key", "key_file")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(Fault::new(line, "tls_config: a certificate and its key go together")),
        };
        let versions = [("TLS10", 10), ("TLS11", 11), ("TLS12", 12), ("TLS13", 13)];
        let least = fields.choice("min_version", &versions)?.unwrap_or(12);
        let most = fields.choice("max_version", &versions)?.unwrap_or(13);
        if most < 12 || most < least {
            return Err(Fault::new(
                line,
                "tls_config: of the versions TLS12 and TLS13 are supported, and none is left",
            ));
        }
        let server_name = fields.text("server_name")?.filter(|name| !name.is_empty());
        let insecure = fields.bool("insecure_skip_verify")?.unwrap_or(false);
        fields.end()?;
        Ok(Some(Tls { ca, identity, server_name, insecure, tls12: least <= 12, tls13: most == 13 }))
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
            _ => Err(Fault::new(fields.line, format!("{inline} is given in more than one way"))),
        }
    }

    fn read(&mut self, line: usize, key: &str, path: &str) -> Result<String> {
        let path = self.folder.join(path);
        self.files.add(&path);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Fault::new(line, format!("{key}: cannot read {}: {error}", path.display())))?;
        Ok(text.trim().to_owned())
    }
}

fn environment(line: usize, key: &str, variable: &str) -> Result<String> {
    let value = std::env::var(variable);
    value.map_err(|_| Fault::new(line, format!("{key}: the variable {variable} is not set")))
}

fn proxy(fields: &mut Fields) -> Result<Proxy> {
    let line = fields.line;
    let no_proxy = fields.text("no_proxy")?;
    let mut headers = HeaderMap::new();
    for (name, node) in fields.entries("proxy_connect_header")? {
        let values = match node {
            Node { value: Value::List(values), .. } => values,
            node => vec![node],
        };
        for value in values {
            let (line, value) = fields::text(value, &name)?;
            headers.append(header_name(line, &name)?, secret_value(line, &name, &value)?);
        }
    }
    let from_environment = fields.bool("proxy_from_environment")? == Some(true);
    match fields.text("proxy_url")?.filter(|url| !url.is_empty()) {
        Some(_) if from_environment => Err(Fault::new(line, "proxy_url and proxy_from_environment exclude each other")),
        Some(url) => Ok(Proxy::Url { url: http_url(line, "proxy_url", &url)?, no_proxy, headers: Box::new(headers) }),
        None if from_environment && no_proxy.is_none() && headers.is_empty() => Ok(Proxy::Environment),
        None if no_proxy.is_some() || !headers.is_empty() => {
            Err(Fault::new(line, "no_proxy and proxy_connect_header go with proxy_url"))
        }
        None => Ok(Proxy::None),
    }
}

fn http_url(line: usize, key: &str, text: &str) -> Result<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| Fault::new(line, format!("{key} is no URL of http or https"))) // which may hold a password
}

fn header_name(line: usize, name: &str) -> Result<HeaderName> {
    name.parse().map_err(|_| Fault::new(line, format!("{name:?} cannot be the name of a header")))
}

fn header_value(line: usize, name: &str, value: &str) -> Result<HeaderValue> {
    value.parse().map_err(|_| Fault::new(line, format!("the value of {name} cannot be that of a header")))
}

fn secret_value(line: usize, name: &str, value: &str) -> Result<HeaderValue> {
    let mut value = header_value(line, name, value)?;
    value.set_sensitive(true);
    Ok(value)
}

fn template(fields: &mut Fields, key: &'static str) -> Result<Option<Template>> {
    let Some(node) = fields.take(key) else { return Ok(None) };
    let (line, text) = fields::text(node, key)?;
    compile(line, &text).map(Some)
}

fn compile(line: usize, text: &str) -> Result<Template> {
    Template::parse(text).map_err(|what| Fault::new(line, format!("{text:?} is no JSONPath: {what}")))
}

/// The keys that say how text becomes a number, if there is any of them.
fn conversion(fields: &mut Fields) -> Result<Option<Conversion>> {
    let regex = match fields.take("regex") {
        None => None,
        Some(node) => {
            let (line, text) = fields::text(node, "regex")?;
            let regex = Regex::new(&text);
            Some(regex.map_err(|error| {
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                Fault::new(line, format!("{text:?} is no regular expression: {why}"))
            })?)
        }
    };
    let mut map = BTreeMap::new();
    for (name, node) in fields.entries("map")? {
        let (line, text) = fields::text(node, &name)?;
        map.insert(name.to_lowercase(), float(line, "map", &text)?);
    }
    let format = fields.choice("format", Format::NAMES)?;
    let scale = match fields.take("scale") {
        None => None,
        Some(node) => {
            let (line, text) = fields::text(node, "scale")?;
            Some(float(line, "scale", &text)?)
        }
    };
    let any = regex.is_some() || !map.is_empty() || format.is_some() || scale.is_some();
    Ok(any.then(|| Conversion { regex, map, format: format.unwrap_or_default(), scale }))
}

/// A number as YAML writes it, with its `.nan` and `.inf`.
fn float(line: usize, key: &str, text: &str) -> Result<f64> {
    let plain = text.replacen(".nan", "nan", 1).replacen(".NaN", "nan", 1).replacen(".inf", "inf", 1);
    plain.parse().map_err(|_| Fault::new(line, format!("{key}: {text:?} is no number")))
}

fn otherwise(fields: &mut Fields, key: &'static str) -> Result<Option<Otherwise>> {
    let Some(node) = fields.take(key) else { return Ok(None) };
    let (line, text) = fields::text(node, key)?;
    match text.as_str() {
        "error" => Ok(Some(Otherwise::Fail)),
        "skip" => Ok(Some(Otherwise::Skip)),
        number => float(line, key, number)
            .map(|number| Some(Otherwise::Number(number)))
            .map_err(|_| Fault::new(line, format!("{key}: {text:?} is neither error nor skip nor a number"))),
    }
}

fn buckets(mut fields: Fields) -> Result<Buckets> {
    let line = fields.line;
    let path = |fields: &mut Fields, key, default: &str| match template(fields, key)? {
        Some(template) => Ok(template),
        None => compile(line, default),
    };
    let buckets = template(&mut fields, "buckets")?
        .filter(Template::is_path)
        .ok_or_else(|| Fault::new(line, "histogram: buckets is one path in braces, with a match for each bucket"))?;
    let bounds = match (fields.take("bounds"), template(&mut fields, "bound")?) {
        (Some(_), Some(_)) => return Err(Fault::new(line, "histogram: bound and bounds exclude each other")),
        (Some(Node { value: Value::List(list), .. }), None) => {
            let bound = |node| fields::text(node, "bounds").and_then(|(line, text)| float(line, "bounds", &text));
            Bounds::Fixed(list.into_iter().map(bound).collect::<Result<_>>()?)
        }
        (Some(node), None) => {
            let (line, text) = fields::text(node, "bounds")?;
            Bounds::Beside(compile(line, &text)?)
        }
        (None, Some(template)) => Bounds::Inside(template),
        (None, None) => Bounds::Inside(compile(line, "{key}")?),
    };
    let value = path(&mut fields, "value", "{@}")?;
    let cumulative = fields.bool("cumulative")?.unwrap_or(true);
    let (sum, count) = (template(&mut fields, "sum")?, template(&mut fields, "count")?);
    let scale = fields.take("scale").map(|node| fields::text(node, "scale")).transpose()?;
    let scale = scale.map_or(Ok(1.0), |(line, text)| float(line, "scale", &text))?;
    fields.end()?;
    Ok(Buckets { buckets, bounds, value, cumulative, sum, count, scale })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Module, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yml");
        std::fs::write(&path, text).unwrap();
        load(&path, "default").map_err(|error| format!("{error:#}").replace(&format!("{}:", path.display()), "c.yml:"))
    }

    /// A module with one metric, whose further keys these are, on line 4.
    fn metric(keys: &str) -> std::result::Result<Module, String> {
        read(&format!("modules:\n  default:\n    metrics:\n    - {{name: m, {keys}}}\n"))
    }

    #[test]
    fn what_is_wrong_with_a_metric_is_told_with_its_line() {
        for (keys, fault) in [
            ("path: '{.a}', lables: {}", "a metric has no key lables; did you mean labels?"),
            ("path: '{.a}', valueType: gauge", "a metric has no key valueType; did you mean valuetype?"),
            ("pth: '{.a}'", "a metric has no key pth; did you mean path?"),
            ("help: x", "m: it has no path"),
            ("path: '{.a'", "\"{.a\" is no JSONPath: } is missing at its end"),
            ("path: '{.a}', type: objct", "type: \"objct\" is none of value, object; did you mean object?"),
            ("path: '{.a}', type: object", "m: type object needs values: a suffix and a path each"),
            ("path: '{.a}', values: {x: 1}", "m: values go with type: object"),
            ("path: 'a-{.a}', type: object, values: {x: 1}", "m: the path of objects is one path in braces"),
            ("path: '{.a}', valuetype: guage", "m: valuetype \"guage\" is none of gauge, counter,"),
            ("path: '{.a}', valuetype: stateset", "m: states go with valuetype stateset, and it with states"),
            ("path: '{.a}', valuetype: histogram", "m: histogram goes with valuetype histogram"),
            ("path: '{.a}', engine: cel", "m: engine cel is not supported"),
            ("path: '{.a}', regex: '('", "\"(\" is no regular expression: unclosed group"),
            ("path: '{.a}', format: sise", "format: \"sise\" is none of number, quantity, duration, time"),
            ("path: '{.a}', map: {a: b}", "map: \"b\" is no number"),
            ("path: '{.a}', if_null: nothing", "if_null: \"nothing\" is neither error nor skip nor a number"),
            ("path: '{.a}', labels: {__a: b}", "\"__a\" cannot be the name of a label"),
            ("path: [a]", "path is one value"),
            ("path: '{.a}', labels: []", "labels is a block of names and values"),
            ("path: '{.a}', allow_missing_key: perhaps", "allow_missing_key: \"perhaps\" is neither true nor false"),
            (
                "path: '{.a}', valuetype: stateset, states: [a], if_null: 0",
                "m: with this valuetype a series is left out",
            ),
            ("valuetype: info, scale: 2", "m: regex, map, format and scale make a number"),
        ] {
            let found = metric(keys).map(|_| ()).unwrap_err();
            assert!(found.starts_with(&format!("c.yml:4: {fault}")), "{keys}: {found}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_module_is_told_with_its_line() {
        for (module, fault) in [
            ("metric: []", "3: module default has no key metric; did you mean metrics?"),
            ("valid_status_codes: [20]", "3: a status code is a number from 100 to 599"),
            ("body: {content: a, templatize: true}", "3: body: templatize is not supported"),
            ("headers: {'a b': c}", "3: \"a b\" cannot be the name of a header"),
            ("body_size_limit: 2TB", "3: body_size_limit: \"2TB\" is no size up to 1GiB, write 4MiB"),
            ("http_client_config: {basic_auth: {user: x}}", "3: basic_auth has no key user; did you mean username?"),
            (
                "http_client_config: {bearer_token: a, basic_auth: {username: b}}",
                "3: of basic_auth, authorization, bearer_token and oauth2 there is one at most",
            ),
            (
                "http_client_config: {bearer_token: a, bearer_token_env: B}",
                "3: bearer_token is given in more than one way",
            ),
            ("http_client_config: {tls_config: {cert: a}}", "3: tls_config: a certificate and its key go together"),
            (
                "http_client_config: {tls_config: {max_version: TLS11}}",
                "3: tls_config: of the versions TLS12 and TLS13",
            ),
            ("http_client_config: {proxy_url: 's3cret'}", "3: proxy_url is no URL of http or https"),
            ("http_client_config: {no_proxy: a}", "3: no_proxy and proxy_connect_header go with proxy_url"),
            (
                "http_client_config: {oauth2: {client_id: a, token_url: 'http://a/', grant_type: jwt-bearer}}",
                "3: oauth2: of the grant types client_credentials is supported",
            ),
            ("metrics: [{name: a, path: x}, {name: a, path: x, valuetype: gauge}]", "3: a has another valuetype here"),
        ] {
            let found = read(&format!("modules:\n  default:\n    {module}\n")).map(|_| ()).unwrap_err();
            assert!(found.starts_with(&format!("c.yml:{fault}")), "{module}: {found}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        for (text, fault) in [
            ("", "c.yml:1: there is no module: write modules: and under it default:"),
            (
                "modules: {other: {}}",
                "c.yml:1: there is no module default, which --config.module asks for; there are other",
            ),
            ("moduls: {default: {}}", "c.yml:1: the file has no key moduls; did you mean modules?"),
            ("metrics: []", "c.yml:1: metrics stand in a module"),
            ("modules: [", "c.yml: yaml: line "),
        ] {
            let found = read(text).map(|_| ()).unwrap_err();
            assert!(found.starts_with(fault), "{text}: {found}");
        }
    }

    #[test]
    fn other_modules_and_anchors_are_passed_over() {
        let text = "x-labels: &labels {env: beta}\nmodules:\n  default:\n    metrics:\n    - name: a\n      path: '{.a}'\n      \
                    labels: {<<: *labels, b: c}\n  other: {whatever: 1}\n";
        let module = read(text).unwrap();
        let labels: Vec<_> = module.metrics[0].labels.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(labels, ["b", "env"]);
    }
}
