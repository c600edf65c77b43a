//! A kubeconfig file: its current context with the cluster and the user that it names.
//!
//! The file is read and checked key by key before kube's client sees it, because that one takes it as written by somebody
//! who means well: a server without a scheme panics with the first request, a text of an odd number of bytes in UTF-16
//! when it is read, and a file that cannot be parsed is shown with the lines around the place, tokens and keys among them.
//! Files that it names are read once, into the place of what they stand for; a token's is read again when it changes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, Cluster, Config, ExecConfig, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest file that is read, bytes: of a kubeconfig with hundreds of contexts, or of the certificates that one names.
const LONGEST: u64 = 4 << 20;

/// What is wrong with a kubeconfig file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeconfigError {
    /// The file.
    pub path: PathBuf,
    /// The key with what leads to it, as in `clusters["prod"].cluster.server`; empty where it is the file as a whole.
    pub key: String,
    /// What is wrong, and what was expected. Never a value that may be a secret.
    pub reason: String,
}

impl std::error::Error for KubeconfigError {}

impl fmt::Display for KubeconfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kubeconfig {:?}: ", self.path)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.reason)
    }
}

/// A key and what is wrong with it.
struct Problem {
    key: String,
    reason: String,
}

fn problem<T>(key: impl Into<String>, reason: impl Into<String>) -> Result<T, Problem> {
    Err(Problem {
        key: key.into(),
        reason: reason.into(),
    })
}

/// Reads a file that a kubeconfig names.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// How a kubeconfig file says to reach a cluster.
pub struct Access {
    config: Config,
}

/// Without credentials.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("server", &self.config.cluster_url)
            .field("namespace", &self.config.default_namespace)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Reads the file at `path`, and those that it names.
    ///
    /// # Errors
    /// [`KubeconfigError`]; a file that is longer than 4 MiB is one.
    pub fn read(path: &Path) -> Result<Self, KubeconfigError> {
        match bounded(path) {
            Ok(bytes) => Self::parse(path, &bytes, &bounded),
            Err(error) => Err(KubeconfigError {
                path: path.to_owned(),
                key: String::new(),
                reason: error.to_string(),
            }),
        }
    }

    /// Reads what the file at `path` holds; `read` gives the files that it names, relative ones as beside it.
    ///
    /// # Errors
    /// [`KubeconfigError`].
    pub fn parse(path: &Path, bytes: &[u8], read: ReadFile<'_>) -> Result<Self, KubeconfigError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = decoded(bytes)
            .and_then(|text| parsed(&text))
            .and_then(Current::of)
            .and_then(|current| current.checked(&Files { folder, read }));
        config.map(|config| Self { config }).map_err(|problem| KubeconfigError {
            path: path.to_owned(),
            key: problem.key,
            reason: problem.reason,
        })
    }

    /// The API server's address: `http` or `https`, with a host.
    #[must_use]
    pub fn server(&self) -> String {
        self.config.cluster_url.to_string()
    }

    /// The context's namespace, or `default`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// What a client is made of.
    pub(crate) fn into_config(self) -> Config {
        self.config
    }
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
    }
    Ok(bytes)
}

/// UTF-8, or what Windows' shells write: UTF-16 behind its byte order mark.
fn decoded(bytes: &[u8]) -> Result<String, Problem> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units)
            .ok()
            .filter(|_| bytes.len().is_multiple_of(2))
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    };
    match text {
        Some(text) => Ok(text),
        None => problem("", "the file is neither UTF-8 nor UTF-16 with a byte order mark"),
    }
}

/// Documents are merged as kubectl merges files: what comes first holds.
fn parsed(text: &str) -> Result<Kubeconfig, Problem> {
    use kube::config::KubeconfigError as Kube;
    Kubeconfig::from_yaml(text).map_err(|error| Problem {
        key: String::new(),
        reason: match &error {
            // The lines around the place may hold a token or a key.
            Kube::Parse(error) => error.without_snippet().to_string(),
            other => other.to_string(),
        },
    })
}

/// The names of a list, as an error tells them.
fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// The current context, and what it names. The rest of the file is not looked at, as kubectl does not.
struct Current {
    context: NamedContext,
    cluster: NamedCluster,
    user: Option<NamedAuthInfo>,
}

