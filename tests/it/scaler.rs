//! The external scaler, called as KEDA calls it.

use crate::world::{Exporter, Leadline, config, until};
use leadline_scaler::externalscaler::external_scaler_client::ExternalScalerClient;
use leadline_scaler::externalscaler::{GetMetricsRequest, ScaledObjectRef};
use leadline_testkit::grpc;
use leadline_testkit::pki::{Authority, Usage};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// A client without TLS.
pub(crate) async fn client(address: SocketAddr) -> ExternalScalerClient<Channel> {
    let channel = Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    ExternalScalerClient::new(channel)
}

/// A ScaledObject with a trigger of threshold 10 and this metadata.
pub(crate) fn object(metadata: &[(&str, &str)]) -> ScaledObjectRef {
    let metadata = [("threshold", "10")].iter().chain(metadata);
    ScaledObjectRef {
        name: "worker".to_owned(),
        namespace: "default".to_owned(),
        scaler_metadata: metadata.map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
    }
}

fn queue(depth: f64) -> String {
    format!("# TYPE queue_depth gauge\nqueue_depth {depth}\n")
}

/// The value of a trigger's metric `name`.
pub(crate) async fn value(
    client: &ExternalScalerClient<Channel>,
    object: ScaledObjectRef,
    name: &str,
) -> Result<f64, Status> {
    let request = GetMetricsRequest {
        scaled_object_ref: Some(object),
        metric_name: name.to_owned(),
    };
    let answer = client.clone().get_metrics(request).await?.into_inner();
    Ok(answer.metric_values[0].metric_value_float)
}

#[tokio::test]
async fn a_trigger_is_specified_measured_and_activated() {
    let exporter = Exporter::start(&queue(0.0)).await;
    let leadline = Leadline::start(&config(&[exporter.job("app")], "")).await;
    let mut client = client(leadline.scaler).await;
    let trigger = || object(&[("query", "sum(queue_depth)"), ("metricName", "Queue_Depth")]);
    let spec = client.get_metric_spec(trigger()).await.unwrap().into_inner();
    assert_eq!(
        (
            spec.metric_specs[0].metric_name.as_str(),
            spec.metric_specs[0].target_size_float
        ),
        ("queue-depth", 10.0)
    );

    let answers = async |wanted: f64| match value(&client, trigger(), "queue-depth").await {
        Ok(value) => (value == wanted).then_some(()),
        Err(status) => {
            assert_eq!(status.code(), Code::Unavailable, "cold is unavailable: {status:?}");
            None
        }
    };
    until("the first value", || leadline.log(), async || answers(0.0).await).await;
    assert!(!client.clone().is_active(trigger()).await.unwrap().into_inner().result);
    let mut stream = client.clone().stream_is_active(trigger()).await.unwrap().into_inner();
    assert!(!stream.message().await.unwrap().unwrap().result, "the state at open");
    exporter.set(&queue(25.5));
    let edge = tokio::time::timeout(Duration::from_secs(20), stream.message())
        .await
        .unwrap();
    assert!(edge.unwrap().unwrap().result, "the edge is pushed");
    until("the new value", || leadline.log(), async || answers(25.5).await).await;
    assert!(client.clone().is_active(trigger()).await.unwrap().into_inner().result);
    assert_eq!(leadline.own("leadline_scaler_streams").await, Some(1.0));
    let edges = leadline.own("leadline_scaler_edges_total").await;
    assert_eq!(edges, Some(2.0), "the state at open, and the change");
    assert!(leadline.own("leadline_scaler_repeats_total").await.is_some());

    let (_, status) = leadline.json("/api/v1/status/triggers", &[]).await;
    let shown = &status["data"][0];
    assert_eq!(
        shown["trigger"],
        json!({
            "query": "sum(queue_depth)", "threshold": 10.0, "activationThreshold": 0.0, "ignoreNullValues": true,
            "metricName": "queue-depth", "namespace": null, "partial": 0.1, "onPartial": "raise",
            "maxAge": null, "onStale": "error", "onWarming": "error",
        })
    );
    assert_eq!(
        (&shown["namespace"], &shown["name"]),
        (&json!("default"), &json!("worker"))
    );
    assert_eq!(
        (&shown["value"], &shown["error"]),
        (&json!(25.5), &json!(null)),
        "{status}"
    );
    assert!(shown["asked"].as_i64() > Some(1_600_000_000_000), "ms: {status}");

    for (metadata, part) in [
        (vec![("query", "sum(")], "query"),
        (vec![], "query"),
        (vec![("query", "up"), ("threshold", "x")], "threshold"),
    ] {
        let refused = client.get_metric_spec(object(&metadata)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        assert!(refused.message().contains(part), "{refused:?}");
    }
}

#[tokio::test]
async fn a_value_that_lacks_a_target_never_falls() {
    let (first, second) = (Exporter::start(&queue(20.0)).await, Exporter::start(&queue(30.0)).await);
    let leadline = Leadline::start(&config(&[first.job("first"), second.job("second")], "")).await;
    let client = client(leadline.scaler).await;
    let ask = async || value(&client, object(&[("query", "sum(queue_depth)")]), "prometheus").await;
    let whole = async |wanted| (ask().await.ok() == Some(wanted)).then_some(());
    until("the whole value", || leadline.log(), async || whole(50.0).await).await;

    second.fail();
    let refused = until(
        "the value to be unavailable",
        || leadline.log(),
        async || match ask().await {
            Ok(value) => {
                assert_eq!(value, 50.0, "half of the sum was answered");
                None
            }
            Err(status) => Some(status),
        },
    )
    .await;
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    // What lacks a target may still raise.
    first.set(&queue(80.0));
    until(
        "the raised value",
        || leadline.log(),
        async || match ask().await {
            Ok(value) => (value == 80.0).then_some(()),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                None
            }
        },
    )
    .await;
    first.set(&queue(20.0));
    second.set(&queue(30.0));
    until("the whole value again", || leadline.log(), async || whole(50.0).await).await;
}

