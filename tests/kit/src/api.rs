//! A small Kubernetes client over JSON: paths in, values out. What a test asserts on is what the API server said.

use crate::failure::Context;
use crate::pki::Credential;
use crate::{Failure, Result, fail};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Method, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// The limit of one request that is no watch.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An identity at an API server.
#[derive(Debug, Clone)]
pub struct Api {
    http: Client,
    server: String,
    token: Option<String>,
}

/// A patch's content type.
#[derive(Debug, Clone, Copy)]
pub enum Patch {
    /// RFC 7386.
    Merge,
    /// Kubernetes' own, which merges lists by key.
    Strategic,
}

impl Api {
    /// A client of `server` (`https://host:port`) that trusts `ca` and says it is `credential`.
    ///
    /// # Errors
    /// A certificate or key is not valid PEM.
    pub fn new(server: &str, ca: &str, credential: &Credential) -> Result<Self> {
        Self::build(Client::builder(), server, ca, credential)
    }

    /// A client of the server that answers to `host` at `address`, past the API server: what a caller inside the cluster
    /// may try.
    ///
    /// # Errors
    /// See [`Self::new`].
    pub fn direct(host: &str, address: SocketAddr, ca: &str, credential: &Credential) -> Result<Self> {
        let builder = Client::builder().resolve(host, address);
        Self::build(builder, &format!("https://{host}:{}", address.port()), ca, credential)
    }

    fn build(builder: ClientBuilder, server: &str, ca: &str, credential: &Credential) -> Result<Self> {
        let mut builder = builder
            .no_proxy()
            .tcp_nodelay(true)
            .tls_certs_only([Certificate::from_pem(ca.as_bytes()).context("the CA's certificate")?]);
        let mut token = None;
        match credential {
            Credential::Certificate(pair) => {
                let identity = Identity::from_pem(pair.identity().as_bytes()).context("the client's certificate")?;
                builder = builder.identity(identity);
            }
            Credential::Token(text) => token = Some(text.clone()),
            Credential::Anonymous => {}
        }
        Ok(Self {
            http: builder.build()?,
            server: server.to_owned(),
            token,
        })
    }