impl Current {
    fn of(file: Kubeconfig) -> Result<Self, Problem> {
        let known = names(file.contexts.iter().map(|c| &c.name));
        let Some(name) = file.current_context.filter(|name| !name.is_empty()) else {
            return problem("current-context", format!("none is set; there are: {known}"));
        };
        let Some(context) = file.contexts.into_iter().find(|c| c.name == name) else {
            return problem(
                "current-context",
                format!("there is no context {name:?}; there are: {known}"),
            );
        };
        let at = format!("contexts[{name:?}].context");
        let Some(inner) = &context.context else {
            return problem(at, "it is missing");
        };
        let known = names(file.clusters.iter().map(|c| &c.name));
        let Some(cluster) = file.clusters.into_iter().find(|c| c.name == inner.cluster) else {
            let missing = &inner.cluster;
            return problem(
                format!("{at}.cluster"),
                format!("there is no cluster {missing:?}; there are: {known}"),
            );
        };
        let wanted = inner.user.as_ref().filter(|user| !user.is_empty());
        let user = wanted.and_then(|wanted| file.auth_infos.into_iter().find(|user| user.name == *wanted));
        if let Some(wanted) = wanted
            && user.is_none()
        {
            // As kubectl, which asks without credentials then.
            tracing::warn!(
                user = wanted,
                context = name,
                "the kubeconfig's context names a user that is not there"
            );
        }
        Ok(Self { context, cluster, user })
    }

    /// Checks the cluster and the user, and makes a client's settings of them.
    fn checked(mut self, files: &Files<'_>) -> Result<Config, Problem> {
        let at = format!("clusters[{:?}].cluster", self.cluster.name);
        let Some(cluster) = &mut self.cluster.cluster else {
            return problem(at, "it is missing");
        };
        check_cluster(&at, cluster, files)?;
        // Without one, kube's client takes that of the environment, and the file is blamed for what is wrong with it.
        cluster.proxy_url = Some("http://unused.invalid".to_owned());
        if let Some(NamedAuthInfo {
            name,
            auth_info: Some(user),
            ..
        }) = &mut self.user
        {
            check_user(&format!("users[{name:?}].user"), user, files)?;
        }
        let alone = Kubeconfig {
            current_context: Some(self.context.name.clone()),
            contexts: vec![self.context],
            clusters: vec![self.cluster],
            auth_infos: self.user.into_iter().collect(),
            ..Kubeconfig::default()
        };
        let mut config = Config::try_from(alone).map_err(|error| Problem {
            key: String::new(),
            reason: error.to_string(),
        })?;
        config.proxy_url = None;
        Ok(config)
    }
}

/// Where files that are named come from.
struct Files<'a> {
    folder: &'a Path,
    read: ReadFile<'a>,
}

impl Files<'_> {
    /// A path that is not absolute is one beside the kubeconfig (`clientcmd`, `ResolveLocalPaths`).
    fn place(&self, path: &str) -> String {
        let beside = self.folder.join(path);
        beside.to_str().map_or_else(|| path.to_owned(), str::to_owned)
    }

    /// The bytes under `KEY-data` in base64, or of the file under `KEY`, and the key that they are from.
    fn material(&self, at: &str, key: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Bytes>, Problem> {
        if let Some(data) = data.filter(|data| !data.is_empty()) {
            let key = format!("{at}.{key}-data");
            // Go's decoder passes over line breaks too.
            let data: String = data.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
            return match STANDARD.decode(data) {
                Ok(bytes) => Ok(Some(Bytes { key, bytes })),
                Err(error) => problem(key, format!("this is no base64: {error}")),
            };
        }
        let Some(file) = file.filter(|file| !file.is_empty()) else {
            return Ok(None);
        };
        let (key, file) = (format!("{at}.{key}"), self.place(file));
        match (self.read)(Path::new(&file)) {
            Ok(bytes) => Ok(Some(Bytes { key, bytes })),
            Err(error) => problem(key, format!("{file:?}: {error}")),
        }
    }
}

/// Bytes and the key that they are from.
struct Bytes {
    key: String,
    bytes: Vec<u8>,
}

impl Bytes {
    /// That they hold certificates in PEM.
    fn certificates(self) -> Result<Vec<u8>, Problem> {
        let mut found = 0;
        for (i, item) in CertificateDer::pem_slice_iter(&self.bytes).enumerate() {
            match item {
                Ok(_) => found += 1,
                Err(error) => return problem(self.key, format!("certificate {} in PEM: {error:?}", i + 1)),
            }
        }
        if found == 0 {
            return problem(self.key, "there is no certificate in PEM");
        }
        Ok(self.bytes)
    }

    /// That they hold a private key in PEM. What is wrong with one is not told in detail: it is a secret.
    fn private_key(self) -> Result<Vec<u8>, Problem> {
        match PrivateKeyDer::from_pem_slice(&self.bytes) {
            Ok(_) => Ok(self.bytes),
            Err(_) => problem(self.key, "there is no private key in PEM (PKCS#8, PKCS#1 or SEC 1)"),
        }
    }
}

