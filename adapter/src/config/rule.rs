//! `autoscaling.metrics`: which metrics the Kubernetes APIs serve.
//!
//! ```yaml
//! autoscaling:
//!   metrics:
//!     - name: http_requests_per_second
//!       describes: pods
//!       query: sum by (namespace, pod) (rate(http_requests_total[1m]))
//!     - name: queue_depth
//!       describes: external
//!       query: sum by (namespace, queue) (queue_depth)
//! ```

use super::written::Unusable;
use leadline_model::duration::Duration;
use leadline_standing::OnPartial;
use serde::Deserialize;
use serde_saphyr::Spanned;

/// The section `autoscaling`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Autoscaling {
    /// The metrics; a bad one disables itself alone.
    pub metrics: Vec<MetricRule>,
}

/// One metric. It is read from a mapping whose keys are the fields in camelCase; a value that cannot be used stays behind as a
/// problem of this rule, with the default in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricRule {
    /// As an HPA names it.
    pub name: Spanned<String>,
    /// `pods`, `services`, `ingresses.networking.k8s.io`, `namespaces`, `nodes`, any other `resource.group`, or
    /// `external`.
    pub describes: Spanned<String>,
    /// PromQL. Its result's labels name the object, see [`Labels`].
    pub query: Spanned<String>,
    /// Which result labels name the object.
    pub labels: Labels,
    /// What is answered as `windowSeconds`; default: the longest range that the query reads, absent when there is none.
    pub window: Option<Duration>,
    /// The age, by the stalest series that went into a value, beyond which the value is stale. Default: three scrape
    /// intervals of the slowest target that feeds it, or, where no target wrote what it reads since the start, of the slowest
    /// of all (five minutes at most); beyond what the query reads back.
    pub max_age: Option<Duration>,
    /// `namespace` (default): a result counts for a request only where its namespace label equals the URL's.
    /// `cluster`: it counts for every namespace; for external metrics that have none.
    pub scope: Scope,
    /// The share of targets, 0 to 1, that may be down before a value counts as partial (default 0.1).
    pub partial: Spanned<f64>,
    /// What to do with a partial value: `raise` (default: answer it where it is not below the last complete one),
    /// `error` or `serve`. Of pods/*, single pods are left out instead.
    pub on_partial: OnPartial,
    /// NaN: `omit` (default), `error` or `zero`.
    pub on_nan: OnUnusable,
    /// Infinities: `omit` (default), `error` or `zero`.
    pub on_inf: OnUnusable,
    /// Below zero: `error` (default), `clamp` (to zero) or `serve`. The HPA takes a negative external value with an
    /// average target for an overflow and scales to the maximum.
    pub on_negative: OnNegative,
    /// Several results for one object: `error` (default for objects), `sum`, `max`, `min` or `avg`. An external metric
    /// may have several values, which the HPA sums (default); with this set it has one.
    pub on_duplicate: Option<OnDuplicate>,
    /// Values older than `maxAge`: `omit` (default for pods), `error` (default for all else) or `serve`.
    pub on_stale: Option<OnStale>,
    /// Values that no target feeds which was observed for the query's whole window: `omit` (default for pods), `error`
    /// (default for all else; of an external metric's several results, where all of them are), or `serve`.
    pub on_warming: Option<OnWarming>,
    /// No result at all: `error` (default: 404 with the reason) or `zero` (objects and externals only, and only while
    /// the metric is warm and its targets are up: an HPA may turn a workload off on a zero).
    pub on_empty: OnEmpty,
    /// Keys whose values are of no use, in the order of the fields above.
    pub(super) unusable: Vec<Unusable>,
}

impl MetricRule {
    /// The share of targets that may be down by default.
    pub(super) const PARTIAL: f64 = 0.1;
}

/// Which result labels name the object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// Default: the singular of the resource, as `pod`, `ingress`, `node`.
    pub name: Option<Spanned<String>>,
    /// Default: `namespace`.
    pub namespace: Option<Spanned<String>>,
}

/// For whom a result counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// For requests of the namespace that the result's label names.
    #[default]
    Namespace,
    /// For every request.
    Cluster,
}

/// What to do with a value that is no number to scale on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnusable {
    /// Leave it out.
    #[default]
    Omit,
    /// Answer an error.
    Error,
    /// Answer zero.
    Zero,
}

/// What to do with a negative value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNegative {
    /// Answer an error.
    #[default]
    Error,
    /// Answer zero.
    Clamp,
    /// Answer it.
    Serve,
}

/// What to do with several results for one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDuplicate {
    /// Answer an error.
    Error,
    /// Add them.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their mean.
    Avg,
}

/// What to do with a stale value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStale {
    /// Leave it out.
    Omit,
    /// Answer an error.
    Error,
    /// Answer it.
    Serve,
}

/// What to do with a value whose targets are younger than the window that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnWarming {
    /// Leave it out.
    Omit,
    /// Answer an error.
    Error,
    /// Answer it, too low as it may be.
    Serve,
}

/// What to do when there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnEmpty {
    /// Answer an error.
    #[default]
    Error,
    /// Answer zero.
    Zero,
}
