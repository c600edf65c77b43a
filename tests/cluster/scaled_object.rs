//! KEDA's ScaledObjects on leadline's scaler.

use crate::lab::Lab;
use crate::workload::Workload;
use leadline_testkit::Result;
use serde_json::{Value, json};

/// A ScaledObject of Deployment `name` with one trigger on leadline.
pub(crate) fn scaled_object(namespace: &str, name: &str, kind: &str, range: (u32, u32), query: &str) -> Value {
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": range.0, "maxReplicaCount": range.1,
            "pollingInterval": 2, "cooldownPeriod": 4,
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
    let object = scaled_object(namespace, "worker", kind, (0, 9), &query);
    lab.cluster.kubectl.apply(&object.to_string()).await?;
    let path = format!("/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects/worker");
    lab.answers(&path, |object| condition(object, "Ready") == "True")
        .await?;
    queue.set(&lab.cluster, jobs, "rate=35").await?;
    lab.scaled(namespace, "worker", 4).await?;
    queue.set(&lab.cluster, jobs, "rate=0").await?;
    lab.scaled(namespace, "worker", 0).await?;
    lab.cluster.api.delete(&path, None, None).await?;
    worker.delete(&lab.cluster).await?;
    queue.delete(&lab.cluster).await
}

/// The status of a condition.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.and_then(|all| all.iter().find(|condition| condition["type"] == kind));
    found
        .and_then(|condition| condition["status"].as_str())
        .unwrap_or("Unknown")
}
