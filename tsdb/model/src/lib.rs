//! The vocabulary of leadline and the ports between its rooms. No IO happens here.
//!
//! Every other crate of the workspace depends on this one and, below the façade, on little else: the rooms know each
//! other only through the four ports in [`port`] ([`port::Appender`], [`port::Queryable`], [`port::Commits`],
//! [`port::Evaluate`]) and through the [`target::Board`], where the scraper writes and everybody reads which targets
//! exist and how they fare.

pub mod clock;
pub mod discovery;
pub mod duration;
pub mod elementary;
pub mod entropy;
pub mod exemplar;
pub mod histogram;
pub mod kahan;
pub mod labels;
pub mod matcher;
pub mod metadata;
pub mod nearest;
pub mod number;
#[cfg(feature = "planted")]
pub mod planted;
pub mod port;
pub mod provenance;
pub mod quote;
pub mod regex;
pub mod relabel;
pub mod sample;
pub mod target;

pub use clock::Clock;
pub use entropy::Entropy;
pub use labels::{Labels, LabelsBuilder};
pub use matcher::{MatchOp, Matcher};
pub use sample::{STALE_NAN, Sample, Timestamp, is_stale};
