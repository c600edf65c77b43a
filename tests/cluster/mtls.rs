//! KEDA calls the scaler with the certificate that leadline made for it, and nobody else calls it.

use crate::lab::{AUTHORITY, Lab, NAMESPACE, SETTLE};
use crate::scaled_object::{condition, scaled_object};
use crate::workload::Workload;
use leadline_scaler::externalscaler::ScaledObjectRef;
use leadline_scaler::externalscaler::external_scaler_client::ExternalScalerClient;
use leadline_testkit::kubelet::PodState;
use leadline_testkit::pki::{Authority, Pair, Usage};
use leadline_testkit::wait::until;
use leadline_testkit::{Failure, Result, fail, grpc};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tonic::transport::Channel;

/// Handshakes of the scaler's in which a client showed a certificate of leadline's authority.
pub(crate) const VERIFIED: &str = "leadline_tls_handshakes_total{listener=\"scaler\",result=\"verified\"}";
/// Those in which nobody was asked for one.
const UNVERIFIED: &str = "leadline_tls_handshakes_total{listener=\"scaler\",result=\"unverified\"}";
/// The name by which KEDA calls the scaler.
const HOST: &str = "leadline-scaler.leadline.svc";
const CLIENT: &str = "/api/v1/namespaces/keda/secrets/leadline-scaler-client";

/// A certificate with its authority, from a Secret.
struct Shown {
    ca: String,
    pair: Pair,
}

/// What KEDA shows.
async fn client(lab: &Lab) -> Result<Shown> {
    Ok(Shown {
        ca: lab.secret(CLIENT, "ca.crt").await?,
        pair: Pair {
            certificate: lab.secret(CLIENT, "tls.crt").await?,
            key: lab.secret(CLIENT, "tls.key").await?,
        },
    })
}

fn address(replica: &PodState) -> Result<SocketAddr> {
    let address = format!("{}:6000", replica.address);
    address
        .parse()
        .map_err(|_| Failure::new(format!("{address} is no socket address")))
}

/// Why a call over this channel is refused; `None` where it is answered.
async fn refusal(channel: Result<Channel>) -> Option<String> {
    let object = ScaledObjectRef {
        name: "worker".to_owned(),
        namespace: "mtls".to_owned(),
        scaler_metadata: [("query", "up"), ("threshold", "1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    };
    match channel {
        Err(error) => Some(error.to_string()),
        Ok(channel) => {
            let answer = ExternalScalerClient::new(channel).get_metric_spec(object).await;
            answer.err().map(|status| status.to_string())
        }
    }
}

/// KEDA's certificate opens every replica's scaler. No certificate, another authority's, and no TLS at all do not.
pub(crate) async fn only_keda(lab: &Lab) -> Result<()> {
    lab.leadline().await?;
    let shown = client(lab).await?;
    if shown.ca != lab.secret(AUTHORITY, "ca.crt").await? {
        fail!("KEDA is told to trust another authority than leadline's:\n{}", shown.ca);
    }
    let issue = |authority: &Authority| authority.issue("keda-operator", &[], &[], Usage::Client);
    let elsewhere = issue(&Authority::new("leadline-ca")?)?;
    let of_cluster = issue(&lab.cluster.control_plane.ca)?;
    for replica in lab.replicas() {
        let address = address(&replica)?;
        for (who, pair) in [
            ("nobody", None),
            ("another authority's keda-operator", Some(&elsewhere)),
            ("the cluster authority's keda-operator", Some(&of_cluster)),
        ] {
            if refusal(grpc::over_tls(address, HOST, &shown.ca, pair).await)
                .await
                .is_none()
            {
                fail!("{} answered {who}", replica.name);
            }
        }
        if refusal(grpc::plain(address)).await.is_none() {
            fail!("{} answered without TLS", replica.name);
        }
        let keda = grpc::over_tls(address, HOST, &shown.ca, Some(&shown.pair)).await;
        if let Some(why) = refusal(keda).await {
            fail!("{} refused KEDA's certificate: {why}", replica.name);
        }
    }
    if lab.own(UNVERIFIED).await? != 0.0 {
        fail!("a handshake of the scaler's asked for no certificate");
    }
    Ok(())
}

/// Somebody makes the authority anew under a steady ScaledObject: the replicas that start then put a certificate of the new
/// one where KEDA reads it, KEDA takes it over by itself, and the old one opens nothing any more.
pub(crate) async fn made_anew(lab: &Lab) -> Result<()> {
    lab.leadline().await?;
    let queue = Workload {
        namespace: "mtls",
        name: "queue",
        replicas: 1,
        series: &["--gauge=depth=25"],
    };
    let worker = Workload {
        namespace: "mtls",
        name: "worker",
        replicas: 1,
        series: &["--gauge=idle=1"],
    };
    queue.apply(&lab.cluster).await?;
    worker.apply(&lab.cluster).await?;
    let query = "sum(depth{namespace=\"mtls\"})";
    let object = scaled_object("mtls", "worker", "external", (0, 9), query);
    lab.cluster.kubectl.apply(&object.to_string()).await?;
    lab.scaled("mtls", "worker", 3).await?;

    let old = client(lab).await?;
    lab.cluster.api.delete(AUTHORITY, None, None).await?;
    restart(lab).await?;
    until("KEDA's certificate to be of the new authority", SETTLE, || async {
        let (now, ca) = (client(lab).await?, lab.secret(AUTHORITY, "ca.crt").await?);
        Ok((now.ca == ca && now.ca != old.ca).then_some(()))
    })
    .await?;
    let new = client(lab).await?;
    for replica in lab.replicas() {
        let channel = grpc::over_tls(address(&replica)?, HOST, &new.ca, Some(&old.pair)).await;
        if refusal(channel).await.is_none() {
            fail!("{} still answers to the old authority's certificate", replica.name);
        }
    }
    queue.set(&lab.cluster, "depth", "value=45").await?;
    lab.scaled("mtls", "worker", 5).await?;
    let path = "/apis/keda.sh/v1alpha1/namespaces/mtls/scaledobjects/worker";
    lab.answers(path, |object: &Value| condition(object, "Ready") == "True")
        .await?;
    // Counted since the restart, and the trial's own clients were turned away.
    if lab.own(VERIFIED).await? == 0.0 {
        fail!("KEDA's certificate was not seen");
    }
    lab.cluster.api.delete(path, None, None).await?;
    worker.delete(&lab.cluster).await?;
    queue.delete(&lab.cluster).await
}

/// Starts every replica's container again.
async fn restart(lab: &Lab) -> Result<()> {
    let before = lab.replicas();
    for replica in &before {
        lab.cluster.kubelet.kill(replica)?;
    }
    until(
        "leadline's replicas to start again",
        Duration::from_secs(40),
        || async {
            let now = lab
                .cluster
                .kubelet
                .pods(NAMESPACE, "app.kubernetes.io/name", "leadline");
            let again = |old: &PodState| {
                let mut same = now.iter().filter(|now| now.name == old.name);
                same.any(|now| now.ready && now.restarts > old.restarts)
            };
            Ok(before.iter().all(again).then_some(()))
        },
    )
    .await
}
