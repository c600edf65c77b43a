//! Who may read, and who only says so.

use crate::lab::Lab;
use crate::workload::Workload;
use leadline_testkit::pki::{Authority, Credential, Usage};
use leadline_testkit::{Result, fail};
use reqwest::Method;

const WEB: Workload<'_> = Workload {
    namespace: "access",
    name: "web",
    replicas: 1,
    series: &[
        "--counter=requests_total{code=\"200\"}=10",
        "--counter=jobs_total{queue=\"q\"}=10",
    ],
};
const PATHS: [&str; 2] = [
    "/apis/custom.metrics.k8s.io/v1beta2/namespaces/access/pods/%2A/requests_per_second",
    "/apis/external.metrics.k8s.io/v1beta1/namespaces/access/jobs_per_second",
];
/// What an attacker inside the cluster sends to a replica.
const SPOOFED: [(&str, &str); 2] = [("X-Remote-User", "system:admin"), ("X-Remote-Group", "system:masters")];

/// An unauthorized user is refused through the API server; headers that name a user are nothing without the aggregator's
/// certificate.
pub(crate) async fn denied(lab: &Lab) -> Result<()> {
    lab.leadline().await?;
    WEB.apply(&lab.cluster).await?;
    for path in PATHS {
        lab.answers_everywhere(path, |body| {
            body["items"].as_array().is_some_and(|items| !items.is_empty())
        })
        .await?;
    }
    let (stranger, _) = lab.cluster.control_plane.user("stranger")?;
    for path in PATHS {
        let (status, body) = stranger.raw(Method::GET, path, &[], None).await?;
        if status != 403 || body["reason"] != "Forbidden" {
            fail!("a stranger's GET {path}: {status}: {body}");
        }
    }
    spoofed(lab).await?;
    WEB.delete(&lab.cluster).await
}

async fn spoofed(lab: &Lab) -> Result<()> {
    let plane = &lab.cluster.control_plane;
    let replica = lab.replicas().remove(0);
    let elsewhere = Authority::new("front-proxy-ca")?;
    let client = |authority: &Authority, name: &str| -> Result<Credential> {
        Ok(Credential::Certificate(authority.issue(
            name,
            &[],
            &[],
            Usage::Client,
        )?))
    };
    let weak = plane.token("access", "default").await?;
    let attempts = [
        ("nobody", Credential::Anonymous),
        ("a ServiceAccount without rights", Credential::Token(weak)),
        ("a user of the cluster's CA", client(&plane.ca, "stranger")?),
        (
            "the aggregator's name from the cluster's CA",
            client(&plane.ca, "front-proxy-client")?,
        ),
        (
            "another name from the aggregator's CA",
            client(&plane.front_proxy_ca, "somebody")?,
        ),
        (
            "the aggregator's name from a CA of the attacker's",
            client(&elsewhere, "front-proxy-client")?,
        ),
    ];
    for (who, credential) in attempts {
        let api = lab.direct(&replica, &credential).await?;
        for path in PATHS {
            let (status, body) = api.raw(Method::GET, path, &SPOOFED, None).await?;
            if status != 401 && status != 403 {
                fail!("{who} with spoofed headers: GET {path}: {status}: {body}");
            }
        }
    }
    let aggregator = lab
        .direct(&replica, &Credential::Certificate(plane.front_proxy.clone()))
        .await?;
    let hpa = lab.direct(&replica, &lab.hpa_credential().await?).await?;
    for path in PATHS {
        let (status, body) = aggregator.raw(Method::GET, path, &SPOOFED, None).await?;
        if status != 200 {
            fail!("the aggregator itself: GET {path}: {status}: {body}");
        }
        hpa.get(path).await?;
    }
    Ok(())
}
