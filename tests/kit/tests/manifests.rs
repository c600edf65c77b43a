//! What the manifests promise, held on the files themselves.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use leadline_model::duration::Duration;
use leadline_testkit::manifests::{folder, read};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const FILES: [&str; 4] = ["core", "custom-metrics", "external-metrics", "scaler"];

fn ms(duration: &str) -> i64 {
    i64::try_from(Duration::parse(duration).unwrap().to_std().as_millis()).unwrap()
}

fn objects(file: &str) -> Vec<Value> {
    read(&folder().join(format!("{file}.yaml"))).unwrap()
}

fn all() -> Vec<Value> {
    FILES.iter().flat_map(|file| objects(file)).collect()
}

fn of_kind(objects: &[Value], kind: &str) -> Vec<Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .cloned()
        .collect()
}

fn deployment() -> Value {
    of_kind(&objects("core"), "Deployment").remove(0)
}

fn config() -> Value {
    let maps = of_kind(&objects("core"), "ConfigMap");
    let map = maps.iter().find(|map| map["metadata"]["name"] == "leadline").unwrap();
    serde_saphyr::from_str(map["data"]["leadline.yaml"].as_str().unwrap()).unwrap()
}

#[test]
fn a_rollout_never_takes_a_replica_away_before_the_next_is_warm() {
    let spec = &deployment()["spec"];
    assert_eq!(spec["replicas"], 2);
    assert_eq!(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    let config = config();
    let windows = config["autoscaling"]["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|rule| {
            // Every range in the shipped rules is written literally.
            let query = rule["query"].as_str().unwrap().to_owned();
            let ranges: Vec<String> = query
                .split('[')
                .skip(1)
                .map(|rest| rest.split([']', ':']).next().unwrap().to_owned())
                .collect();
            ranges
        });
    let longest = windows.map(|window| ms(&window)).max().unwrap();
    let scrape = ms(config["global"]["scrape_interval"].as_str().unwrap());
    let ready = spec["minReadySeconds"].as_i64().unwrap() * 1000;
    assert!(
        ready >= longest + 2 * scrape,
        "minReadySeconds {ready} ms, window {longest} ms, scrape {scrape} ms"
    );
    assert_eq!(of_kind(&objects("core"), "PodDisruptionBudget").len(), 1);
}

#[test]
fn the_pod_is_restricted_and_probed_over_tls() {
    let pod = &deployment()["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["scheme"], "HTTPS", "{probe}");
        assert_eq!(container[probe]["httpGet"]["path"], path);
    }
    let limits = &container["resources"];
    assert!(limits["requests"]["cpu"].is_string() && limits["limits"]["memory"].is_string());
    let spread = &pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(spread[0]["podAffinityTerm"]["topologyKey"], "kubernetes.io/hostname");
}

#[test]
fn the_grace_period_is_longer_than_the_sleep_before_the_stop() {
    let pod = &deployment()["spec"]["template"]["spec"];
    let sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        .as_u64()
        .unwrap();
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() >= sleep + 30);
}

#[test]
fn core_alone_registers_no_api_and_listens_for_keda_on_loopback_only() {
    let core = objects("core");
    assert!(of_kind(&core, "APIService").is_empty());
    let flags = core
        .iter()
        .find(|object| object["metadata"]["name"] == "leadline-flags")
        .unwrap();
    assert_eq!(flags["data"]["LEADLINE_SCALER_LISTEN_ADDRESS"], "127.0.0.1:6000");
    let args = deployment()["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    assert!(
        args.as_array()
            .unwrap()
            .contains(&json!("--web.listen-address=127.0.0.1:9090")),
        "{args}"
    );
}

#[test]
fn api_services_have_their_priorities_and_are_always_verified() {
    let services: BTreeMap<String, i64> = of_kind(&all(), "APIService")
        .iter()
        .map(|service| {
            let spec = &service["spec"];
            let name = format!(
                "{}.{}",
                spec["version"].as_str().unwrap(),
                spec["group"].as_str().unwrap()
            );
            assert_eq!(service["metadata"]["name"], name);
            assert_eq!(
                spec["service"],
                json!({"name": "leadline", "namespace": "leadline", "port": 443})
            );
            assert!(spec.get("insecureSkipTLSVerify").is_none(), "{name}");
            (name, spec["versionPriority"].as_i64().unwrap())
        })
        .collect();
    let wanted = [
        ("v1beta1.custom.metrics.k8s.io", 100),
        ("v1beta1.external.metrics.k8s.io", 100),
        ("v1beta2.custom.metrics.k8s.io", 200),
    ];
    assert_eq!(
        services,
        wanted.map(|(name, priority)| (name.to_owned(), priority)).into()
    );
    for file in FILES {
        let text = std::fs::read_to_string(folder().join(format!("{file}.yaml"))).unwrap();
        assert!(!text.contains("insecureSkipTLSVerify: true"), "{file}");
    }
}

