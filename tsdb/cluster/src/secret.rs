//! Secrets that several replicas share and the first one makes.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use std::collections::BTreeMap;

/// Keys and values of a Secret.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// Who made a Secret, by its label `app.kubernetes.io/managed-by`.
const MANAGER: (&str, &str) = ("app.kubernetes.io/managed-by", "leadline");
/// How often a Secret that others change at the same time is looked at.
const ATTEMPTS: usize = 5;

/// Why the Secret is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The API server refused or did not answer.
    #[error("secret {namespace}/{name}: {source}")]
    Api {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What went wrong.
        source: Box<kube::Error>,
    },
    /// The content could not be made.
    #[error("secret {namespace}/{name}: {reason}")]
    Make {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What went wrong.
        reason: String,
    },
}

/// What became of a Secret that has to fit something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// There was none.
    Created,
    /// It fits.
    Fits,
    /// It did not fit any more.
    Renewed,
    /// It does not fit, and somebody else made it: it is left alone.
    Foreign,
}

/// Reads the Secret; where there is none, creates it with what `make` returns. Whoever of several comes first wins, and
/// all get the same content back. An existing Secret is never changed.
///
/// # Errors
/// [`SecretError`].
pub async fn create_once(
    client: Client,
    namespace: &str,
    name: &str,
    make: impl FnOnce() -> Result<SecretData, String>,
) -> Result<SecretData, SecretError> {
    let shared = Shared::new(client, namespace, name);
    if let Some(secret) = shared.read().await? {
        return Ok(content(secret));
    }
    match shared.create(make()).await? {
        Some(created) => Ok(content(created)),
        // Another replica was faster: its content is the one.
        None => shared.api.get(name).await.map(content).map_err(|e| shared.fail(e)),
    }
}

/// As [`create_once`], and renews a Secret of ours that does not `fit` any more with what `make` returns. Of several who do
/// so at once one wins, and the others look at what it wrote.
///
/// # Errors
/// [`SecretError`].
pub async fn keep_fitting(
    client: Client,
    namespace: &str,
    name: &str,
    fits: impl Fn(&SecretData) -> bool,
    make: impl Fn() -> Result<SecretData, String>,
) -> Result<Kept, SecretError> {
    let shared = Shared::new(client, namespace, name);
    for _ in 0..ATTEMPTS {
        let Some(secret) = shared.read().await? else {
            if shared.create(make()).await?.is_some() {
                return Ok(Kept::Created);
            }
            continue;
        };
        if fits(&content(secret.clone())) {
            return Ok(Kept::Fits);
        }
        if !is_ours(&secret) {
            return Ok(Kept::Foreign);
        }
        if shared.replace(secret, make()).await? {
            return Ok(Kept::Renewed);
        }
    }
    Err(shared.cannot("others change it again and again".to_owned()))
}

/// A Secret by its name.
struct Shared<'a> {
    api: Api<Secret>,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Shared<'a> {
    fn new(client: Client, namespace: &'a str, name: &'a str) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, namespace, name }
    }

    fn fail(&self, source: kube::Error) -> SecretError {
        SecretError::Api {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            source: Box::new(source),
        }
    }

    fn cannot(&self, reason: String) -> SecretError {
        SecretError::Make {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            reason,
        }
    }

    async fn read(&self) -> Result<Option<Secret>, SecretError> {
        self.api.get_opt(self.name).await.map_err(|e| self.fail(e))
    }

    /// `None` when somebody else was faster.
    async fn create(&self, made: Result<SecretData, String>) -> Result<Option<Secret>, SecretError> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.to_owned()),
                labels: Some([(MANAGER.0.to_owned(), MANAGER.1.to_owned())].into()),
                ..ObjectMeta::default()
            },
            data: Some(bytes(made.map_err(|reason| self.cannot(reason))?)),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        unless_conflict(self.api.create(&PostParams::default(), &secret).await).map_err(|e| self.fail(e))
    }

    /// False when somebody else changed or removed it since it was read.
    async fn replace(&self, mut secret: Secret, made: Result<SecretData, String>) -> Result<bool, SecretError> {
        secret.data = Some(bytes(made.map_err(|reason| self.cannot(reason))?));
        let replaced = self.api.replace(self.name, &PostParams::default(), &secret).await;
        let replaced = unless_conflict(replaced).map_err(|e| self.fail(e))?;
        Ok(replaced.is_some())
    }
}

/// `None` for a conflict with somebody else's write.
fn unless_conflict(result: Result<Secret, kube::Error>) -> Result<Option<Secret>, kube::Error> {
    match result {
        Ok(secret) => Ok(Some(secret)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_ours(secret: &Secret) -> bool {
    let labels = secret.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(MANAGER.0))
        .is_some_and(|by| by == MANAGER.1)
}

fn bytes(data: SecretData) -> BTreeMap<String, ByteString> {
    data.into_iter().map(|(k, v)| (k, ByteString(v))).collect()
}

fn content(secret: Secret) -> SecretData {
    secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(k, v)| (k, v.0))
        .collect()
}
