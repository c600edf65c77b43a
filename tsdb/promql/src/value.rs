//! What a query answers.

use crate::explain::NodeCost;
use crate::stats::QueryStats;
use leadline_model::histogram::FloatHistogram;
use leadline_model::provenance::Provenance;
use leadline_model::{Labels, Timestamp};
use std::sync::Arc;

/// The answer to a query.
#[derive(Debug, Clone)]
pub struct QueryResult {
    /// The value.
    pub value: Value,
    /// What went into a scalar; the values of a vector carry theirs themselves.
    pub provenance: Option<Provenance>,
    /// `PromQL warning: ... (line:column)`: the answer may be wrong.
    pub warnings: Vec<String>,
    /// `PromQL info: ... (line:column)`: the answer may not mean what was intended.
    pub infos: Vec<String>,
    /// What the query cost.
    pub stats: QueryStats,
    /// What each node of the expression cost, if that was asked for.
    pub nodes: Vec<NodeCost>,
}

/// A value of one of PromQL's four types.
#[derive(Debug, Clone)]
pub enum Value {
    /// One number without labels; of instant queries only.
    Scalar(f64),
    /// A text; of instant queries only.
    String(String),
    /// One number or histogram per label set at the evaluation time; of instant queries only.
    Vector(Vec<InstantSample>),
    /// Numbers and histograms over time per label set, sorted by labels: what a range query answers, and an instant query whose
    /// expression is a range selector.
    Matrix(Vec<RangeSeries>),
}

impl Value {
    /// The type's name in Prometheus' API: `scalar`, `string`, `vector` or `matrix`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "scalar",
            Self::String(_) => "string",
            Self::Vector(_) => "vector",
            Self::Matrix(_) => "matrix",
        }
    }
}

/// A number or a distribution.
#[derive(Debug, Clone)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

impl SampleValue {
    /// The number; `None` of a histogram.
    #[must_use]
    pub fn float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Histogram(_) => None,
        }
    }
}

/// One value of an instant vector.
#[derive(Debug, Clone)]
pub struct InstantSample {
    /// The label set; unique within the vector.
    pub labels: Labels,
    /// The number or histogram.
    pub value: SampleValue,
    /// What went into it.
    pub provenance: Provenance,
}

/// One series of a range vector; it has a number or a histogram at least, and at one time never both.
#[derive(Debug, Clone, Default)]
pub struct RangeSeries {
    /// The label set; unique within the matrix.
    pub labels: Labels,
    /// Times (ms, increasing) and numbers.
    pub points: Vec<(Timestamp, f64)>,
    /// Times (ms, increasing) and histograms.
    pub histograms: Vec<(Timestamp, Arc<FloatHistogram>)>,
}
