//! A scaler behind its own routes, called by the generated client without a socket, and queries that tests answer.

use leadline_model::clock::ManualClock;
use leadline_model::port::{Generation, Plan, PrepareError, Shape};
use leadline_model::provenance::Provenance;
use leadline_model::target::{Board, OwnerId};
use leadline_model::{Clock, Labels};
use leadline_scaler::externalscaler::ScaledObjectRef;
use leadline_scaler::externalscaler::external_scaler_client::ExternalScalerClient;
use leadline_scaler::{HealthReporter, Scaler, Settings};
use leadline_standing::{Completeness, Query, Register, RegisterError, Request, Row, Snapshot, Warming, Warmth};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// Hands out queries whose snapshots the test sets.
pub(crate) struct Registry {
    newest: watch::Sender<Option<Arc<Snapshot>>>,
    pub(crate) requests: Mutex<Vec<Request>>,
    pub(crate) full: Mutex<bool>,
    /// How long a question takes.
    pub(crate) delay: Mutex<Duration>,
}

struct Asked {
    plan: Arc<Plan>,
    newest: watch::Sender<Option<Arc<Snapshot>>>,
    delay: Duration,
}

#[async_trait::async_trait]
impl Query for Asked {
    fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    async fn snapshot(&self) -> Arc<Snapshot> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        self.newest.borrow().clone().unwrap()
    }

    fn subscribe(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.newest.subscribe()
    }
}

/// The door of the room as the scaler is given it.
pub(crate) struct Door(Arc<Registry>);

impl Register for Door {
    fn register(&self, request: Request) -> Result<Arc<dyn Query>, RegisterError> {
        if request.text == "bad(" {
            let error = PrepareError {
                line: 1,
                column: 5,
                message: "unexpected end of input".into(),
            };
            return Err(error.into());
        }
        if *self.0.full.lock().unwrap() {
            return Err(RegisterError::Full(7));
        }
        let plan = Plan {
            text: request.text.clone(),
            shape: Shape::Vector,
            selectors: Vec::new(),
            moves_with_time: false,
            engine: Arc::new(()),
        };
        self.0.requests.lock().unwrap().push(request);
        let delay = *self.0.delay.lock().unwrap();
        Ok(Arc::new(Asked {
            plan: Arc::new(plan),
            newest: self.0.newest.clone(),
            delay,
        }))
    }
}

pub(crate) struct World {
    pub(crate) registry: Arc<Registry>,
    pub(crate) scaler: Arc<Scaler>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) stop: CancellationToken,
    pub(crate) routes: Routes,
    pub(crate) health: HealthReporter,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let registry = Arc::new(Registry {
            newest: watch::Sender::new(None),
            requests: Mutex::default(),
            full: Mutex::default(),
            delay: Mutex::default(),
        });
        let clock = Arc::new(ManualClock::at(1_000_000));
        let stop = CancellationToken::new();
        let door = Arc::new(Door(registry.clone()));
        let scaler = Scaler::new(
            settings,
            door,
            Board::new(),
            clock.clone() as Arc<dyn Clock>,
            stop.clone(),
        );
        let (routes, health) = leadline_scaler::routes(&scaler).await.unwrap();
        let world = Self {
            registry,
            scaler,
            clock,
            stop,
            routes,
            health,
        };
        world.answer(&[35.0]);
        world
    }

    pub(crate) fn client(&self) -> ExternalScalerClient<Routes> {
        ExternalScalerClient::new(self.routes.clone())
    }

    /// Sets the rows of a warm and complete snapshot.
    pub(crate) fn answer(&self, values: &[f64]) {
        let rows = values.iter().map(|&value| Row {
            labels: Labels::empty(),
            value,
            provenance: Provenance::none(),
            completeness: Completeness::default(),
            warming: None,
            last_complete: Some(value),
        });
        self.publish(Warmth::Warm, rows.collect(), Completeness::default());
    }

    pub(crate) fn cold(&self) {
        let warmth = Warmth::Cold {
            reason: "warming up: 1 of 2 targets …".into(),
            until: Some(1_030_000),
            example: None,
        };
        self.publish(warmth, Vec::new(), Completeness::default());
    }

    /// The value's targets are observed for 20 s of a minute.
    pub(crate) fn warming(&self, value: f64) {
        let warming = Warming {
            since: 980_000,
            need_ms: 60_000,
        };
        let row = Row {
            labels: Labels::empty(),
            value,
            provenance: Provenance::none(),
            completeness: Completeness::default(),
            warming: Some(warming),
            last_complete: None,
        };
        self.publish(Warmth::Warm, vec![row], Completeness::default());
    }

    /// One of the two targets is down.
    pub(crate) fn partial(&self, value: f64, last_complete: f64) {
        let completeness = Completeness {
            feeders: 2,
            down: vec![OwnerId(1)],
        };
        let row = Row {
            labels: Labels::empty(),
            value,
            provenance: Provenance::none(),
            completeness: completeness.clone(),
            warming: None,
            last_complete: Some(last_complete),
        };
        self.publish(Warmth::Warm, vec![row], completeness);
    }

    fn publish(&self, warmth: Warmth, rows: Vec<Row>, completeness: Completeness) {
        let snapshot = Snapshot::new(Generation(1), 0, warmth, Ok(rows), completeness, &[]);
        self.registry.newest.send_replace(Some(Arc::new(snapshot)));
    }
}

/// worker in kdemo, with threshold 10 and query `q`, and these keys.
pub(crate) fn object(pairs: &[(&str, &str)]) -> ScaledObjectRef {
    let mut scaler_metadata: HashMap<String, String> = [("query", "q"), ("threshold", "10")]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    scaler_metadata.extend(pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())));
    ScaledObjectRef {
        name: "worker".into(),
        namespace: "kdemo".into(),
        scaler_metadata,
    }
}
