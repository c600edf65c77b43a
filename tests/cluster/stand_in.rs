//! The ground the other trials stand on.

use crate::lab::Lab;
use crate::workload::{Workload, read, set};
use leadline_testkit::wait::until;
use leadline_testkit::{Result, fail};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const WEB: Workload<'_> = Workload {
    namespace: "ground",
    name: "web",
    replicas: 3,
    series: &["--counter=requests_total{code=\"200\"}=10"],
};
const SERIES: &str = "requests_total{code=\"200\"}";

/// Pods become Ready, each with its own address and its own process behind it.
pub(crate) async fn pods(lab: &Lab) -> Result<()> {
    WEB.apply(&lab.cluster).await?;
    let pods = lab.cluster.kubelet.pods("ground", "app", "web");
    let addresses: BTreeSet<&str> = pods.iter().map(|pod| pod.address.as_str()).collect();
    if addresses.len() != 3 {
        fail!("three addresses expected, got {addresses:?}");
    }
    set(&pods[0].address, SERIES, "rate=1000").await?;
    let (first, second) = (
        read(&pods[0].address, SERIES).await?,
        read(&pods[1].address, SERIES).await?,
    );
    until(
        "the first exporter to run ahead of the second",
        Duration::from_secs(5),
        || async {
            let ahead = read(&pods[0].address, SERIES).await? - read(&pods[1].address, SERIES).await?;
            Ok((ahead > first - second + 100.0).then_some(()))
        },
    )
    .await?;
    let listed = lab
        .cluster
        .kubectl
        .run(&["get", "pods", "-n", "ground", "-o", "wide"])
        .await?;
    for pod in &pods {
        let shown = listed
            .lines()
            .any(|line| line.contains(&pod.name) && line.contains(&pod.address));
        if !shown {
            fail!("kubectl does not show {} at {}:\n{listed}", pod.name, pod.address);
        }
    }
    Ok(())
}

/// A killed container starts again at its address, its counter goes on, and a deleted pod is gone.
pub(crate) async fn kill(lab: &Lab) -> Result<()> {
    WEB.apply(&lab.cluster).await?;
    let pod = lab.cluster.kubelet.pods("ground", "app", "web").remove(0);
    set(&pod.address, SERIES, "rate=7").await?;
    let before = read(&pod.address, SERIES).await?;
    lab.cluster.kubelet.kill(&pod)?;
    until(
        "the killed exporter to serve again",
        Duration::from_secs(20),
        || async {
            let now = lab.cluster.kubelet.pods("ground", "app", "web").remove(0);
            Ok((now.restarts > pod.restarts && now.ready && now.address == pod.address).then_some(()))
        },
    )
    .await?;
    let after = read(&pod.address, SERIES).await?;
    if after < before || after > before + 7.0 * 30.0 {
        fail!("the counter went from {before} to {after}");
    }
    WEB.delete(&lab.cluster).await?;
    until("the pods to be gone", Duration::from_secs(20), || async {
        Ok(lab
            .cluster
            .kubelet
            .pods("ground", "app", "web")
            .is_empty()
            .then_some(()))
    })
    .await
}

/// A Service has an FQDN slice with its ready pods' addresses, and an address of its own that leads to them.
pub(crate) async fn services(lab: &Lab) -> Result<()> {
    WEB.apply(&lab.cluster).await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "ground"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 8080, "targetPort": "http"}]},
    });
    lab.cluster.kubectl.apply(&service.to_string()).await?;
    let pods = lab.cluster.kubelet.pods("ground", "app", "web");
    let wanted: BTreeSet<&str> = pods.iter().map(|pod| pod.address.as_str()).collect();
    let path = "/apis/discovery.k8s.io/v1/namespaces/ground/endpointslices/web-stand-in";
    lab.answers(path, |slice| {
        let endpoints = slice["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ready = endpoints
            .iter()
            .filter(|endpoint| endpoint["conditions"]["ready"] == true);
        ready
            .filter_map(|endpoint| endpoint["addresses"][0].as_str())
            .collect::<BTreeSet<_>>()
            == wanted
    })
    .await?;
    let address = lab.cluster.services.address("ground", "web");
    let Some(address) = address else {
        fail!("the Service has no address")
    };
    read(&address, SERIES).await?;
    WEB.delete(&lab.cluster).await
}

/// KEDA is up and its API reachable through the aggregator.
pub(crate) async fn keda(lab: &Lab) -> Result<()> {
    let listed = lab
        .cluster
        .kubectl
        .run(&["get", "--raw", "/apis/external.metrics.k8s.io/v1beta1"])
        .await?;
    if !listed.contains("externalmetrics") {
        fail!("KEDA's discovery lists {listed}");
    }
    Ok(())
}