    fn builder(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.server))
            .header("Accept", "application/json");
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A request in which each of `headers` takes the place of ours of the same name; a server reads the first of two.
    fn with_headers(&self, method: &Method, path: &str, headers: &[(&str, &str)]) -> Result<reqwest::RequestBuilder> {
        let mut own = HeaderMap::new();
        for (name, value) in headers {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|error| Failure::new(error.to_string()));
            let text = HeaderValue::from_str(value).map_err(|error| Failure::new(error.to_string()));
            own.append(header.context(name)?, text.context(name)?);
        }
        Ok(self.builder(method.clone(), path).headers(own))
    }

    /// One request; the status and the body, whatever they say. `headers` take the place of ours.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, &Value)>,
    ) -> Result<(StatusCode, Value)> {
        let mut request = self.with_headers(&method, path, headers)?.timeout(TIMEOUT);
        if let Some((content_type, value)) = body {
            request = request
                .header("Content-Type", content_type)
                .body(serde_json::to_vec(value)?);
        }
        let response = request.send().await.context(format!("{method} {path}"))?;
        let status = response.status();
        let bytes = response.bytes().await.context(format!("{method} {path}"))?;
        let value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok((status, value))
    }

    async fn expect(&self, method: Method, path: &str, body: Option<(&str, &Value)>) -> Result<Value> {
        let (status, value) = self.raw(method.clone(), path, &[], body).await?;
        if !status.is_success() {
            fail!("{method} {path}: {status}: {}", message(&value));
        }
        Ok(value)
    }

    /// GET that must succeed.
    ///
    /// # Errors
    /// There was no answer or an error.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.expect(Method::GET, path, None).await
    }

    /// GET; `None` for 404.
    ///
    /// # Errors
    /// There was no answer or another error.
    pub async fn find(&self, path: &str) -> Result<Option<Value>> {
        let (status, value) = self.raw(Method::GET, path, &[], None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(value)),
            status => fail!("GET {path}: {status}: {}", message(&value)),
        }
    }

    /// POST of an object to its collection.
    ///
    /// # Errors
    /// There was no answer or an error.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.expect(Method::POST, path, Some(("application/json", object)))
            .await
    }

    /// Server-side apply of `object` at its own path, taking fields over from others.
    ///
    /// # Errors
    /// There was no answer or an error.
    pub async fn apply(&self, path: &str, object: &Value) -> Result<Value> {
        let path = format!("{path}?fieldManager=harness&force=true");
        self.expect(Method::PATCH, &path, Some(("application/apply-patch+yaml", object)))
            .await
    }

    /// PATCH of `path`.
    ///
    /// # Errors
    /// There was no answer or an error.
    pub async fn patch(&self, path: &str, kind: Patch, change: &Value) -> Result<Value> {
        let content_type = match kind {
            Patch::Merge => "application/merge-patch+json",
            Patch::Strategic => "application/strategic-merge-patch+json",
        };
        self.expect(Method::PATCH, path, Some((content_type, change))).await
    }

    /// DELETE of `path` in the background; an absent object is no error.
    ///
    /// # Errors
    /// There was no answer or an error other than 404 and 409.
    pub async fn delete(&self, path: &str, grace_seconds: Option<u32>, uid: Option<&str>) -> Result<()> {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if let Some(seconds) = grace_seconds {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        if let Some(uid) = uid {
            options["preconditions"] = json!({ "uid": uid });
        }
        let (status, value) = self
            .raw(Method::DELETE, path, &[], Some(("application/json", &options)))
            .await?;
        if status.is_success() || status == StatusCode::NOT_FOUND || status == StatusCode::CONFLICT {
            return Ok(());
        }
        fail!("DELETE {path}: {status}: {}", message(&value))
    }

    /// Lists `path`, hands every item to `each` as `ADDED`, then watches and hands on every event, until the watch ends.
    ///
    /// # Errors
    /// The list or the watch failed, or the server sent an `ERROR` event. Callers start again.
    pub async fn list_and_watch(&self, path: &str, mut each: impl FnMut(&str, Value)) -> Result<()> {
        let mut list = self.get(path).await?;
        let version = list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if let Some(items) = list["items"].as_array_mut() {
            items.drain(..).for_each(|item| each("ADDED", item));
        }
        each("SYNCED", Value::Null);
        let path = format!("{path}?watch=1&resourceVersion={version}");
        let mut response = self.builder(Method::GET, &path).send().await?;
        if !response.status().is_success() {
            fail!("watch {path}: {}", response.status());
        }
        let mut buffer = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            buffer.extend_from_slice(&chunk);
            while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let mut event: Value = serde_json::from_slice(&line)?;
                let kind = event["type"].as_str().unwrap_or_default().to_owned();
                if kind == "ERROR" {
                    fail!("watch {path}: {}", message(&event["object"]));
                }
                each(&kind, event["object"].take());
            }
        }
        Ok(())
    }
}

/// The message of a Status, or the whole body.
#[must_use]
pub fn message(value: &Value) -> String {
    value["message"]
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// A label selector's `matchLabels` part (or a Service's selector) against an object's labels.
#[must_use]
pub fn labels_match(selector: &Value, labels: &Value) -> bool {
    selector
        .as_object()
        .is_some_and(|wanted| !wanted.is_empty() && wanted.iter().all(|(name, value)| labels.get(name) == Some(value)))
}

/// The string at `pointer` (RFC 6901).
///
/// # Errors
/// It is absent or no string.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::new(format!("no text at {pointer} of {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Authority;

    #[test]
    fn a_header_of_a_request_takes_the_place_of_the_clients() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let ca = Authority::new("ca").unwrap();
        let api = Api::new("https://127.0.0.1:6443", &ca.pair().certificate, &Credential::Anonymous).unwrap();
        let headers = [("Accept", "application/json;as=Table"), ("X-Remote-User", "somebody")];
        let request = api.with_headers(&Method::GET, "/apis", &headers).unwrap();
        let sent = request.build().unwrap();
        let accept: Vec<_> = sent.headers().get_all("Accept").into_iter().collect();
        assert_eq!(accept, ["application/json;as=Table"]);
        assert_eq!(sent.headers()["X-Remote-User"], "somebody");
    }
}
