//! KEDA external scaler: triggers that KEDA's own prometheus trigger would send to a Prometheus are answered from
//! standing queries, and their activity is pushed.
//!
//! The contract is `proto/externalscaler.proto`; [`routes`] puts it together with health and reflection, for a listener
//! that this room does not open.

mod error;
mod evaluate;
mod generated;
mod service;
mod settings;
mod state;
mod stats;
mod stream;
mod trigger;

pub use error::{TriggerError, Unanswerable};
pub use evaluate::{is_active, value_of};
pub use generated::{FILE_DESCRIPTOR_SET, externalscaler};
pub use service::{Scaler, VerifiedPeer, caller_deadline};
pub use settings::{SettingError, Settings, Tenancy};
pub use state::TriggerStatus;
pub use stats::{Calls, Method, Stats};
pub use tonic_health::server::HealthReporter;
pub use trigger::{OnStale, OnWarming, Trigger, ignored};

use externalscaler::external_scaler_server::ExternalScalerServer;
use std::sync::Arc;
use std::time::Duration;
use tonic::service::Routes;
use tonic_health::ServingStatus;

/// Most streams on one connection of the listener. KEDA keeps two open per external-push trigger and sends everything
/// over one connection; where the limit is reached its calls wait without a deadline.
pub const MAX_CONCURRENT_STREAMS: u32 = 65_536;

/// How often the listener pings a connection, so that those of a lost node end.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How long the listener waits for the answer.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest message (bytes) that is decoded: the most metadata that [`Settings`] may allow, and what frames it.
const MAX_MESSAGE_BYTES: usize = settings::MOST_METADATA_BYTES * 2 + 4096;

/// The services: the scaler, `grpc.health.v1` (serving from now on; tell the reporter when that ends) and reflection
/// (v1 and v1alpha).
///
/// # Errors
/// When the committed descriptor cannot be read, which a test excludes.
pub async fn routes(scaler: &Arc<Scaler>) -> Result<(Routes, HealthReporter), tonic_reflection::server::Error> {
    let service = ExternalScalerServer::from_arc(Arc::clone(scaler)).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<ExternalScalerServer<Scaler>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::new(service)
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .prepare();
    Ok((routes, reporter))
}

/// Tells whoever checks or watches health that the scaler no longer serves; to be called before its connections are asked
/// to end.
pub async fn stop_serving(reporter: &HealthReporter) {
    reporter.set_not_serving::<ExternalScalerServer<Scaler>>().await;
    // The name that stands for the whole process, which probes ask for.
    reporter.set_service_status("", ServingStatus::NotServing).await;
}
