//! What a read costs the API server: nothing but its own review, and that only once in a while.

use crate::lab::{Lab, NAMESPACE};
use crate::workload::Workload;
use leadline_testkit::audit::{Event, Position};
use leadline_testkit::{Result, fail};
use serde_json::Value;
use std::collections::BTreeMap;

const WEB: Workload<'_> = Workload {
    namespace: "reads",
    name: "web",
    replicas: 3,
    series: &["--counter=requests_total{code=\"200\"}=10"],
};
const READS: usize = 100;

/// Whether leadline did this to pods.
fn on_pods(event: &Event) -> bool {
    event.user() == format!("system:serviceaccount:{NAMESPACE}:leadline")
        && event.resource() == "pods"
        && event.group().is_empty()
}

/// 100 reads of a Pods metric as an HPA makes them: no LIST of pods, and each replica holds one WATCH.
pub(crate) async fn no_list(lab: &Lab) -> Result<()> {
    lab.leadline().await?;
    WEB.apply(&lab.cluster).await?;
    let path =
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/reads/pods/%2A/requests_per_second?labelSelector=app%3Dweb";
    lab.answers_everywhere(path, names_all).await?;
    let hpa = lab.cluster.control_plane.client(&lab.hpa_credential().await?)?;
    let from = lab.cluster.audit.position()?;
    for _ in 0..READS {
        let body = hpa.get(path).await?;
        if !names_all(&body) {
            fail!("three pods expected: {body}");
        }
    }
    let events = lab.cluster.audit.since(from)?;
    let reads = events
        .iter()
        .filter(|event| event.group() == "custom.metrics.k8s.io" && event.verb() == "get")
        .count();
    if reads < READS {
        fail!("the audit log shows {reads} of {READS} reads");
    }
    if let Some(list) = events.iter().find(|event| on_pods(event) && event.verb() == "list") {
        fail!("a read led to a list: {}", list.line());
    }
    let open = open_watches(&lab.cluster.audit.since(Position::START)?);
    let replicas: Vec<String> = lab.replicas().into_iter().map(|replica| replica.name).collect();
    for replica in &replicas {
        if open.get(replica) != Some(&1) {
            fail!("one watch of pods by each of {replicas:?} expected, open are {open:?}");
        }
    }
    WEB.delete(&lab.cluster).await
}

fn names_all(body: &Value) -> bool {
    body["items"].as_array().is_some_and(|items| items.len() == 3)
}

/// The watches of pods that are open, by the pod that opened them.
fn open_watches(events: &[Event]) -> BTreeMap<String, i32> {
    let mut open = BTreeMap::new();
    for event in events.iter().filter(|event| on_pods(event) && event.verb() == "watch") {
        let count = open.entry(event.pod().to_owned()).or_default();
        match event.stage() {
            "ResponseStarted" => *count += 1,
            "ResponseComplete" => *count -= 1,
            _ => {}
        }
    }
    open
}
