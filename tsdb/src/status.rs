//! What can be seen of the rooms together.

use leadline_discovery::DiscoveryReport;
use leadline_scrape::Dropped;
use leadline_storage::db::Stats;

/// The state of the rooms at one moment.
#[derive(Debug, Clone)]
pub struct Status {
    /// Whether every discovery of the configuration has told its first full list.
    pub synced: bool,
    /// How every discovery goes.
    pub discoveries: Vec<DiscoveryReport>,
    /// Targets that relabelling dropped, by job.
    pub dropped: Vec<Dropped>,
    /// Figures of the store.
    pub storage: Stats,
}
