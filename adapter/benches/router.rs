//! How long the router takes for a GET of pods/* with 10, 100 and 1,000 pods, identity by a verified front-proxy
//! certificate and access from memory included, TLS and socket not.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark prints its result and fails by panicking"
)]

#[path = "../tests/router/world.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod world;

use leadline_cluster::Pod;
use std::time::{Duration, Instant};
use world::{World, row};

const PATH: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/bench/pods/%2A/rps?labelSelector=app%3Dbench";

fn world_of(pods: usize) -> World {
    let world = World::new("metrics: [{name: rps, describes: pods, query: 'rps[1m]'}]");
    let name = |i: usize| format!("web-65c8597644-{i:05}");
    for i in 0..pods {
        let labels = std::collections::BTreeMap::from([("app".to_owned(), "bench".to_owned())]);
        let pod = Pod {
            namespace: "bench".into(),
            name: name(i).into(),
            labels: labels.into(),
            ..Pod::default()
        };
        world.adapter.objects.pods.apply(pod);
    }
    let rows = (0..pods).map(|i| row(&[("namespace", "bench"), ("pod", &name(i))], 20.302 + i as f64, 1_000));
    world.rows("rps[1m]", rows.collect());
    world
}

async fn measure(pods: usize, rounds: usize) -> Vec<Duration> {
    let world = world_of(pods);
    let proxy = world.proxies.client("front-proxy-client", &[]);
    let headers = [
        (
            "x-remote-user",
            "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
        ),
        ("x-remote-group", "system:serviceaccounts"),
        ("accept", "application/vnd.kubernetes.protobuf, */*"),
    ];
    let mut took = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        let reply = world.get_as(Some(&proxy), PATH, &headers).await;
        took.push(started.elapsed());
        assert!(reply.code() == 200, "{}", reply.text);
    }
    took.sort_unstable();
    took
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for (pods, rounds) in [(10, 2000), (100, 1000), (1000, 300)] {
        let took = runtime.block_on(measure(pods, rounds));
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        println!("{pods:>5} pods: p50 {:?}, p99 {:?}", at(0.5), at(0.99));
    }
}
