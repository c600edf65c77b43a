//! The unary calls, through the generated client.

use crate::world::{World, object};
use leadline_model::Matcher;
use leadline_scaler::externalscaler::{GetMetricsRequest, MetricSpec, MetricValue, ScaledObjectRef};
use leadline_scaler::{OnWarming, Settings, Tenancy, VerifiedPeer};
use std::time::Duration;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

fn metrics(object: ScaledObjectRef) -> GetMetricsRequest {
    GetMetricsRequest {
        scaled_object_ref: Some(object),
        metric_name: "prometheus".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_trigger_is_specified_measured_and_active() {
    let world = World::new().await;
    world.answer(&[35.5]);
    let mut client = world.client();
    let spec = client
        .get_metric_spec(object(&[("threshold", "2.5")]))
        .await
        .unwrap()
        .into_inner();
    let expected = MetricSpec {
        metric_name: "prometheus".into(),
        target_size: 3,
        target_size_float: 2.5,
    };
    assert_eq!(spec.metric_specs, [expected]);
    let value = client.get_metrics(metrics(object(&[]))).await.unwrap().into_inner();
    let expected = MetricValue {
        metric_name: "prometheus".into(),
        metric_value: 36,
        metric_value_float: 35.5,
    };
    assert_eq!(value.metric_values, [expected]);
    assert!(client.is_active(object(&[])).await.unwrap().into_inner().result);
    assert!(
        !client
            .is_active(object(&[("activationThreshold", "35.5")]))
            .await
            .unwrap()
            .into_inner()
            .result
    );
}

#[tokio::test(start_paused = true)]
async fn a_specification_needs_no_data_and_no_room_in_the_registry() {
    let world = World::new().await;
    world.cold();
    *world.registry.full.lock().unwrap() = true;
    let mut client = world.client();
    assert!(client.get_metric_spec(object(&[])).await.is_ok());
    assert_eq!(
        client.get_metrics(metrics(object(&[]))).await.unwrap_err().code(),
        Code::ResourceExhausted
    );
}

#[tokio::test(start_paused = true)]
async fn bad_metadata_is_refused_in_every_call_with_the_reason() {
    let world = World::new().await;
    let mut client = world.client();
    for (bad, reason) in [
        (
            object(&[("threshold", "one")]),
            "metadata threshold: \"one\" is not a number such as 10, 0.5 or 1e3",
        ),
        (
            object(&[("query", "bad(")]),
            "metadata query: 1:5: unexpected end of input",
        ),
    ] {
        let statuses = [
            client.get_metric_spec(bad.clone()).await.unwrap_err(),
            client.get_metrics(metrics(bad.clone())).await.unwrap_err(),
            client.is_active(bad.clone()).await.unwrap_err(),
            client.stream_is_active(bad.clone()).await.unwrap_err(),
            client.stream_metric_spec(bad.clone()).await.unwrap_err(),
        ];
        for status in statuses {
            assert_eq!((status.code(), status.message()), (Code::InvalidArgument, reason));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cold_and_partial_values_are_unavailable_and_no_data_is_zero_only_when_complete() {
    let world = World::new().await;
    let mut client = world.client();
    world.cold();
    let cold = client.get_metrics(metrics(object(&[]))).await.unwrap_err();
    assert_eq!(cold.code(), Code::Unavailable);
    assert_eq!(cold.message(), "warming up: 1 of 2 targets …; ready in about 31 s");
    assert_eq!(
        client.is_active(object(&[])).await.unwrap_err().code(),
        Code::Unavailable
    );
    world.partial(5.0, 9.0);
    let partial = client.get_metrics(metrics(object(&[]))).await.unwrap_err();
    assert_eq!(partial.code(), Code::Unavailable);
    assert!(
        partial.message().contains("5 is below the last complete value 9"),
        "{partial}"
    );
    assert!(
        client
            .get_metrics(metrics(object(&[("onPartial", "serve")])))
            .await
            .is_ok()
    );
    world.partial(12.0, 9.0);
    assert!(client.get_metrics(metrics(object(&[]))).await.is_ok());
    world.answer(&[]);
    let empty = client.get_metrics(metrics(object(&[]))).await.unwrap().into_inner();
    assert_eq!(empty.metric_values[0].metric_value_float, 0.0);
    let strict = client
        .get_metrics(metrics(object(&[("ignoreNullValues", "false")])))
        .await
        .unwrap_err();
    assert_eq!(strict.code(), Code::FailedPrecondition);
    let calls = world.scaler.stats().calls[1];
    assert_eq!((calls.total, calls.unavailable, calls.invalid), (6, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_warming_value_is_unavailable_unless_trigger_or_settings_say_serve() {
    let world = World::new().await;
    let mut client = world.client();
    world.warming(5.0);
    let refused = client.get_metrics(metrics(object(&[]))).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (
            Code::Unavailable,
            "warming up: observed for 20s of the 1m that is read; ready in about 41 s"
        )
    );
    let refused = client.is_active(object(&[])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let serve = object(&[("onWarming", "serve")]);
    let served = client.get_metrics(metrics(serve)).await.unwrap().into_inner();
    assert_eq!(served.metric_values[0].metric_value_float, 5.0);
    world.scaler.apply(Settings {
        on_warming: OnWarming::Serve,
        ..Settings::default()
    });
    assert!(client.get_metrics(metrics(object(&[]))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_slow_query_is_given_up_after_a_second_or_the_callers_deadline() {
    let world = World::new().await;
    *world.registry.delay.lock().unwrap() = Duration::from_secs(5);
    let mut client = world.client();
    let status = client.get_metrics(metrics(object(&[]))).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::DeadlineExceeded, "the query took longer than 1000 ms")
    );
    let mut request = Request::new(metrics(object(&[])));
    request.set_timeout(Duration::from_millis(300));
    let status = client.get_metrics(request).await.unwrap_err();
    assert_eq!(status.message(), "the query took longer than 300 ms");
    assert_eq!(world.scaler.stats().calls[1].late, 2);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_is_registered_once_by_object_and_metadata_and_forgotten_when_nobody_asks() {
    let world = World::new().await;
    let mut client = world.client();
    for _ in 0..3 {
        client.get_metric_spec(object(&[])).await.unwrap();
        client.get_metrics(metrics(object(&[]))).await.unwrap();
    }
    assert_eq!(world.registry.requests.lock().unwrap().len(), 1);
    client.is_active(object(&[("partial", "0.5")])).await.unwrap();
    client
        .is_active(ScaledObjectRef {
            name: "other".into(),
            ..object(&[])
        })
        .await
        .unwrap();
    let partial: Vec<f64> = world
        .registry
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|r| r.partial)
        .collect();
    assert_eq!(partial, [0.1, 0.5, 0.1]);
    let triggers = world.scaler.triggers();
    assert_eq!(
        triggers.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(),
        ["other", "worker", "worker"]
    );
    assert_eq!(triggers[0].last, Some(Ok(35.0)));
    world.clock.advance(700_000);
    client.is_active(object(&[])).await.unwrap();
    assert_eq!(world.scaler.stats().triggers, 1);
}

#[tokio::test(start_paused = true)]
async fn triggers_are_capped() {
    let world = World::with(Settings {
        max_triggers: 1,
        ..Settings::default()
    })
    .await;
    let mut client = world.client();
    client.is_active(object(&[])).await.unwrap();
    let status = client.is_active(object(&[("query", "other")])).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(client.is_active(object(&[])).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn with_tenancy_by_namespace_the_claim_needs_a_verified_peer_and_is_injected() {
    let world = World::with(Settings {
        tenancy: Tenancy::Namespace,
        ..Settings::default()
    })
    .await;
    let mut client = world.client();
    assert_eq!(
        client.is_active(object(&[])).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(
        client.get_metric_spec(object(&[])).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(
        client.stream_is_active(object(&[])).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let mut request = Request::new(object(&[]));
    request.extensions_mut().insert(VerifiedPeer);
    client.is_active(request).await.unwrap();
    let mut request = Request::new(object(&[("namespace", "elsewhere")]));
    request.extensions_mut().insert(VerifiedPeer);
    client.is_active(request).await.unwrap();
    let injected: Vec<_> = world
        .registry
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|r| r.inject.clone())
        .collect();
    let (own, other) = (
        Matcher::equal("namespace", "kdemo"),
        Matcher::equal("namespace", "elsewhere"),
    );
    assert_eq!(injected, [vec![own.clone()], vec![own, other]]);
}

#[tokio::test(start_paused = true)]
async fn a_metric_that_the_trigger_does_not_have_is_not_found() {
    let world = World::new().await;
    let request = GetMetricsRequest {
        scaled_object_ref: Some(object(&[])),
        metric_name: "other".into(),
    };
    assert_eq!(
        world.client().get_metrics(request).await.unwrap_err().code(),
        Code::NotFound
    );
    let request = GetMetricsRequest {
        scaled_object_ref: None,
        metric_name: "prometheus".into(),
    };
    assert_eq!(
        world.client().get_metrics(request).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test(start_paused = true)]
async fn health_and_reflection_are_served_beside() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_client::ServerReflectionClient};
    let world = World::new().await;
    let request = HealthCheckRequest {
        service: "externalscaler.ExternalScaler".into(),
    };
    let health = HealthClient::new(world.routes.clone()).check(request).await.unwrap();
    assert_eq!(health.into_inner().status, 1, "serving");
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request,
    };
    let mut client = ServerReflectionClient::new(world.routes.clone());
    let answers = client
        .server_reflection_info(futures::stream::iter([request]))
        .await
        .unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    assert!(
        list.service
            .iter()
            .any(|service| service.name == "externalscaler.ExternalScaler"),
        "{list:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn health_ends_when_serving_does() {
    let world = World::new().await;
    let check = |service: &'static str| {
        let mut client = HealthClient::new(world.routes.clone());
        async move {
            let request = HealthCheckRequest {
                service: service.to_owned(),
            };
            client.check(request).await.unwrap().into_inner().status()
        }
    };
    for service in ["", "externalscaler.ExternalScaler"] {
        assert_eq!(check(service).await, ServingStatus::Serving, "{service:?}");
    }
    leadline_scaler::stop_serving(&world.health).await;
    for service in ["", "externalscaler.ExternalScaler"] {
        assert_eq!(check(service).await, ServingStatus::NotServing, "{service:?}");
    }
}
