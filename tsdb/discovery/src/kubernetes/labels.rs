//! The labels of role pod (`discovery/kubernetes/pod.go`).

use crate::fixed::ADDRESS;
use leadline_cluster::{Container, Pairs, Pod, Port};
use leadline_model::labels::{Labels, LabelsBuilder};
use leadline_model::target::TargetGroup;

/// One target per declared container port, and one without a port for a container that declares none; init containers
/// included. The UID is part of the source: a pod that was deleted and created again under its name is another one. With
/// `attach_job` the name of the job that controls the pod is a label of its own.
pub(super) fn group(pod: &Pod, prefix: &str, attach_job: bool) -> TargetGroup {
    let source = format!("{prefix}pod/{}/{}/{}", pod.namespace, pod.name, pod.uid);
    let Some(ip) = pod.ip.as_deref() else {
        return TargetGroup {
            source,
            ..TargetGroup::default()
        };
    };
    let targets = pod.containers.iter().flat_map(|container| {
        let one = |port| target(ip, container, port);
        let portless = container.ports.is_empty().then(|| one(None));
        container
            .ports
            .iter()
            .map(move |port| target(ip, container, Some(port)))
            .chain(portless)
            .collect::<Vec<_>>()
    });
    TargetGroup {
        source,
        labels: pod_labels(pod, ip, attach_job),
        targets: targets.collect(),
    }
}

fn pod_labels(pod: &Pod, ip: &str, attach_job: bool) -> Labels {
    let mut labels = LabelsBuilder::new();
    let (kind, controller) = pod.controller.as_ref().map_or(("", ""), |c| (&c.kind, &c.name));
    for (name, value) in [
        ("__meta_kubernetes_namespace", &*pod.namespace),
        ("__meta_kubernetes_pod_controller_kind", kind),
        ("__meta_kubernetes_pod_controller_name", controller),
        ("__meta_kubernetes_pod_host_ip", pod.host_ip.as_deref().unwrap_or("")),
        ("__meta_kubernetes_pod_ip", ip),
        ("__meta_kubernetes_pod_name", &pod.name),
        (
            "__meta_kubernetes_pod_node_name",
            pod.node_name.as_deref().unwrap_or(""),
        ),
        ("__meta_kubernetes_pod_phase", &pod.phase),
        ("__meta_kubernetes_pod_ready", pod.ready.as_str()),
        ("__meta_kubernetes_pod_uid", &pod.uid),
    ] {
        labels.set(name, value);
    }
    if attach_job && kind == "Job" {
        labels.set("__meta_kubernetes_pod_job_name", controller);
    }
    metadata(&mut labels, "label", &pod.labels);
    metadata(&mut labels, "annotation", &pod.annotations);
    labels.build()
}

/// `…_label_x` with the value and `…_labelpresent_x`, which tells an empty value from none; likewise for annotations.
fn metadata(labels: &mut LabelsBuilder, what: &str, pairs: &Pairs) {
    for (key, value) in pairs.iter() {
        let name = sanitized(key);
        labels.set(&format!("__meta_kubernetes_pod_{what}_{name}"), value);
        labels.set(&format!("__meta_kubernetes_pod_{what}present_{name}"), "true");
    }
}

