//! The engine's limits and defaults.

use crate::syntax::Features;
use leadline_model::duration::Duration;
use serde::{Deserialize, Serialize};

/// Limits and defaults of an engine. Every field may be left out of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How old (ms) the newest sample of a series may be for an instant selector to see it (`query.lookback-delta`).
    pub lookback_ms: i64,
    /// How long a query may wait and run (`query.timeout`).
    pub timeout: Duration,
    /// How many samples one query may hold in memory at once (`query.max-samples`). A series holds one for every
    /// step of a range query, and one for every 16 bytes of its labels beyond 512.
    pub max_samples: usize,
    /// How many queries run at the same time (`query.max-concurrency`); more of them wait for their turn.
    pub max_concurrency: usize,
    /// How many queries may wait for their turn; the next one is refused at once.
    pub max_waiting: usize,
    /// Distance of the steps of a subquery that names none, until
    /// [`Engine::set_subquery_step`](crate::engine::Engine::set_subquery_step) says another.
    pub subquery_step: Duration,
    /// Which experimental parts of the language are on (`enable-feature`).
    pub features: Features,
}

impl Default for Settings {
    /// Prometheus' defaults.
    fn default() -> Self {
        Self {
            lookback_ms: 300_000,
            timeout: Duration::from_secs(120),
            max_samples: 50_000_000,
            max_concurrency: 20,
            max_waiting: 1_000,
            subquery_step: Duration::from_secs(60),
            features: Features::NONE,
        }
    }
}
