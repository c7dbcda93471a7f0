//! Signed requests to SQS, with the credentials of the environment, the shared files, or a web identity.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use exporter_common::UsageError;
use exporter_common::config::small_file;
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, RequestSigner};
use reqsign_core::{Context, FileRead, HttpSend, OsEnv, Signer};
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::{ConnectionSettings, http_connections, limited_body, request_error};
use crate::read_error::{Reason, read_error};

pub(super) struct SqsClient {
    http: reqwest::Client,
    endpoint: Url,
    signer: Signer<Credential>,
}

/// The environment variable with the URL of the service that exchanges a web identity for credentials.
const STS_ENDPOINT: &str = "AWS_ENDPOINT_URL_STS";

/// The type of a request whose body is JSON.
const JSON: &str = "application/x-amz-json-1.0";

impl SqsClient {
    pub(super) fn new(settings: ConnectionSettings, region: &str) -> Result<Self> {
        let ConnectionSettings { mut url, tls, .. } = settings;
        url.set_query(None);
        let http = http_connections(&tls, &url)?;
        // an exporter starts no programs, and signs in to no website
        let provider = DefaultCredentialProvider::builder().no_sso().no_process().build();
        let sts = std::env::var(STS_ENDPOINT).ok().filter(|endpoint| !endpoint.is_empty());
        let sts = sts.map(|endpoint| Url::parse(&endpoint)).transpose();
        let sts = sts.map_err(|error| UsageError::new(format!("{STS_ENDPOINT} is not a URL: {error}")))?;
        let exchange = Http { connections: http.clone(), sts };
        let context = Context::new().with_env(OsEnv).with_file_read(Files).with_http_send(exchange);
        let signer = Signer::new(context, provider, RequestSigner::new("sqs", region));
        Ok(Self { http, endpoint: url, signer })
    }

    /// The response to an action of the API.
    pub(super) async fn call<T: DeserializeOwned>(&self, action: &str, parameters: &impl Serialize) -> Result<T> {
        let body = serde_json::to_vec(parameters)?;
        let hash = ring::digest::digest(&ring::digest::SHA256, &body);
        let hash = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let request = http::Request::post(self.endpoint.as_str())
            .header("content-type", JSON)
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .header("x-amz-content-sha256", hash)
            .body(())?;
        let (mut head, ()) = request.into_parts();
        let no_credentials = |error: reqsign_core::Error| {
            let text = format!("no AWS credentials: {error}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
            read_error(Reason::Auth, text)
        };
        self.signer.sign(&mut head, None).await.map_err(no_credentials)?;
        let request = self.http.post(self.endpoint.clone()).headers(head.headers).body(body);
        let response = request.send().await.map_err(request_error).with_context(|| action.to_owned())?;
        let status = response.status();
        let body = limited_body(response).await.with_context(|| action.to_owned())?;
        if !status.is_success() {
            let error: ApiError = serde_json::from_slice(&body).unwrap_or_default();
            let reason = if matches!(status.as_u16(), 401 | 403) { Reason::Auth } else { Reason::Protocol };
            return Err(read_error(reason, format!("{action}: status {status}: {} {}", error.name(), error.message)));
        }
        serde_json::from_slice(&body).with_context(|| format!("{action}: unexpected response"))
    }
}

/// An error of the API.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct ApiError {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message")]
    message: String,
}

impl ApiError {
    /// The name without its namespace.
    fn name(&self) -> &str {
        self.kind.rsplit('#').next().unwrap_or_default()
    }
}

/// Reads the shared files and the token of a web identity.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let read =
            |path: String| small_file::read(path.as_ref()).map_err(|error| format!("cannot read {path}: {error}"));
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || read(path)).await;
        read.map_err(|error| error.to_string()).and_then(|read| read).map_err(reqsign_core::Error::unexpected)
    }
}

/// Whether a URL is the default one of the service that exchanges a web identity for credentials.
fn is_sts(url: &Url) -> bool {
    url.scheme() == "https"
        && url.host_str().is_some_and(|host| host.starts_with("sts.") && host.contains(".amazonaws.com"))
}

/// Requests credentials for a web identity, a container or an instance.
#[derive(Debug)]
struct Http {
    connections: reqwest::Client,
    sts: Option<Url>,
}

impl HttpSend for Http {
    async fn http_send(&self, request: http::Request<Bytes>) -> reqsign_core::Result<http::Response<Bytes>> {
        let failed = |error: anyhow::Error| reqsign_core::Error::unexpected(format!("{error:#}"));
        let mut request = reqwest::Request::try_from(request).map_err(|error| failed(request_error(error)))?;
        if let Some(sts) = self.sts.as_ref().filter(|_| is_sts(request.url())) {
            sts.clone_into(request.url_mut());
        }
        let response = self.connections.execute(request).await.map_err(|error| failed(request_error(error)))?;
        let mut built = http::Response::builder().status(response.status());
        if let Some(headers) = built.headers_mut() {
            headers.clone_from(response.headers());
        }
        let body = limited_body(response).await.map_err(failed)?;
        built.body(body.into()).map_err(|error| reqsign_core::Error::unexpected(error.to_string()))
    }
}
