//! Latency of the custom metrics API.

use crate::Cli;
use crate::error::BenchError;

/// Measures.
pub async fn measure(_cli: &Cli) -> Result<(), BenchError> {
    Ok(())
}
