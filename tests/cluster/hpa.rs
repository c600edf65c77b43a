//! HPAs on leadline's custom and external metrics, and how clients find these.

use crate::lab::Lab;
use crate::workload::Workload;
use leadline_testkit::wait::until;
use leadline_testkit::{Failure, Result, fail};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const SHOP: &str = "shop";
const WEB: Workload<'_> = Workload {
    namespace: SHOP,
    name: "web",
    replicas: 1,
    series: &[
        "--counter=requests_total{code=\"200\"}=0",
        "--counter=requests_total{code=\"500\"}=3",
    ],
};
const GATEWAY: Workload<'_> = Workload {
    namespace: SHOP,
    name: "gateway",
    replicas: 1,
    series: &[
        "--counter=ingress_requests_total{ingress=\"main\",code=\"200\"}=0",
        // An HPA that overlooked its selector would want all replicas there may be.
        "--counter=ingress_requests_total{ingress=\"main\",code=\"500\"}=900",
        "--counter=jobs_total{queue=\"orders\"}=0",
        "--counter=jobs_total{queue=\"mail\"}=900",
    ],
};
/// What is served to the ingress' clients.
const INGRESS: &str = "ingress_requests_total{ingress=\"main\",code=\"200\"}";

/// An External metric of queue `queue`, so many jobs per second and replica.
pub(crate) fn external(queue: &str, average: &str) -> Value {
    json!({"type": "External", "external": {
        "metric": {"name": "jobs_per_second", "selector": {"matchLabels": {"queue": queue}}},
        "target": {"type": "AverageValue", "averageValue": average},
    }})
}

/// An HPA of Deployment `name` on `metrics`.
pub(crate) fn autoscaler(namespace: &str, name: &str, range: (u32, u32), metrics: &[Value]) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": range.0, "maxReplicas": range.1, "metrics": metrics,
        },
    })
}

/// Waits until an HPA has read all its metrics.
pub(crate) async fn active(lab: &Lab, namespace: &str, name: &str) -> Result<()> {
    let path = format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}");
    let path = path.as_str();
    until(
        &format!("HPA {name} to be active"),
        Duration::from_secs(60),
        || async move {
            let object = lab.cluster.api.get(path).await?;
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let active = conditions
                .into_iter()
                .find(|condition| condition["type"] == "ScalingActive");
            match active {
                Some(condition) if condition["status"] == "True" => Ok(Some(())),
                Some(condition) => Err(Failure::new(condition["message"].to_string())),
                None => Ok(None),
            }
        },
    )
    .await
}

fn ingress() -> Value {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "main", "namespace": SHOP},
           "spec": {"defaultBackend": backend}})
}

/// Each of the three metrics in turn wants the most replicas, and then none wants any. Loads lie between whole numbers of
/// replicas, so that the jitter of a rate changes nothing.
pub(crate) async fn scales(lab: &Lab) -> Result<()> {
    lab.leadline().await?;
    WEB.apply(&lab.cluster).await?;
    GATEWAY.apply(&lab.cluster).await?;
    lab.cluster.kubectl.apply(&ingress().to_string()).await?;
    let pods = json!({"type": "Pods", "pods": {
        "metric": {"name": "requests_per_second", "selector": {"matchLabels": {"code": "200"}}},
        "target": {"type": "AverageValue", "averageValue": "10"},
    }});
    let object = json!({"type": "Object", "object": {
        "metric": {"name": "requests_per_second", "selector": {"matchLabels": {"code": "200"}}},
        "describedObject": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"},
        "target": {"type": "AverageValue", "averageValue": "20"},
    }});
    let hpa = autoscaler(SHOP, "web", (1, 9), &[pods, object, external("orders", "10")]);
    lab.cluster.kubectl.apply(&hpa.to_string()).await?;
    active(lab, SHOP, "web").await?;
    lab.scaled(SHOP, "web", 1).await?;

    GATEWAY
        .set(&lab.cluster, "jobs_total{queue=\"orders\"}", "rate=15")
        .await?;
    lab.scaled(SHOP, "web", 2).await?;
    GATEWAY.set(&lab.cluster, INGRESS, "rate=70").await?;
    lab.scaled(SHOP, "web", 4).await?;
    lab.cluster.rolled_out(SHOP, "web", Duration::from_secs(30)).await?;
    // 57 in all. New pods have none, so from 5 as from 4 the way leads on to 6: 57 is over 5 replicas' 50 by more than the
    // HPA's tolerance of a tenth.
    WEB.set(&lab.cluster, "requests_total{code=\"200\"}", "rate=14.25")
        .await?;
    lab.scaled(SHOP, "web", 6).await?;
    // Those that came last must listen before they can be told of the new load.
    lab.cluster.rolled_out(SHOP, "web", Duration::from_secs(30)).await?;

    GATEWAY
        .set(&lab.cluster, "jobs_total{queue=\"orders\"}", "rate=0")
        .await?;
    GATEWAY.set(&lab.cluster, INGRESS, "rate=0").await?;
    WEB.set(&lab.cluster, "requests_total{code=\"200\"}", "rate=0").await?;
    lab.scaled(SHOP, "web", 1).await?;
    let path = format!("/apis/autoscaling/v2/namespaces/{SHOP}/horizontalpodautoscalers/web");
    lab.cluster.api.delete(&path, None, None).await?;
    WEB.delete(&lab.cluster).await?;
    GATEWAY.delete(&lab.cluster).await
}