/// Everything leadline may do beyond what the two system roles give it. A line more is a decision.
#[test]
fn permissions_are_exactly_these() {
    let mut granted: Vec<String> = Vec::new();
    for file in FILES {
        for role in of_kind(&objects(file), "ClusterRole")
            .iter()
            .chain(&of_kind(&objects(file), "Role"))
        {
            if role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true" {
                continue;
            }
            let place = role["metadata"]["namespace"].as_str().unwrap_or("*");
            for rule in role["rules"].as_array().unwrap() {
                let list = |key: &str| {
                    let texts = rule[key]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(|text| text.as_str().unwrap());
                    texts.collect::<Vec<_>>().join(",")
                };
                let names = list("resourceNames");
                let groups = list("apiGroups");
                granted.push(format!(
                    "{file} {place} [{groups}] {} [{names}] {}",
                    list("resources"),
                    list("verbs")
                ));
            }
        }
    }
    assert_eq!(
        granted,
        [
            "core * [] pods [] list,watch",
            "core leadline [] secrets [] create",
            "core leadline [] secrets [leadline-ca] get",
            "custom-metrics * [] services,namespaces,nodes [] list,watch",
            "custom-metrics * [networking.k8s.io] ingresses [] list,watch",
            "custom-metrics * [apiregistration.k8s.io] apiservices \
             [v1beta2.custom.metrics.k8s.io,v1beta1.custom.metrics.k8s.io] get,patch",
            "external-metrics * [apiregistration.k8s.io] apiservices [v1beta1.external.metrics.k8s.io] get,patch",
            "scaler keda [] secrets [] create",
            "scaler keda [] secrets [leadline-scaler-client] get,update",
        ]
    );
    let bound: Vec<Value> = all()
        .iter()
        .filter(|object| object["kind"].as_str().unwrap().ends_with("Binding"))
        .map(|binding| binding["roleRef"]["name"].clone())
        .collect();
    assert_eq!(
        bound
            .iter()
            .filter(|role| role.as_str().unwrap().starts_with("system:"))
            .count(),
        1
    );
    assert!(bound.contains(&json!("system:auth-delegator")));
    assert!(bound.contains(&json!("extension-apiserver-authentication-reader")));
}

#[test]
fn every_binding_names_the_one_service_account_and_a_role_that_is_there() {
    let objects = all();
    for binding in objects
        .iter()
        .filter(|object| object["kind"].as_str().unwrap().ends_with("Binding"))
    {
        assert_eq!(
            binding["subjects"],
            json!([{"kind": "ServiceAccount", "name": "leadline", "namespace": "leadline"}]),
            "{binding}"
        );
        let role = &binding["roleRef"]["name"];
        let shipped = objects
            .iter()
            .any(|object| object["metadata"]["name"] == *role && object["kind"] == binding["roleRef"]["kind"]);
        let built_in = role == "system:auth-delegator" || role == "extension-apiserver-authentication-reader";
        assert!(shipped || built_in, "{role}");
    }
}

#[test]
fn the_scaler_is_reached_by_mutual_tls_alone() {
    let scaler = objects("scaler");
    let auth = of_kind(&scaler, "ClusterTriggerAuthentication").remove(0);
    let parameters: Vec<&str> = auth["spec"]["secretTargetRef"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reference| reference["parameter"].as_str().unwrap())
        .collect();
    assert_eq!(parameters, ["caCert", "tlsClientCert", "tlsClientKey"]);
    let flags = of_kind(&scaler, "ConfigMap").remove(0);
    assert_eq!(flags["data"]["LEADLINE_SCALER_LISTEN_ADDRESS"], "0.0.0.0:6000");
    assert_eq!(auth["spec"]["secretTargetRef"][0]["name"], "leadline-scaler-client");
    // KEDA looks for it in its own namespace.
    assert_eq!(flags["data"]["LEADLINE_SCALER_CLIENT_NAMESPACE"], "keda");
    let service = of_kind(&scaler, "Service").remove(0);
    assert_eq!(service["spec"]["ports"][0]["port"], 6000);
}
