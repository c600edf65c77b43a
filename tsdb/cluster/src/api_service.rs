//! Keeps the `caBundle` of our APIServices equal to the CA that signs our serving certificates.

use crate::watch::describe;
use k8s_openapi::ByteString;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What was done to an APIService.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaBundle {
    /// It has the right bundle.
    Kept,
    /// It had another one.
    Changed,
    /// There is no such APIService, or we may not see it (that part of the manifests is not deployed).
    Absent,
    /// It names somebody else's Service (KEDA's, say), and is left alone.
    Foreign,
}

/// The Service behind our APIServices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Sets the `caBundle` of the APIService `name` to `pem` where it differs, if it names the Service `ours`.
/// `insecureSkipTLSVerify` is switched off with it: the two exclude each other.
///
/// # Errors
/// The API server refused the change or did not answer.
pub async fn ensure_ca_bundle(
    client: Client,
    ours: &ServiceName,
    name: &str,
    pem: &[u8],
) -> Result<CaBundle, kube::Error> {
    let api: Api<APIService> = Api::all(client);
    let service = match api.get_opt(name).await {
        Ok(Some(service)) => service,
        Ok(None) => return Ok(CaBundle::Absent),
        // The rights to an APIService are deployed with it.
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(CaBundle::Absent),
        Err(error) => return Err(error),
    };
    let spec = service.spec.unwrap_or_default();
    let named = spec
        .service
        .as_ref()
        .map(|s| (s.namespace.as_deref(), s.name.as_deref()));
    if named != Some((Some(&ours.namespace), Some(&ours.name))) {
        return Ok(CaBundle::Foreign);
    }
    if spec.ca_bundle.as_ref().is_some_and(|bundle| bundle.0 == pem) {
        return Ok(CaBundle::Kept);
    }
    let bundle = ByteString(pem.to_vec());
    let patch = serde_json::json!({ "spec": { "caBundle": bundle, "insecureSkipTLSVerify": false } });
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(CaBundle::Changed)
}

/// Checks the APIServices `names` now, whenever `pem` changes and every `period`, until `cancel`: somebody who applies the
/// manifests again takes the bundle away.
pub async fn keep_ca_bundles(
    client: Client,
    ours: &ServiceName,
    names: &[&str],
    mut pem: tokio::sync::watch::Receiver<Vec<u8>>,
    period: Duration,
    cancel: CancellationToken,
) {
    loop {
        let current = pem.borrow_and_update().clone();
        for name in names {
            match ensure_ca_bundle(client.clone(), ours, name, &current).await {
                Ok(CaBundle::Changed) => tracing::info!(apiservice = name, "caBundle set"),
                Ok(CaBundle::Kept | CaBundle::Absent | CaBundle::Foreign) => {}
                Err(error) => tracing::warn!(apiservice = name, error = describe(&error), "caBundle not checked"),
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(period) => {}
            changed = pem.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}
