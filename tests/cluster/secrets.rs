//! Secrets that replicas share.

use crate::lab::Lab;
use leadline_cluster::{Client, Kept, SecretData, create_once, keep_fitting};
use leadline_testkit::{Failure, Result, fail};
use serde_json::json;

const NAMESPACE: &str = "default";
const NAME: &str = "shared";

fn data(ca: &str) -> SecretData {
    [("ca.crt".to_owned(), ca.as_bytes().to_vec())].into()
}

fn told(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

/// What a replica whose authority is `ca` makes of the Secret.
async fn keep(client: &Client, name: &str, ca: &str) -> Result<Kept> {
    let fits = |found: &SecretData| *found == data(ca);
    let kept = keep_fitting(client.clone(), NAMESPACE, name, fits, || Ok(data(ca))).await;
    kept.map_err(told)
}

async fn holds(client: &Client, name: &str, ca: &str) -> Result<()> {
    let found = create_once(client.clone(), NAMESPACE, name, || Err("it is there".to_owned())).await;
    let found = found.map_err(told)?;
    if found != data(ca) {
        fail!("{name} holds {found:?}, not that of {ca}");
    }
    Ok(())
}

/// The first of several replicas makes the Secret; when the authority was made anew, the first renews it; what somebody
/// else made stays.
pub(crate) async fn renewed(lab: &Lab) -> Result<()> {
    let connected = leadline_cluster::Cluster::connect(Some(&lab.cluster.control_plane.admin_kubeconfig)).await;
    let client = connected.map_err(told)?.client();
    for (ca, expected) in [("old", Kept::Created), ("new", Kept::Renewed)] {
        let (one, two, three) = tokio::try_join!(
            keep(&client, NAME, ca),
            keep(&client, NAME, ca),
            keep(&client, NAME, ca)
        )?;
        let all = [one, two, three];
        if all.iter().filter(|kept| **kept == expected).count() != 1
            || all.iter().filter(|kept| **kept == Kept::Fits).count() != 2
        {
            fail!("of three with {ca} one was to be {expected:?}: {all:?}");
        }
        holds(&client, NAME, ca).await?;
    }
    let foreign = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs", "namespace": NAMESPACE},
        "data": {"ca.crt": "dGhlaXJz"},
    });
    lab.cluster.kubectl.apply(&foreign.to_string()).await?;
    let kept = keep(&client, "theirs", "new").await?;
    if kept != Kept::Foreign {
        fail!("another's Secret: {kept:?}");
    }
    holds(&client, "theirs", "theirs").await
}
