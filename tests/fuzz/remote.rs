//! Targets that others reach over the network: certificates, the cluster's authentication data, gRPC messages and the
//! parameters of the HTTP API.

use super::evaluate::{Answered, api, block_on, posted};
use super::store::Made;
use leadline_adapter::PeerCertificates;
use leadline_adapter::auth::Authenticator;
use leadline_adapter::auth::peer::Subject;
use leadline_adapter::auth::trust::{Authority, Trust};
use leadline_adapter::stats::Stats;
use leadline_cluster::ExtensionAuth;
use leadline_model::clock::ManualClock;
use leadline_scaler::externalscaler::{GetMetricsRequest, ScaledObjectRef};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;

/// When certificates are judged, ms: 2027-01-02T03:04:05Z, when those that are kept are valid.
pub(super) const NOW: i64 = 1_798_859_045_000;
/// The longest time that `grpc-timeout` can name: eight digits of hours.
const LONGEST: Duration = Duration::from_secs(99_999_999 * 3600);

/// A certificate, as DER and as PEM: its subject, and a caller who shows it to an authority that it is itself.
pub(super) fn certificate(bytes: &[u8]) {
    let pem = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| Authority::from_pem(text).ok());
    let subject = Subject::of(&bytes.into());
    let Some(authority) = Authority::from_der(vec![bytes.to_vec().into()]).ok().or(pem) else {
        return;
    };
    let authenticator = Authenticator::new(Arc::new(ManualClock::at(NOW)), None);
    authenticator.set_trust(Trust {
        client_ca: Some(authority),
        request_header: None,
    });
    let peer = PeerCertificates(vec![bytes.to_vec().into()]);
    let (headers, stats) = (http::HeaderMap::new(), Stats::default());
    let asked = block_on(authenticator.authenticate(Some(&peer), &headers, &stats));
    if let Some(Ok(identity)) = asked {
        let named = subject.as_ref().map(|subject| subject.common_name.as_str());
        assert_eq!(named, Ok(identity.user.as_str()), "the user is the subject's name");
        assert!(!identity.user.is_empty(), "nobody is nameless");
    }
}

/// The ConfigMap that says whom to trust: a list a line, and certificates after them.
pub(super) fn trust(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(6, '\n');
    let lists = [
        "username-headers",
        "uid-headers",
        "group-headers",
        "extra-headers-prefix",
        "allowed-names",
    ];
    let mut data: std::collections::BTreeMap<String, String> = lists
        .iter()
        .map(|name| {
            (
                format!("requestheader-{name}"),
                lines.next().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    for key in ["client-ca-file", "requestheader-client-ca-file"] {
        data.insert(key.to_owned(), lines.clone().next().unwrap_or_default().to_owned());
    }
    let Ok(read) = ExtensionAuth::read(&data, None) else {
        return;
    };
    let again = ExtensionAuth::read(&std::collections::BTreeMap::new(), Some(&read));
    assert_eq!(again.as_ref(), Ok(&read), "what is known outlives its keys");
    let Ok(trust) = Trust::from_cluster(&read) else { return };
    let Some(proxy) = trust.request_header else { return };
    assert!(
        proxy.extra_prefixes.iter().all(|prefix| !prefix.is_empty()),
        "no prefix takes every header"
    );
    assert!(
        proxy.username_headers.iter().any(|name| !name.is_empty()),
        "some header names the user"
    );
}

/// What KEDA sends: the first line is `grpc-timeout`, the rest a message. What is read is written and read the same.
pub(super) fn grpc(bytes: &[u8]) {
    let split = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (timeout, message) = bytes.split_at(split);
    if let Some(limit) = std::str::from_utf8(timeout)
        .ok()
        .and_then(leadline_scaler::caller_deadline)
    {
        assert!(limit <= LONGEST, "{limit:?}");
    }
    let message = message.get(1..).unwrap_or_default();
    if let Ok(request) = GetMetricsRequest::decode(message) {
        let again = GetMetricsRequest::decode(request.encode_to_vec().as_slice());
        assert_eq!(again.as_ref(), Ok(&request));
        if let Some(object) = &request.scaled_object_ref {
            trigger_of(object);
        }
    }
    if let Ok(object) = ScaledObjectRef::decode(message) {
        assert_eq!(
            ScaledObjectRef::decode(object.encode_to_vec().as_slice()).as_ref(),
            Ok(&object)
        );
        trigger_of(&object);
    }
}

fn trigger_of(object: &ScaledObjectRef) {
    let settings = leadline_scaler::Settings::default();
    if let Ok(trigger) = leadline_scaler::Trigger::parse(&object.scaler_metadata, &settings) {
        assert!(trigger.query.len() <= settings.max_query_bytes, "{trigger:?}");
    }
}

/// A form to each route of the API that takes parameters: JSON that says success or which parameter is wrong.
#[expect(clippy::panic, reason = "a panic is how a target tells a finding")]
pub(super) fn parameters(bytes: &[u8]) {
    let api = api(Arc::new(Made::one("text", 600_000, 1.0)));
    for path in [
        "/api/v1/query",
        "/api/v1/query_range",
        "/api/v1/query_exemplars",
        "/api/v1/series",
        "/api/v1/labels",
        "/api/v1/format_query",
        "/api/v1/parse_query",
    ] {
        let Some(Answered { status, json }) = block_on(posted(&api, path, bytes)) else {
            return;
        };
        let told = json["status"].as_str().unwrap_or_default();
        match (status, told) {
            (200, "success") => {}
            // An expression without a selector has no exemplars.
            (204, "") if path == "/api/v1/query_exemplars" => {}
            // 422: the engine's refusal, 503: its limits.
            (400 | 422 | 503, "error") => {
                assert!(json["error"].as_str().is_some_and(|e| !e.is_empty()), "{path}: {json}");
            }
            _ => panic!("{path}: {status} {json}"),
        }
    }
}
