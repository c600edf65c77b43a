//! Exemplars: single observations that name what they belong to (a trace, say).

use crate::labels::Labels;
use crate::sample::Timestamp;

/// The most UTF-8 characters that an exemplar's label names and values may have together (OpenMetrics 1.0,
/// "Exemplars").
pub const MAX_LABEL_CHARACTERS: usize = 128;

/// One observation.
#[derive(Debug, Clone)]
pub struct Exemplar {
    /// What it belongs to; `trace_id`, mostly.
    pub labels: Labels,
    /// When it was observed, ms.
    pub t: Timestamp,
    /// What was observed.
    pub v: f64,
}
