//! Keeps the CA that signs our serving certificates in the `caBundle` of our APIServices.
//!
//! While replicas of an authority that was made anew take the place of old ones, the API server has to believe both: a
//! replica adds its own authority to what is there instead of taking the other's away. What an old authority leaves behind
//! is taken away once, long after.

use crate::watch::describe;
use k8s_openapi::ByteString;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use std::collections::HashSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What was done to an APIService.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaBundle {
    /// Its bundle holds our authority.
    Kept,
    /// It did not, or held one that had to go.
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

/// Whom else the bundle may hold beside our own authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// The first that is there: the authority of the replicas that ours replace.
    KeepOne,
    /// Nobody.
    Remove,
}

/// What the bundle `found` has to become so that it holds `pem`; `None` where it may stay as it is.
fn wanted(found: &[u8], pem: &[u8], others: Others) -> Option<Vec<u8>> {
    const END: &str = "-----END CERTIFICATE-----";
    let ours = String::from_utf8_lossy(pem).trim().to_owned();
    let found = String::from_utf8_lossy(found);
    let mut certificates = found.split_inclusive(END).map(str::trim);
    let whole = |block: &&str| block.starts_with("-----BEGIN CERTIFICATE-----") && block.ends_with(END);
    let has_ours = certificates.clone().any(|block| block == ours);
    let other = certificates.find(|block| whole(block) && *block != ours);
    match (others, other) {
        (Others::KeepOne, _) if has_ours => None,
        (Others::KeepOne, Some(other)) => Some(format!("{ours}\n{other}\n").into_bytes()),
        (Others::Remove, None) if has_ours => None,
        _ => Some(pem.to_vec()),
    }
}

/// Brings `pem` into the `caBundle` of the APIService `name` where it is not there, if that names the Service `ours`.
/// `insecureSkipTLSVerify` is switched off with it: the two exclude each other.
///
/// # Errors
/// The API server refused the change or did not answer.
pub async fn ensure_ca_bundle(
    client: Client,
    ours: &ServiceName,
    name: &str,
    pem: &[u8],
    others: Others,
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
    let found = spec.ca_bundle.unwrap_or_default();
    let Some(bundle) = wanted(&found.0, pem, others).map(ByteString) else {
        return Ok(CaBundle::Kept);
    };
    let patch = serde_json::json!({ "spec": { "caBundle": bundle, "insecureSkipTLSVerify": false } });
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(CaBundle::Changed)
}

/// When an authority that is in the bundle beside ours is taken away: longer than replicas take to be replaced.
const SETTLED: Duration = Duration::from_secs(3600);

/// Checks the APIServices `names` now, whenever `pem` changes and every `period`, until `cancel`: somebody who applies the
/// manifests again takes the bundle away. Once, after an hour, other authorities are removed; a replica that still serves
/// with one of them adds it again, and it stays.
pub async fn keep_ca_bundles(
    client: Client,
    ours: &ServiceName,
    names: &[&str],
    mut pem: tokio::sync::watch::Receiver<Vec<u8>>,
    period: Duration,
    cancel: CancellationToken,
) {
    let began = tokio::time::Instant::now();
    let mut settled = HashSet::new();
    loop {
        let current = pem.borrow_and_update().clone();
        let late = began.elapsed() > SETTLED;
        for name in names {
            let others = match late && !settled.contains(name) {
                true => Others::Remove,
                false => Others::KeepOne,
            };
            match ensure_ca_bundle(client.clone(), ours, name, &current, others)
                .await
                .inspect(|_| settled.extend((others == Others::Remove).then_some(*name)))
            {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, api_server};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[tokio::test(start_paused = true)]
    async fn an_old_authority_is_removed_once_and_again_until_that_succeeds() {
        let (pem, old) = (block("ours"), block("old"));
        let found = ByteString(format!("{pem}{old}").into_bytes());
        let found = serde_json::json!({
            "metadata": { "name": "v1.metrics" },
            "spec": {
                "service": { "namespace": "leadline", "name": "leadline" },
                "caBundle": found, "groupPriorityMinimum": 1, "versionPriority": 1,
            },
        });
        let found: &'static str = found.to_string().leak();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        // Read; read, patched in vain; read, patched; read.
        let client = api_server(move |_| match count.fetch_add(1, Relaxed) {
            2 => Answer::Status(500, "{}"),
            _ => Answer::Status(200, found),
        });
        let ours = ServiceName {
            namespace: "leadline".into(),
            name: "leadline".into(),
        };
        let (_sender, pem) = tokio::sync::watch::channel(pem.into_bytes());
        let (cancel, period) = (CancellationToken::new(), SETTLED * 2);
        let keep = keep_ca_bundles(client, &ours, &["v1.metrics"], pem, period, cancel);
        assert!(tokio::time::timeout(period * 7 / 2, keep).await.is_err());
        assert_eq!(asked.load(Relaxed), 6);
    }

    fn block(text: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn a_bundle_holds_our_authority_and_for_a_time_that_of_the_replicas_before() {
        let (ours, old, older) = (block("ours"), block("old"), block("older"));
        let joined = |blocks: &[&String]| blocks.iter().map(|block| block.as_str()).collect::<String>();
        let both = joined(&[&ours, &old]);
        for (found, others, expected) in [
            (String::new(), Others::KeepOne, Some(ours.clone())),
            (ours.clone(), Others::KeepOne, None),
            (old.clone(), Others::KeepOne, Some(both.clone())),
            (both.clone(), Others::KeepOne, None),
            // The old replica finds its own behind the new one.
            (joined(&[&old, &ours]), Others::KeepOne, None),
            (joined(&[&old, &older]), Others::KeepOne, Some(both.clone())),
            ("garbage".to_owned(), Others::KeepOne, Some(ours.clone())),
            (format!("garbage\n{old}"), Others::KeepOne, Some(ours.clone())),
            (both, Others::Remove, Some(ours.clone())),
            (old, Others::Remove, Some(ours.clone())),
            (ours.clone(), Others::Remove, None),
            (String::new(), Others::Remove, Some(ours.clone())),
        ] {
            let bundle = wanted(found.as_bytes(), ours.as_bytes(), others);
            let bundle = bundle.map(|bundle| String::from_utf8(bundle).unwrap());
            assert_eq!(bundle, expected, "{others:?}: {found}");
        }
    }
}
