//! Nothing moves that should not.

use crate::hpa::{active, autoscaler};
use crate::lab::{Lab, NAMESPACE, SCRAPE, WINDOW};
use crate::scaled_object::{condition, scaled_object};
use crate::workload::Workload;
use leadline_testkit::address::random;
use leadline_testkit::audit::Event;
use leadline_testkit::kubelet::PodState;
use leadline_testkit::wait::until;
use leadline_testkit::{Result, fail};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

const STEADY: &str = "steady";
/// 45 per second in all are 5 replicas at 10 each, and stay so within the HPA's tolerance; without one exporter they are 3.
const LOAD: Workload<'_> = Workload {
    namespace: STEADY,
    name: "load",
    replicas: 2,
    series: &["--counter=requests_total{code=\"200\"}=22.5"],
};
/// How many processes are killed.
const KILLS: u32 = 20;
/// The longest time between two kills, ms: the mean of 12 s leaves a replica, which every fourth kill hits, alive for some
/// windows, and an exporter, which every second one hits, often enough whole, so that values are served and not only errors.
const PAUSE_MS: u64 = 24_000;
/// How many values each of the two autoscalers reads at least while processes are killed; one that read none would not
/// move either.
const VALUES: usize = 10;
/// A killed replica is started again and listens within this time of its death.
const RESTART: Duration = Duration::from_secs(20);
/// The port of the metrics APIs.
const ADAPTER: u16 = 6443;

/// An HPA and a ScaledObject hold 5 replicas each on the sum of two exporters' rates while one of the exporters, or one of
/// leadline's replicas, dies at 20 random moments. The audit log shows no write to any scale.
pub(crate) async fn nothing_moves(lab: &Lab) -> Result<()> {
    lab.leadline().await?;
    LOAD.apply(&lab.cluster).await?;
    for name in ["by-hpa", "by-keda"] {
        Workload {
            namespace: STEADY,
            name,
            replicas: 5,
            series: &[],
        }
        .apply(&lab.cluster)
        .await?;
    }
    let metric = json!({"type": "Object", "object": {
        "metric": {"name": "requests_per_second"},
        "describedObject": {"apiVersion": "v1", "kind": "Namespace", "name": STEADY},
        "target": {"type": "AverageValue", "averageValue": "10"},
    }});
    // The metric must be warm before anybody scales on it.
    lab.answers(METRIC, |body| {
        body["items"].as_array().is_some_and(|items| items.len() == 1)
    })
    .await?;
    let query = format!("sum(rate(requests_total{{namespace=\"{STEADY}\"}}[10s]))");
    let mut hpa = autoscaler(STEADY, "by-hpa", (1, 20), &[metric]);
    let mut object = scaled_object(STEADY, "by-keda", "external", (1, 20), &query);
    // One low value scales down at once, instead of being outvoted by those of the last seconds.
    let behavior = json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
    hpa["spec"]["behavior"] = behavior.clone();
    object["spec"]["advanced"] = json!({"horizontalPodAutoscalerConfig": {"behavior": behavior}});
    lab.cluster.kubectl.apply(&hpa.to_string()).await?;
    lab.cluster.kubectl.apply(&object.to_string()).await?;
    active(lab, STEADY, "by-hpa").await?;
    active(lab, STEADY, "keda-hpa-by-keda").await?;
    let path = format!("/apis/keda.sh/v1alpha1/namespaces/{STEADY}/scaledobjects/by-keda");
    lab.answers(&path, |object| condition(object, "Ready") == "True")
        .await?;

    let from = lab.cluster.audit.position()?;
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(random() % PAUSE_MS)).await;
        one_kill(lab, kill).await?;
    }
    // What the last kill may still cause comes within its window and a sync.
    tokio::time::sleep(WINDOW + 4 * SCRAPE).await;
    let events = lab.cluster.audit.since(from)?;
    let writes: Vec<String> = events
        .iter()
        .filter(|event| event.writes_scale())
        .map(Event::line)
        .collect();
    if !writes.is_empty() {
        fail!("scales were written:\n{}", writes.join("\n"));
    }
    for group in ["custom.metrics.k8s.io", "external.metrics.k8s.io"] {
        let read = |event: &&Event| event.group() == group && event.namespace() == STEADY && event.status() == 200;
        let values = events.iter().filter(read).count();
        if values < VALUES {
            fail!("only {values} values of {group} were read while processes were killed");
        }
    }
    for name in ["by-hpa", "by-keda"] {
        let replicas = lab.cluster.replicas(STEADY, name).await?;
        if replicas != 5 {
            fail!("{name} has {replicas} replicas");
        }
    }
    answers_again_in_time(lab).await
}

/// The HPA's own question, asked of one replica.
const METRIC: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/steady/metrics/requests_per_second";

/// Every other kill is an exporter's: always the same one, the other stays.
async fn one_kill(lab: &Lab, kill: u32) -> Result<()> {
    let (namespace, label, app) = match kill % 2 {
        0 => (STEADY, "app", "load"),
        _ => (NAMESPACE, "app.kubernetes.io/name", "leadline"),
    };
    let pods = lab.cluster.kubelet.pods(namespace, label, app);
    let index = if kill.is_multiple_of(2) {
        0
    } else {
        usize::try_from(random() % 2).unwrap_or(0)
    };
    let Some(victim) = pods.get(index) else {
        fail!("no pod {index} of {app}")
    };
    // One that is down already is killed when it is up again: its moment is as random.
    until(&format!("{} to have a process", victim.name), RESTART, || async {
        Ok(lab.cluster.kubelet.kill(victim).ok())
    })
    .await
}

/// After a kill a replica answers again within the metric's window and two scrapes from the moment it listens.
async fn answers_again_in_time(lab: &Lab) -> Result<()> {
    let replica = lab.replicas().remove(0);
    let api = lab.direct(&replica, &lab.hpa_credential().await?).await?;
    let asked = |what: &'static str, limit: Duration| {
        let api = &api;
        until(what, limit, move || async move { Ok(Some(api.get(METRIC).await?)) })
    };
    asked("the metric before the kill", WINDOW + 2 * SCRAPE).await?;
    lab.cluster.kubelet.kill(&replica)?;
    // From the moment on at which somebody can ask it: long before a probe of the kubelet finds it ready.
    let died = |now: &PodState| now.name == replica.name && now.restarts > replica.restarts;
    until("the killed replica to listen again", RESTART, || async {
        if !lab.replicas().iter().any(died) {
            return Ok(None);
        }
        Ok(TcpStream::connect((replica.address.as_str(), ADAPTER)).await.ok())
    })
    .await?;
    let since = Instant::now();
    let body: Value = asked("the metric after the restart", WINDOW + 2 * SCRAPE).await?;
    if body["items"].as_array().is_none_or(Vec::is_empty) {
        fail!("{} s after the start: {body}", since.elapsed().as_secs());
    }
    Ok(())
}