fn check_cluster(at: &str, cluster: &mut Cluster, files: &Files<'_>) -> Result<(), Problem> {
    let present = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    check_server(&format!("{at}.server"), cluster.server.as_deref().unwrap_or_default())?;
    if present(&cluster.proxy_url) {
        return problem(format!("{at}.proxy-url"), "proxies are not supported");
    }
    cluster.tls_server_name = cluster.tls_server_name.take().filter(|name| !name.is_empty());
    let (data, file) = (&cluster.certificate_authority_data, &cluster.certificate_authority);
    let authority = files.material(at, "certificate-authority", data.as_deref(), file.as_deref())?;
    let authority = authority.map(Bytes::certificates).transpose()?;
    cluster.certificate_authority = None;
    cluster.certificate_authority_data = authority.map(|bytes| STANDARD.encode(bytes));
    Ok(())
}

/// Without a scheme, or without a host, no request can be made.
fn check_server(key: &str, server: &str) -> Result<(), Problem> {
    const EXPECTED: &str = "https://HOST[:PORT] was expected";
    if server.is_empty() {
        return problem(key, format!("it is missing, {EXPECTED}"));
    }
    let address: http::Uri = match server.parse() {
        Ok(address) => address,
        Err(error) => return problem(key, format!("{server:?}: {error}, {EXPECTED}")),
    };
    if !matches!(address.scheme_str(), Some("http" | "https")) {
        return problem(key, format!("{server:?} has no scheme that is known, {EXPECTED}"));
    }
    let Some(authority) = address.authority().filter(|authority| !authority.host().is_empty()) else {
        return problem(key, format!("{server:?} has no host, {EXPECTED}"));
    };
    let place = authority.as_str();
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    // What is no port would be taken for none, and another server be asked.
    if place != authority.host() && authority.port_u16().is_none() {
        return problem(key, format!("{server:?} has no port from 0 to 65535, {EXPECTED}"));
    }
    Ok(())
}

fn check_user(at: &str, user: &mut AuthInfo, files: &Files<'_>) -> Result<(), Problem> {
    user.token = user.token.take().filter(|token| !token.expose_secret().is_empty());
    if let Some(token) = &user.token
        && http::HeaderValue::from_str(token.expose_secret()).is_err()
    {
        return problem(
            format!("{at}.token"),
            "it holds a character that no header can, such as a line break",
        );
    }
    user.token_file = user.token_file.take().filter(|file| !file.is_empty());
    if let Some(file) = &mut user.token_file {
        *file = files.place(file);
    }
    check_pair(at, user, files)?;
    if let Some(exec) = &mut user.exec {
        check_exec(&format!("{at}.exec"), exec, files)?;
    }
    // The others were taken out of Kubernetes' clients, for `exec`.
    if let Some(provider) = &user.auth_provider
        && !matches!(provider.name.as_str(), "oidc" | "gcp")
    {
        let told = format!("{:?} is not supported, exec is", provider.name);
        return problem(format!("{at}.auth-provider.name"), told);
    }
    Ok(())
}

/// A client certificate and its key: both or neither.
fn check_pair(at: &str, user: &mut AuthInfo, files: &Files<'_>) -> Result<(), Problem> {
    let (data, file) = (&user.client_certificate_data, &user.client_certificate);
    let certificate = files.material(at, "client-certificate", data.as_deref(), file.as_deref())?;
    let data = user.client_key_data.as_ref().map(ExposeSecret::expose_secret);
    let key = files.material(at, "client-key", data, user.client_key.as_deref())?;
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) => (Some(certificate.certificates()?), Some(key.private_key()?)),
        (None, None) => (None, None),
        (Some(_), None) => return problem(format!("{at}.client-key"), "the client certificate has no key"),
        (None, Some(_)) => return problem(format!("{at}.client-certificate"), "the client key has no certificate"),
    };
    (user.client_certificate, user.client_key) = (None, None);
    user.client_certificate_data = certificate.map(|bytes| STANDARD.encode(bytes));
    user.client_key_data = key.map(|bytes| SecretString::from(STANDARD.encode(bytes)));
    Ok(())
}

/// The command that gives credentials. One with a slash is a file beside the kubeconfig (`clientcmd`, `ResolveLocalPaths`).
fn check_exec(at: &str, exec: &mut ExecConfig, files: &Files<'_>) -> Result<(), Problem> {
    match &mut exec.command {
        Some(command) if command.contains('/') => *command = files.place(command),
        Some(command) if !command.is_empty() => {}
        _ => return problem(format!("{at}.command"), "it is missing"),
    }
    for (i, variable) in exec.env.iter().flatten().enumerate() {
        if !["name", "value"].iter().all(|key| variable.contains_key(*key)) {
            return problem(format!("{at}.env[{i}]"), "a name and a value were expected");
        }
    }
    #[cfg(feature = "planted")]
    leadline_model::planted::trap(
        exec.command
            .as_ref()
            .is_some_and(|c| !c.bytes().all(|b| b.is_ascii_lowercase() || b"/.-".contains(&b))),
    );
    Ok(())
}

#[cfg(test)]
mod tests;
