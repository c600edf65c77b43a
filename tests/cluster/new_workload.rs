//! A workload that comes while others keep its metric warm.

use crate::hpa::{active, autoscaler};
use crate::lab::{Lab, SETTLE};
use crate::workload::Workload;
use leadline_testkit::audit::Event;
use leadline_testkit::wait::until;
use leadline_testkit::{Failure, Result, fail};
use serde_json::{Value, json};

const NAMESPACE: &str = "arrivals";
const OLD: Workload<'_> = Workload {
    namespace: NAMESPACE,
    name: "old",
    replicas: 1,
    series: &["--counter=requests_total{code=\"200\"}=10"],
};
/// Exactly at the HPA's target: half a window of it would be two replicas fewer.
const NEW: Workload<'_> = Workload {
    namespace: NAMESPACE,
    name: "new",
    replicas: 5,
    series: &["--counter=requests_total{code=\"200\"}=10"],
};
/// The HPA reads so many values of the new pods before it counts as steady.
const VALUES: usize = 4;

/// Five new pods under constant load, whose HPA is there before them and scales down without hesitation, stay five while
/// their windows fill; then they still follow their load.
pub(crate) async fn stays(lab: &Lab) -> Result<()> {
    lab.leadline().await?;
    OLD.apply(&lab.cluster).await?;
    let metric = format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{NAMESPACE}/pods/%2A/requests_per_second");
    let one = |body: &Value| body["items"].as_array().is_some_and(|items| items.len() == 1);
    lab.answers_everywhere(&metric, one).await?;
    let pods = json!({"type": "Pods", "pods": {
        "metric": {"name": "requests_per_second", "selector": {"matchLabels": {"code": "200"}}},
        "target": {"type": "AverageValue", "averageValue": "10"},
    }});
    let mut hpa = autoscaler(NAMESPACE, "new", (1, 10), &[pods]);
    hpa["spec"]["behavior"] = json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
    lab.cluster.kubectl.apply(&hpa.to_string()).await?;

    let from = lab.cluster.audit.position()?;
    NEW.apply(&lab.cluster).await?;
    active(lab, NAMESPACE, "new").await?;
    let read = |event: &&Event, status: u64| {
        event.group() == "custom.metrics.k8s.io" && event.namespace() == NAMESPACE && event.status() == status
    };
    until("the HPA to read values of the new pods", SETTLE, || async {
        let events = lab.cluster.audit.since(from)?;
        let values = events.iter().filter(|event| read(event, 200)).count();
        match values {
            VALUES.. => Ok(Some(())),
            _ => Err(Failure::new(format!("{values} so far"))),
        }
    })
    .await?;
    let events = lab.cluster.audit.since(from)?;
    let writes = events
        .iter()
        .filter(|event| event.writes_scale() && event.namespace() == NAMESPACE);
    let writes: Vec<String> = writes.map(Event::line).collect();
    if !writes.is_empty() {
        fail!("scales were written:\n{}", writes.join("\n"));
    }
    if !events.iter().any(|event| read(&event, 503)) {
        fail!("the HPA asked for no value while windows were filling");
    }
    NEW.set(&lab.cluster, "requests_total{code=\"200\"}", "rate=0").await?;
    lab.scaled(NAMESPACE, "new", 1).await?;
    let path = format!("/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers/new");
    lab.cluster.api.delete(&path, None, None).await?;
    NEW.delete(&lab.cluster).await?;
    OLD.delete(&lab.cluster).await
}
