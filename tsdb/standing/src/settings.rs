//! What can be set about standing queries.

/// Limits and intervals of the room.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Most expressions that may be registered at one time; pinned ones (the configuration's) count, and are registered beyond
    /// it too.
    pub max_queries: usize,
    /// For how long (ms) samples are kept: what reads further back is refused.
    pub kept_ms: i64,
    /// Milliseconds without a question or subscriber after which an expression is no longer evaluated on commits, and
    /// is forgotten if it is not pinned.
    pub expire_ms: i64,
    /// Shortest time between the starts of two evaluations that commits cause, ms.
    pub min_gap_ms: u64,
    /// Shortest time between the starts of two evaluations, as a multiple of the last one's duration.
    pub cost_factor: u32,
    /// An expression that moves with time is evaluated on each aligned tick for so long (ms) after a question. A later
    /// question evaluates at its own second, so ticks for whoever asks every 15 s would be wasted.
    pub tick_interest_ms: i64,
    /// How long (ms) after a start a target that never answered keeps an expression cold. Then the store tells whether it
    /// fed the expression before, and is missing.
    pub warm_give_up_ms: i64,
    /// How long (ms) the feeders and the last complete value of a row are remembered after it vanished.
    pub remember_ms: i64,
    /// Evaluations that commits and ticks cause run at most so many at a time.
    pub concurrency: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_queries: 10_000,
            kept_ms: i64::MAX,
            expire_ms: 600_000,
            min_gap_ms: 250,
            cost_factor: 10,
            tick_interest_ms: 5_000,
            warm_give_up_ms: 600_000,
            remember_ms: 900_000,
            concurrency: 4,
        }
    }
}