/// Every character that a classic label name cannot hold becomes `_` (`strutil.SanitizeLabelName`).
fn sanitized(key: &str) -> String {
    key.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

fn target(ip: &str, container: &Container, port: Option<&Port>) -> Labels {
    let number = port.map(|p| p.number.to_string()).unwrap_or_default();
    let address = match port {
        None => ip.to_owned(),
        // An IPv6 address stands in brackets before a port, and only there.
        Some(_) if ip.contains(':') => format!("[{ip}]:{number}"),
        Some(_) => format!("{ip}:{number}"),
    };
    Labels::from_pairs([
        (ADDRESS, address.as_str()),
        (
            "__meta_kubernetes_pod_container_id",
            container.id.as_deref().unwrap_or(""),
        ),
        ("__meta_kubernetes_pod_container_image", &container.image),
        (
            "__meta_kubernetes_pod_container_init",
            if container.init { "true" } else { "false" },
        ),
        ("__meta_kubernetes_pod_container_name", &container.name),
        (
            "__meta_kubernetes_pod_container_port_name",
            port.map_or("", |p| &p.name),
        ),
        ("__meta_kubernetes_pod_container_port_number", &number),
        (
            "__meta_kubernetes_pod_container_port_protocol",
            port.map_or("", |p| &p.protocol),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_cluster::{Controller, Readiness};

    fn full() -> Pod {
        Pod {
            namespace: "shop".into(),
            name: "web-0".into(),
            uid: "u1".into(),
            labels: [("app.kubernetes.io/name", "web"), ("empty", "")].into_iter().collect(),
            annotations: [("prometheus.io/scrape", "true")].into_iter().collect(),
            controller: Some(Controller {
                kind: "ReplicaSet".into(),
                name: "web".into(),
            }),
            ip: Some("10.0.0.1".into()),
            host_ip: Some("192.168.0.1".into()),
            node_name: Some("n1".into()),
            phase: "Running".into(),
            ready: Readiness::True,
            deleting: false,
            containers: [
                Container {
                    name: "web".into(),
                    image: "w:1".into(),
                    id: Some("containerd://1".into()),
                    init: false,
                    ports: [("http", 80, "TCP"), ("", 53, "UDP")]
                        .map(|(name, number, protocol)| Port {
                            name: name.into(),
                            number,
                            protocol: protocol.into(),
                        })
                        .into(),
                },
                Container {
                    name: "init".into(),
                    image: "i:1".into(),
                    init: true,
                    ..Container::default()
                },
            ]
            .into(),
        }
    }

    #[test]
    fn a_pod_has_every_label_of_role_pod() {
        let group = group(&full(), "kubernetes/0/", true);
        assert_eq!(group.source, "kubernetes/0/pod/shop/web-0/u1");
        let expected = [
            ("__meta_kubernetes_namespace", "shop"),
            ("__meta_kubernetes_pod_annotation_prometheus_io_scrape", "true"),
            ("__meta_kubernetes_pod_annotationpresent_prometheus_io_scrape", "true"),
            ("__meta_kubernetes_pod_controller_kind", "ReplicaSet"),
            ("__meta_kubernetes_pod_controller_name", "web"),
            ("__meta_kubernetes_pod_host_ip", "192.168.0.1"),
            ("__meta_kubernetes_pod_ip", "10.0.0.1"),
            ("__meta_kubernetes_pod_label_app_kubernetes_io_name", "web"),
            ("__meta_kubernetes_pod_labelpresent_app_kubernetes_io_name", "true"),
            ("__meta_kubernetes_pod_labelpresent_empty", "true"),
            ("__meta_kubernetes_pod_name", "web-0"),
            ("__meta_kubernetes_pod_node_name", "n1"),
            ("__meta_kubernetes_pod_phase", "Running"),
            ("__meta_kubernetes_pod_ready", "true"),
            ("__meta_kubernetes_pod_uid", "u1"),
        ];
        assert_eq!(group.labels, Labels::from_pairs(expected));
    }

    #[test]
    fn the_job_that_controls_a_pod_is_named_where_that_is_asked_for() {
        let name = |kind: &str, attach_job| {
            let controller = Some(Controller {
                kind: kind.into(),
                name: "import".into(),
            });
            let group = group(&Pod { controller, ..full() }, "", attach_job);
            group.labels.get("__meta_kubernetes_pod_job_name").map(str::to_owned)
        };
        assert_eq!(name("Job", true).as_deref(), Some("import"));
        assert_eq!(name("Job", false), None);
        assert_eq!(name("ReplicaSet", true), None);
    }

    #[test]
    fn there_is_a_target_per_port_and_one_for_a_container_without() {
        let container = |name: &str, image: &str, init: &str| {
            vec![
                ("__meta_kubernetes_pod_container_name".to_owned(), name.to_owned()),
                ("__meta_kubernetes_pod_container_image".to_owned(), image.to_owned()),
                ("__meta_kubernetes_pod_container_init".to_owned(), init.to_owned()),
            ]
        };
        let with = |mut labels: Vec<(String, String)>, more: &[(&str, &str)]| {
            labels.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
            Labels::from_pairs(labels)
        };
        let id = ("__meta_kubernetes_pod_container_id", "containerd://1");
        let port = |name, number, protocol| {
            [
                ("__meta_kubernetes_pod_container_port_name", name),
                ("__meta_kubernetes_pod_container_port_number", number),
                ("__meta_kubernetes_pod_container_port_protocol", protocol),
            ]
        };
        let web = || container("web", "w:1", "false");
        let http = [&[(ADDRESS, "10.0.0.1:80"), id][..], &port("http", "80", "TCP")].concat();
        let dns = [&[(ADDRESS, "10.0.0.1:53"), id][..], &port("", "53", "UDP")].concat();
        let expected = [
            with(web(), &http),
            with(web(), &dns),
            with(container("init", "i:1", "true"), &[(ADDRESS, "10.0.0.1")]),
        ];
        assert_eq!(group(&full(), "", false).targets, expected);
    }

    #[test]
    fn an_ipv6_address_has_brackets_only_before_a_port() {
        let group = group(
            &Pod {
                ip: Some("fd00::1".into()),
                ..full()
            },
            "",
            false,
        );
        let addresses: Vec<_> = group.targets.iter().filter_map(|t| t.get(ADDRESS)).collect();
        assert_eq!(addresses, ["[fd00::1]:80", "[fd00::1]:53", "fd00::1"]);
    }

    #[test]
    fn a_pod_without_an_address_has_no_targets() {
        assert!(group(&Pod { ip: None, ..full() }, "", false).targets.is_empty());
    }
}