/// The names of a resource list.
fn names(list: &Value) -> Vec<&str> {
    list["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|resource| resource["name"].as_str())
        .collect()
}

/// Clients find the metrics in the group versions, in the aggregated document and with `kubectl api-resources`.
pub(crate) async fn discovery(lab: &Lab) -> Result<()> {
    lab.leadline().await?;
    let wanted = [
        ("custom.metrics.k8s.io/v1beta2", "pods/requests_per_second"),
        (
            "custom.metrics.k8s.io/v1beta2",
            "ingresses.networking.k8s.io/requests_per_second",
        ),
        ("custom.metrics.k8s.io/v1beta1", "namespaces/requests_per_second"),
        ("external.metrics.k8s.io/v1beta1", "jobs_per_second"),
    ];
    for (version, metric) in wanted {
        let list = lab
            .cluster
            .kubectl
            .run(&["get", "--raw", &format!("/apis/{version}")])
            .await?;
        let list: Value = serde_json::from_str(&list)?;
        if !names(&list).contains(&metric) {
            fail!("{version} does not list {metric}: {list}");
        }
    }
    aggregated(lab).await?;
    // `api-resources` reads the aggregated document, past kubectl's cache.
    let group = "--api-group=external.metrics.k8s.io";
    let table = lab.cluster.kubectl.run(&["api-resources", group, "-o", "name"]).await?;
    if !table
        .lines()
        .any(|line| line == "jobs_per_second.external.metrics.k8s.io")
    {
        fail!("kubectl api-resources shows {table}");
    }
    Ok(())
}

/// The API server fetches our aggregated document when an APIService changes and once a minute, so a metric of a changed
/// configuration is listed there after a minute at most.
async fn aggregated(lab: &Lab) -> Result<()> {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let what = "the aggregated /apis to list the metrics";
    until(what, Duration::from_secs(90), || async {
        let (_, all) = lab
            .cluster
            .api
            .raw(Method::GET, "/apis", &[("Accept", accept)], None)
            .await?;
        let custom = entry(&all["items"], "/metadata/name", "custom.metrics.k8s.io");
        for version in ["v1beta2", "v1beta1"] {
            let version = entry(&custom["versions"], "/version", version);
            for parent in ["pods", "namespaces", "ingresses.networking.k8s.io"] {
                let parent = entry(&version["resources"], "/resource", parent);
                if entry(&parent["subresources"], "/subresource", "requests_per_second").is_null() {
                    return Err(Failure::new(custom.to_string()));
                }
            }
        }
        let external = entry(&all["items"], "/metadata/name", "external.metrics.k8s.io");
        let version = entry(&external["versions"], "/version", "v1beta1");
        if entry(&version["resources"], "/resource", "jobs_per_second").is_null() {
            return Err(Failure::new(external.to_string()));
        }
        Ok(Some(()))
    })
    .await
}

/// The element of `list` that says `wanted` at `pointer`; null where there is none.
fn entry<'a>(list: &'a Value, pointer: &str, wanted: &str) -> &'a Value {
    let elements = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let says = |element: &&Value| element.pointer(pointer).and_then(Value::as_str) == Some(wanted);
    elements.iter().find(says).unwrap_or(&Value::Null)
}
