//! Settings of the room: data only.

pub mod check;
pub mod rule;
mod written;

pub use check::Problem;
pub use rule::{
    Autoscaling, Labels, MetricRule, OnDuplicate, OnEmpty, OnNegative, OnStale, OnUnusable, OnWarming, Scope,
};
