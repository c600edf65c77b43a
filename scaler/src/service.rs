//! The five calls of the contract.

use crate::evaluate::{is_active, whole};
use crate::generated::externalscaler::external_scaler_server::ExternalScaler;
use crate::generated::externalscaler::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
    ScaledObjectRef,
};
use crate::settings::{Settings, Tenancy};
use crate::state::{Known, TriggerStatus, Triggers};
use crate::stats::{Counters, Method, Stats};
use crate::stream::{Open, activity};
use crate::trigger::Trigger;
use futures::{Stream, StreamExt};
use leadline_model::Clock;
use leadline_model::target::Board;
use leadline_standing::Register;
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};

/// Put into a request's extensions by the listener when the client showed a certificate that it verified.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedPeer;

/// Answers KEDA.
pub struct Scaler {
    triggers: Arc<Triggers>,
    counters: Arc<Counters>,
    stop: CancellationToken,
    /// Ends the streams that were opened under the settings in force; a child of `stop`.
    streams: Mutex<CancellationToken>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Scaler {
    /// A scaler without triggers. `stop` ends its streams well.
    #[must_use]
    pub fn new(
        settings: Settings,
        register: Arc<dyn Register>,
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let triggers = Arc::new(Triggers::new(settings, register, board, clock));
        Arc::new(Self {
            streams: Mutex::new(stop.child_token()),
            triggers,
            counters: Arc::default(),
            stop,
        })
    }

    /// Puts other settings in force. Where they differ, open streams end, because they were admitted and read under the
    /// old ones; KEDA opens them again.
    pub fn apply(&self, settings: Settings) {
        if self.triggers.apply(settings) {
            std::mem::replace(&mut *self.streams.lock(), self.stop.child_token()).cancel();
        }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.read(self.triggers.len())
    }

    /// The triggers that KEDA asked for, sorted by namespace and name.
    #[must_use]
    pub fn triggers(&self) -> Vec<TriggerStatus> {
        self.triggers.status()
    }

    /// With tenancy by namespace, a namespace is believed only to whom the listener verified.
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        if self.triggers.settings().tenancy == Tenancy::Store || request.extensions().get::<VerifiedPeer>().is_some() {
            return Ok(());
        }
        Err(Status::unauthenticated(
            "scaler.tenancy is namespace: a verified client certificate is needed",
        ))
    }

    /// The trigger's specification, from its metadata alone. Its query is registered on the way, so that it is warm when
    /// KEDA asks for values; that the registry is full is no reason to fail here.
    fn specify(&self, object: ScaledObjectRef) -> Result<GetMetricSpecResponse, Status> {
        let trigger = self.triggers.parse(&object)?;
        match self.triggers.find(object) {
            Err(status) if status.code() != Code::ResourceExhausted => Err(status),
            Ok(_) | Err(_) => Ok(spec_of(&trigger)),
        }
    }

    async fn measure(&self, request: GetMetricsRequest) -> Result<GetMetricsResponse, Status> {
        let object = request
            .scaled_object_ref
            .ok_or_else(|| Status::invalid_argument("scaledObjectRef is missing"))?;
        let known = self.triggers.find(object)?;
        check_name(&request.metric_name, &known.trigger.metric_name)?;
        let value = known.value(&self.triggers).await?;
        let metric_name = known.trigger.metric_name.clone();
        let value = MetricValue {
            metric_name,
            metric_value: whole(value),
            metric_value_float: value,
        };
        Ok(GetMetricsResponse {
            metric_values: vec![value],
        })
    }

    async fn activate(&self, object: ScaledObjectRef) -> Result<IsActiveResponse, Status> {
        let known: Arc<Known> = self.triggers.find(object)?;
        let value = known.value(&self.triggers).await?;
        Ok(IsActiveResponse {
            result: is_active(&known.trigger, value),
        })
    }

    /// Gives a call the caller's deadline or ours, whichever is shorter.
    async fn in_time<T>(
        &self,
        metadata: MetadataMap,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<Response<T>, Status> {
        let ours = Duration::from_millis(self.triggers.settings().deadline_ms);
        let theirs = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok());
        let limit = theirs.and_then(caller_deadline).map_or(ours, |theirs| theirs.min(ours));
        match tokio::time::timeout(limit, call).await {
            Ok(outcome) => outcome.map(Response::new),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "the query took longer than {} ms",
                limit.as_millis()
            ))),
        }
    }

    fn open_activity(&self, request: Request<ScaledObjectRef>) -> Result<Answers<IsActiveResponse>, Status> {
        self.admit(&request)?;
        let known = self.triggers.find(request.into_inner())?;
        Ok(Box::pin(activity(
            known,
            Arc::clone(&self.triggers),
            &self.counters,
            self.streams.lock().clone(),
        )))
    }

    /// A specification does not change while its metadata does not: it is sent at once, and the stream stays open.
    fn open_spec(&self, request: Request<ScaledObjectRef>) -> Result<Answers<GetMetricSpecResponse>, Status> {
        self.admit(&request)?;
        let spec = self.specify(request.into_inner())?;
        let open = Open::new(&self.counters);
        let until_stop = self.streams.lock().clone().cancelled_owned();
        let never = futures::stream::pending();
        let answers = futures::stream::iter([Ok(spec)]).chain(never.take_until(until_stop));
        Ok(Box::pin(answers.inspect(move |_| {
            let _held = &open;
        })))
    }
}