#[tokio::test]
async fn with_a_client_ca_only_its_certificates_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new("ours").unwrap(), Authority::new("theirs").unwrap());
    let server = ours
        .issue("scaler", &[], &["localhost", "127.0.0.1"], Usage::Both)
        .unwrap();
    let (cert, key) = server.write(folder.path(), "server").unwrap();
    let (ca, _) = ours.pair().write(folder.path(), "ca").unwrap();
    let file = folder.path().join("leadline.yaml");
    std::fs::write(&file, "global: {}\n").unwrap();
    let flag = |name: &str, path: &std::path::Path| format!("--scaler.tls-{name}-file={}", path.display());
    let flags = [flag("cert", &cert), flag("private-key", &key), flag("client-ca", &ca)];
    let leadline = Leadline::start_with(folder, file, &flags.each_ref().map(String::as_str)).await;

    let keda = ours.issue("keda", &[], &[], Usage::Client).unwrap();
    let stranger = theirs.issue("keda", &[], &[], Usage::Client).unwrap();
    for (who, identity, served) in [
        ("keda", Some(&keda), true),
        ("nobody", None, false),
        ("a stranger", Some(&stranger), false),
    ] {
        let answered = match grpc::over_tls(leadline.scaler, "localhost", &ours.pair().certificate, identity).await {
            Ok(channel) => specified(channel).await,
            Err(_) => false,
        };
        assert_eq!(answered, served, "{who}:\n{}", leadline.log());
    }
    assert!(!specified(grpc::plain(leadline.scaler).unwrap()).await, "no TLS at all");
    let handshakes = async |result: &str| {
        let series = format!("leadline_tls_handshakes_total{{listener=\"scaler\",result=\"{result}\"}}");
        leadline.own(&series).await
    };
    assert_eq!(handshakes("verified").await, Some(1.0), "keda's");
    until(
        "those that were turned away to be counted",
        || leadline.log(),
        async || handshakes("failed").await.filter(|&failed| failed >= 3.0),
    )
    .await;
    assert_eq!(handshakes("unverified").await, Some(0.0));
}

/// Whether a trigger is specified over this channel.
async fn specified(channel: Channel) -> bool {
    let mut client = ExternalScalerClient::new(channel);
    client.get_metric_spec(object(&[("query", "up")])).await.is_ok()
}
