//! A Secret that several replicas share and the first one makes.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use std::collections::BTreeMap;

/// Keys and values of a Secret.
pub type SecretData = BTreeMap<String, Vec<u8>>;

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
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let fail = |source: kube::Error| SecretError::Api {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        source: Box::new(source),
    };
    if let Some(secret) = api.get_opt(name).await.map_err(fail)? {
        return Ok(content(secret));
    }
    let made = make().map_err(|reason| SecretError::Make {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        reason,
    })?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([("app.kubernetes.io/managed-by".to_owned(), "leadline".to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some(made.into_iter().map(|(k, v)| (k, ByteString(v))).collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    match api.create(&PostParams::default(), &secret).await {
        Ok(created) => Ok(content(created)),
        // Another replica was faster: its content is the one.
        Err(kube::Error::Api(status)) if status.code == 409 => api.get(name).await.map(content).map_err(fail),
        Err(error) => Err(fail(error)),
    }
}

fn content(secret: Secret) -> SecretData {
    secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(k, v)| (k, v.0))
        .collect()
}
