//! A rolling restart under readers.

use crate::lab::{AUTHORITY, Lab, NAMESPACE};
use crate::workload::Workload;
use leadline_testkit::api::{Api, message};
use leadline_testkit::wait::until;
use leadline_testkit::{Failure, Result, fail};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

const WEB: Workload<'_> = Workload {
    namespace: "rolling",
    name: "web",
    replicas: 2,
    series: &[
        "--counter=requests_total{code=\"200\"}=100",
        "--counter=jobs_total{queue=\"q\"}=100",
    ],
};
const DISCOVERY: &str = "/apis/custom.metrics.k8s.io/v1beta2";
/// What is read, one after the other: a path and how many values of 100 ± 10 it has.
const READS: [(&str, usize); 2] = [
    (
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/rolling/pods/%2A/requests_per_second?labelSelector=app%3Dweb",
        2,
    ),
    (
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/rolling/jobs_per_second",
        1,
    ),
];

/// The fewest good reads per second, of the ten that are tried: a replica that has just begun is warming up for a window, and
/// every second read is its.
const GOOD_READS: f64 = 5.0;

/// Both replicas are replaced, by such as have an authority that was made anew, while somebody reads ten times a second
/// through the API server: no connection error, no gap in discovery, no false value, and no error but 'warming up'.
pub(crate) async fn restart(lab: &Lab) -> Result<()> {
    lab.leadline().await?;
    WEB.apply(&lab.cluster).await?;
    for (path, count) in READS {
        lab.answers_everywhere(path, |body| true_values(path, body, count))
            .await?;
    }
    let before: BTreeSet<String> = lab.replicas().into_iter().map(|replica| replica.name).collect();
    let hpa = lab.cluster.control_plane.client(&lab.hpa_credential().await?)?;
    let old = authority(lab).await?;
    lab.cluster.api.delete(AUTHORITY, None, None).await?;
    lab.cluster
        .kubectl
        .run(&["rollout", "restart", "deployment/leadline", "-n", NAMESPACE])
        .await?;
    let replaced = until("both replicas to be replaced", Duration::from_secs(150), || async {
        let now: Vec<_> = lab.replicas();
        let new = now.len() == 2
            && now
                .iter()
                .all(|replica| replica.ready && !before.contains(&replica.name));
        Ok(new.then_some(()))
    });
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    tokio::pin!(replaced);
    let mut tally = Tally::default();
    let began = Instant::now();
    loop {
        tokio::select! {
            done = &mut replaced => { done?; break }
            _ = ticks.tick() => tally.read(&hpa).await,
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let fewest = tally.lists.min(tally.values[0]).min(tally.values[1]);
    let good = tally.lists + tally.values.iter().sum::<u64>();
    if !tally.wrong.is_empty() || fewest == 0 || (good as f64) < GOOD_READS * seconds {
        fail!(
            "in {seconds:.0} s {} good reads of discovery, {:?} of values, {} warming up, and: {}",
            tally.lists,
            tally.values,
            tally.warming,
            tally.wrong.join("\n")
        );
    }
    let new = authority(lab).await?;
    if new == old {
        fail!("the authority was not made anew");
    }
    let bundle = lab.ca_bundle().await?;
    if bundle.trim() != format!("{}\n{}", new.trim(), old.trim()) {
        fail!("the API server is not told of both authorities:\n{bundle}");
    }
    WEB.delete(&lab.cluster).await
}

/// The certificate of leadline's authority.
async fn authority(lab: &Lab) -> Result<String> {
    lab.secret(AUTHORITY, "ca.crt").await
}

#[derive(Debug, Default)]
struct Tally {
    next: usize,
    lists: u64,
    /// By [`READS`].
    values: [u64; READS.len()],
    warming: u64,
    wrong: Vec<String>,
}

impl Tally {
    /// The next read of the round: discovery, then each metric.
    async fn read(&mut self, api: &Api) {
        let turn = self.next % (READS.len() + 1);
        self.next += 1;
        let count = match turn.checked_sub(1) {
            None => discover(api).await.map(|()| &mut self.lists),
            Some(index) => match value(api, READS[index].0, READS[index].1).await {
                Ok(true) => Ok(&mut self.values[index]),
                Ok(false) => Ok(&mut self.warming),
                Err(error) => Err(error),
            },
        };
        match count {
            Ok(count) => *count += 1,
            Err(error) => self.wrong.push(error.to_string()),
        }
    }
}

async fn discover(api: &Api) -> Result<()> {
    let list = api.get(DISCOVERY).await?;
    if list["resources"].as_array().is_none_or(Vec::is_empty) {
        fail!("discovery is empty: {list}");
    }
    Ok(())
}

/// `Ok(false)`: the replica is warming up and says so.
async fn value(api: &Api, path: &str, count: usize) -> Result<bool> {
    let (status, body) = api.raw(Method::GET, path, &[], None).await?;
    if !status.is_success() {
        if message(&body).contains("warming up") {
            return Ok(false);
        }
        return Err(Failure::new(format!("GET {path}: {status}: {body}")));
    }
    if true_values(path, &body, count) {
        Ok(true)
    } else {
        fail!("a false value: GET {path}: {body}")
    }
}

/// `count` items, each at 100 ± 10 per second; the external metric adds up two exporters.
fn true_values(path: &str, body: &Value, count: usize) -> bool {
    let expected = if path.contains("external") { 200.0 } else { 100.0 };
    let items = body["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.len() == count
        && items
            .iter()
            .all(|item| (quantity(&item["value"]) / expected - 1.0).abs() < 0.1)
}

/// A Quantity as leadline writes it: a number, or one with suffix m.
fn quantity(value: &Value) -> f64 {
    let text = value.as_str().unwrap_or_default();
    match text.strip_suffix('m') {
        Some(milli) => milli.parse::<f64>().map_or(f64::NAN, |milli| milli / 1000.0),
        None => text.parse().unwrap_or(f64::NAN),
    }
}
