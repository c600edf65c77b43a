//! An HPA that turns a workload off and on again without KEDA.

use crate::hpa::{active, autoscaler, external};
use crate::lab::Lab;
use crate::workload::Workload;
use leadline_testkit::Result;

const BATCH: &str = "batch";
const WORKER: Workload<'_> = Workload {
    namespace: BATCH,
    name: "worker",
    replicas: 1,
    series: &["--gauge=idle=1"],
};
/// What exists without the workload's pods.
const QUEUE: Workload<'_> = Workload {
    namespace: BATCH,
    name: "queue",
    replicas: 1,
    series: &["--counter=jobs_total{queue=\"nightly\"}=25"],
};
const JOBS: &str = "jobs_total{queue=\"nightly\"}";

/// N to 0 when the queue is empty, and 0 to N when it fills.
pub(crate) async fn scales(lab: &Lab) -> Result<()> {
    lab.leadline().await?;
    QUEUE.apply(&lab.cluster).await?;
    WORKER.apply(&lab.cluster).await?;
    let hpa = autoscaler(BATCH, "worker", (0, 9), &[external("nightly", "10")]);
    lab.cluster.kubectl.apply(&hpa.to_string()).await?;
    active(lab, BATCH, "worker").await?;
    lab.scaled(BATCH, "worker", 3).await?;
    QUEUE.set(&lab.cluster, JOBS, "rate=0").await?;
    lab.scaled(BATCH, "worker", 0).await?;
    QUEUE.set(&lab.cluster, JOBS, "rate=15").await?;
    lab.scaled(BATCH, "worker", 2).await?;
    let path = format!("/apis/autoscaling/v2/namespaces/{BATCH}/horizontalpodautoscalers/worker");
    lab.cluster.api.delete(&path, None, None).await?;
    WORKER.delete(&lab.cluster).await?;
    QUEUE.delete(&lab.cluster).await
}
