//! An embeddable Prometheus: configuration, assembly and reload of the rooms.
//!
//! [`Tsdb`] wires discovery → scraping → the store → the engine and hands out the ports the other side of the house
//! codes against. It binds no socket and reads no clock of its own.

mod assemble;
pub mod config;
mod keeper;
mod query_log;
pub mod reload;
mod scrapers;
mod status;

pub use assemble::{BuildError, Parts, Settings, Tsdb};
pub use keeper::StorageState;
pub use leadline_discovery::PodSource;
pub use query_log::{Opened, QueryLogError, QueryLogFile};
pub use status::Status;
