//! KEDA's ScaledObjects on leadline's scaler.

use crate::lab::{Lab, SETTLE, get};
use crate::mtls::VERIFIED;
use crate::workload::Workload;
use leadline_testkit::api::Patch;
use leadline_testkit::audit::Event;
use leadline_testkit::wait::until;
use leadline_testkit::{Result, fail};
use serde_json::{Value, json};

/// The period of KEDA's polls, s, at which they explain a change of replicas.
const OFTEN: u32 = 2;
/// The period, s, at which they explain none within a trial.
const RARELY: u32 = 300;
/// What KEDA's poll of an external scaler calls.
const POLLS: &str = "leadline_scaler_calls_total{method=\"IsActive\"}";
/// What leadline pushed.
const EDGES: &str = "leadline_scaler_edges_total";

/// A ScaledObject of Deployment `name` with one trigger on leadline.
pub(crate) fn scaled_object(namespace: &str, name: &str, kind: &str, range: (u32, u32), query: &str) -> Value {
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": range.0, "maxReplicaCount": range.1,
            "pollingInterval": OFTEN, "cooldownPeriod": 4,
            "triggers": [{
                "type": kind,
                "metadata": {
                    "scalerAddress": "leadline-scaler.leadline.svc:6000",
                    "query": query, "threshold": "10", "activationThreshold": "1",
                },
                "authenticationRef": {"kind": "ClusterTriggerAuthentication", "name": "leadline"},
            }],
        },
    })
}

/// Type `external`: KEDA polls.
pub(crate) async fn external(lab: &Lab) -> Result<()> {
    from_zero_and_back(lab, "pull", "external").await
}

/// Type `external-push`: leadline pushes.
pub(crate) async fn external_push(lab: &Lab) -> Result<()> {
    from_zero_and_back(lab, "push", "external-push").await
}

/// 0 to N when jobs come, and N to 0 when they stop.
async fn from_zero_and_back(lab: &Lab, namespace: &str, kind: &str) -> Result<()> {
    lab.leadline().await?;
    let jobs = "jobs_total{queue=\"work\"}";
    let queue = Workload {
        namespace,
        name: "queue",
        replicas: 1,
        series: &["--counter=jobs_total{queue=\"work\"}=0"],
    };
    let worker = Workload {
        namespace,
        name: "worker",
        replicas: 0,
        series: &["--gauge=idle=1"],
    };
    queue.apply(&lab.cluster).await?;
    worker.apply(&lab.cluster).await?;
    let query = format!("sum(rate(jobs_total{{namespace=\"{namespace}\",queue=\"work\"}}[10s]))");
    let pushes = kind == "external-push";
    let mut object = scaled_object(namespace, "worker", kind, (0, 9), &query);
    if pushes {
        object["spec"]["pollingInterval"] = json!(RARELY);
        // A poll that fails, because the trigger is cold, would not be repeated in time.
        observed(lab, namespace).await?;
    }
    let from = lab.cluster.audit.position()?;
    let shaken = lab.own(VERIFIED).await?;
    let path = format!("/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects/worker");
    begin(lab, &object, &path, pushes).await?;
    // KEDA closes a connection with the last ScaledObject that uses it, so this one's is its own.
    if lab.own(VERIFIED).await? <= shaken {
        fail!("KEDA polled without the certificate that was made for it");
    }
    let said = lab.own(EDGES).await?;
    queue.set(&lab.cluster, jobs, "rate=35").await?;
    lab.scaled(namespace, "worker", 4).await?;
    if pushes && lab.own(EDGES).await? <= said {
        fail!("no change of activity was pushed");
    }
    // Replicas go at the end of the cooldown, which a poll notices; the push came when it began.
    let often = json!({"spec": {"pollingInterval": OFTEN}});
    lab.cluster.api.patch(&path, Patch::Merge, &often).await?;
    queue.set(&lab.cluster, jobs, "rate=0").await?;
    lab.scaled(namespace, "worker", 0).await?;
    // That other trials see no such write means something where this one sees them.
    let events = lab.cluster.audit.since(from)?;
    let wrote = |event: &&Event| event.writes_scale() && event.namespace() == namespace && event.status() == 200;
    if events.iter().filter(wrote).count() < 2 {
        fail!("the audit log lacks the writes of {namespace}/worker's scale");
    }
    lab.cluster.api.delete(&path, None, None).await?;
    worker.delete(&lab.cluster).await?;
    queue.delete(&lab.cluster).await
}

/// Waits until every replica has scraped every target of a namespace for longer than the query's window.
async fn observed(lab: &Lab, namespace: &str) -> Result<()> {
    let path =
        format!("/api/v1/query?query=min(count_over_time(up%7Bnamespace%3D%22{namespace}%22%7D%5B15s%5D))%20%3E%2012");
    for replica in lab.replicas() {
        until(&format!("{} to observe {namespace}", replica.name), SETTLE, || async {
            let answer: Value = serde_json::from_str(&get(&replica.address, &path).await?)?;
            let found = answer["data"]["result"]
                .as_array()
                .is_some_and(|found| !found.is_empty());
            Ok(found.then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// Applies a ScaledObject and waits until KEDA has polled it and, where leadline pushes, heard that it is not active: polls
/// that are rare explain no activation from here on.
async fn begin(lab: &Lab, object: &Value, path: &str, pushes: bool) -> Result<()> {
    let (polls, said) = (lab.own(POLLS).await?, lab.own(EDGES).await?);
    lab.cluster.kubectl.apply(&object.to_string()).await?;
    lab.answers(path, |object| condition(object, "Ready") == "True").await?;
    until("KEDA's first poll and the first state to be pushed", SETTLE, || async {
        let polled = lab.own(POLLS).await? > polls;
        let pushed = !pushes || lab.own(EDGES).await? > said;
        Ok((polled && pushed).then_some(()))
    })
    .await
}

/// The status of a condition.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.and_then(|all| all.iter().find(|condition| condition["type"] == kind));
    found
        .and_then(|condition| condition["status"].as_str())
        .unwrap_or("Unknown")
}