#[tonic::async_trait]
impl ExternalScaler for Scaler {
    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let outcome = self.admit(&request).and_then(|()| self.specify(request.into_inner()));
        self.counters.call(Method::GetMetricSpec, outcome.map(Response::new))
    }

    async fn get_metrics(&self, request: Request<GetMetricsRequest>) -> Result<Response<GetMetricsResponse>, Status> {
        let outcome = match self.admit(&request) {
            Ok(()) => {
                let (metadata, _, message) = request.into_parts();
                self.in_time(metadata, self.measure(message)).await
            }
            Err(status) => Err(status),
        };
        self.counters.call(Method::GetMetrics, outcome)
    }

    async fn is_active(&self, request: Request<ScaledObjectRef>) -> Result<Response<IsActiveResponse>, Status> {
        let outcome = match self.admit(&request) {
            Ok(()) => {
                let (metadata, _, message) = request.into_parts();
                self.in_time(metadata, self.activate(message)).await
            }
            Err(status) => Err(status),
        };
        self.counters.call(Method::IsActive, outcome)
    }

    type StreamIsActiveStream = Answers<IsActiveResponse>;

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let outcome = self.open_activity(request).map(Response::new);
        self.counters.call(Method::StreamIsActive, outcome)
    }

    type StreamMetricSpecStream = Answers<GetMetricSpecResponse>;

    async fn stream_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        let outcome = self.open_spec(request).map(Response::new);
        self.counters.call(Method::StreamMetricSpec, outcome)
    }
}

fn spec_of(trigger: &Trigger) -> GetMetricSpecResponse {
    let spec = MetricSpec {
        metric_name: trigger.metric_name.clone(),
        target_size: whole(trigger.threshold),
        target_size_float: trigger.threshold,
    };
    GetMetricSpecResponse {
        metric_specs: vec![spec],
    }
}

/// A trigger has one metric. KEDA compares names without regard to case, and old ones leave the `sN-` prefix on.
fn check_name(asked: &str, name: &str) -> Result<(), Status> {
    let bare = asked.strip_prefix('s').and_then(|rest| {
        let (index, bare) = rest.split_once('-')?;
        (!index.is_empty() && index.bytes().all(|b| b.is_ascii_digit())).then_some(bare)
    });
    let known = asked.is_empty() || asked.eq_ignore_ascii_case(name);
    if known || bare.is_some_and(|bare| bare.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(Status::not_found(format!(
        "the trigger's one metric is {name:?}; {asked:?} was asked for"
    )))
}

/// What the header `grpc-timeout` says: up to eight digits and a unit (gRPC over HTTP/2). What is not that is no deadline.
#[must_use]
pub fn caller_deadline(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    #[cfg(feature = "planted")]
    leadline_model::planted::trap(unit == "n" && digits.len() > 4);
    let n: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(n * 3600)),
        "M" => Some(Duration::from_secs(n * 60)),
        "S" => Some(Duration::from_secs(n)),
        "m" => Some(Duration::from_millis(n)),
        "u" => Some(Duration::from_micros(n)),
        "n" => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_deadline_is_read_as_grpc_writes_it() {
        assert_eq!(caller_deadline("59970m"), Some(Duration::from_millis(59_970)));
        assert_eq!(caller_deadline("1S"), Some(Duration::from_secs(1)));
        assert_eq!(caller_deadline("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for bad in ["", "m", "1", "1x", "-1m", "123456789m", "1.5S"] {
            assert_eq!(caller_deadline(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_metric_is_known_by_its_name_with_or_without_kedas_prefix() {
        for good in ["prometheus", "s0-prometheus", "s12-prometheus", "Prometheus", ""] {
            assert!(check_name(good, "prometheus").is_ok(), "{good:?}");
        }
        for bad in ["other", "sx-prometheus", "s-prometheus", "s0-other"] {
            assert!(check_name(bad, "prometheus").is_err(), "{bad:?}");
        }
    }
}
