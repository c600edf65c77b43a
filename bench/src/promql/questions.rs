//! What is asked: from what an HPA asks to what dashboards ask.

use super::series::pod;
use crate::client::escaped;

/// A query with its times.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// As the table names it; where it is shorter than the query, pods are left out.
    pub(super) name: String,
    /// PromQL.
    query: String,
    /// How long (s) before the newest sample a range query begins, and its step (s); an instant query has none.
    range: Option<(i64, i64)>,
    /// See [`Self::is_small`].
    small: bool,
    /// See [`Self::bound`].
    bound: f64,
}

/// The most of Prometheus' p50 and p99 that a question may take.
const BOUND: f64 = 0.1;
/// The same of the smallest, which are transport for the larger part.
const SMALLEST_BOUND: f64 = 0.25;

/// Queries, with PODS50, PODS10 and POD1 for matchers on so many pods, and their ranges.
const QUERIES: &[(&str, Option<(i64, i64)>)] = &[
    // HPA-like: sums by pod or of all, over one application.
    ("sum(rate(http_requests_total{PODS50}[2m])) by (pod)", None),
    ("sum(rate(http_requests_total[2m])) by (namespace)", None),
    (
        "histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket[5m])) by (le))",
        None,
    ),
    ("sum(rate(http_requests_total{POD1}[2m])) by (pod)", None),
    ("rate(http_requests_total{POD1}[2m])", None),
    ("http_requests_total{POD1}", None),
    ("sum(rate(http_requests_total{PODS10}[1m])) by (pod)", None),
    ("sum(rate(http_requests_total{namespace=\"team-01\"}[2m]))", None),
    ("sum(rate(http_requests_total[2m]))", None),
    ("sum(rate(http_requests_total{PODS50,code=\"500\"}[2m])) by (pod)", None),
    ("sum by (pod) (http_requests_total{PODS50})", None),
    ("avg(app_gauge_00) by (pod)", None),
    ("max by (namespace) (app_gauge_01{device=~\"dev-[0-4]\"})", None),
    ("sum(app_gauge_02{namespace=\"team-01\"})", None),
    (
        "histogram_quantile(0.95, sum(rate(http_request_duration_seconds_bucket{POD1}[2m])) by (le))",
        None,
    ),
    (
        "histogram_quantile(0.9, sum(rate(http_request_duration_seconds_bucket{namespace=\"team-01\"}[5m])) by (le, path))",
        None,
    ),
    (
        "sum(rate(http_requests_total{code=\"500\"}[5m])) by (pod) / sum(rate(http_requests_total[5m])) by (pod)",
        None,
    ),
    ("avg_over_time(app_gauge_03{namespace=\"team-01\"}[10m])", None),
    ("max(max_over_time(app_gauge_04[5m])) by (pod)", None),
    ("topk(5, sum(rate(http_requests_total[2m])) by (pod))", None),
    ("count(http_requests_total) by (namespace)", None),
    (
        "sum(increase(http_requests_total{path=~\"/api/v1/resource/1.*\"}[5m])) by (path)",
        None,
    ),
    ("irate(http_requests_total{POD1}[1m])", None),
    ("sum(app_gauge_05 > 50) by (namespace)", None),
    ("quantile(0.9, app_gauge_06) by (namespace)", None),
    ("count(app_gauge_07 unless app_gauge_08 > 90)", None),
    ("sum(app_gauge_09 * on (pod, device) group_left app_gauge_10)", None),
    (
        "label_replace(sum(http_requests_total) by (pod), \"n\", \"$1\", \"pod\", \".*-(.*)\")",
        None,
    ),
    ("app_gauge_11 offset 30m", None),
    ("vector(1)", None),
    // Dashboard-like: an hour or half of one.
    ("sum(rate(http_requests_total{PODS50}[2m])) by (pod)", Some((1_800, 30))),
    ("sum(rate(http_requests_total[2m])) by (namespace)", Some((1_800, 60))),
    (
        "histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket{namespace=\"team-01\"}[5m])) by (le))",
        Some((3_600, 30)),
    ),
    ("rate(http_requests_total{POD1}[2m])", Some((3_600, 15))),
    ("app_gauge_12", Some((3_600, 60))),
    ("avg(app_gauge_13) by (namespace)", Some((3_600, 15))),
    (
        "max_over_time(app_gauge_14{namespace=\"team-01\"}[10m])",
        Some((3_600, 30)),
    ),
    (
        "topk(5, sum(rate(http_requests_total{namespace=\"team-01\"}[5m])) by (path))",
        Some((3_600, 60)),
    ),
    (
        "sum(rate(http_requests_total{code=\"500\"}[5m])) by (namespace) / sum(rate(http_requests_total[5m])) by (namespace)",
        Some((1_800, 60)),
    ),
    ("sum(increase(http_requests_total{POD1}[1h]))", Some((3_600, 300))),
];

/// Every question.
pub(super) fn all() -> Vec<Question> {
    let pods = |n: usize| format!("pod=~\"{}\"", (0..n).map(pod).collect::<Vec<_>>().join("|"));
    let one = format!("pod=\"{}\"", pod(1));
    let question = |&(text, range): &(&str, Option<(i64, i64)>)| {
        let query = text.replace("PODS50", &pods(50)).replace("PODS10", &pods(10));
        let named = text.replace("PODS50", "50 pods").replace("PODS10", "10 pods");
        let over = range.map_or(String::new(), |(back, step)| {
            format!(" over {} min / {step} s", back / 60)
        });
        Question {
            name: named.replace("POD1", "1 pod") + &over,
            query: query.replace("POD1", &one),
            range,
            small: range.is_none() && (text == "vector(1)" || ["POD1}", "app_gauge_"].iter().any(|s| text.contains(s))),
            bound: if range.is_none() && is_smallest(text) {
                SMALLEST_BOUND
            } else {
                BOUND
            },
        }
    };
    QUERIES.iter().map(question).collect()
}

/// Whether a query reads 200 series or fewer: those of one pod, gauges of one namespace, or none.
fn is_smallest(text: &str) -> bool {
    let gauges = text.contains("app_gauge_") && text.contains("namespace=");
    text == "vector(1)" || text.contains("POD1}") || gauges
}

impl Question {
    /// The most of Prometheus' p50 and p99 that it may take. It goes by what is read, not by how long Prometheus takes on the day.
    pub(super) fn bound(&self) -> f64 {
        self.bound
    }

    /// Whether it is about one time, as an HPA asks; else about a range, as dashboards do.
    pub(super) fn is_instant(&self) -> bool {
        self.range.is_none()
    }

    /// Whether it reads so few series at one time (of one pod, or gauges, of which a pod has ten of a name) that it takes less
    /// than 2 ms or so.
    pub(super) fn is_small(&self) -> bool {
        self.small
    }

    /// The request's path, with `now` (s) as the newest time.
    pub(super) fn path(&self, now: i64) -> String {
        let query = escaped(&self.query);
        // VictoriaMetrics keeps answers to ranges otherwise.
        match self.range {
            None => format!("/api/v1/query?query={query}&time={now}"),
            Some((back, step)) => format!(
                "/api/v1/query_range?query={query}&start={}&end={now}&step={step}&nocache=1",
                now - back
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_are_instant_queries_of_one_pod_of_gauges_or_of_none() {
        let all = all();
        let named = |name: &str| all.iter().find(|q| q.name == name).unwrap().is_small();
        for name in [
            "vector(1)",
            "rate(http_requests_total{1 pod}[2m])",
            "app_gauge_11 offset 30m",
        ] {
            assert!(named(name), "{name}");
        }
        for name in [
            "sum(rate(http_requests_total[2m]))",
            "rate(http_requests_total{1 pod}[2m]) over 60 min / 15 s",
            "app_gauge_12 over 60 min / 60 s",
        ] {
            assert!(!named(name), "{name}");
        }
    }

    #[test]
    fn the_wider_bound_is_that_of_instant_queries_of_at_most_200_series() {
        let wide: Vec<String> = all()
            .into_iter()
            .filter(|q| q.bound() > BOUND)
            .map(|q| q.name)
            .collect();
        let expected = [
            "sum(rate(http_requests_total{1 pod}[2m])) by (pod)",
            "rate(http_requests_total{1 pod}[2m])",
            "http_requests_total{1 pod}",
            "sum(app_gauge_02{namespace=\"team-01\"})",
            "histogram_quantile(0.95, sum(rate(http_request_duration_seconds_bucket{1 pod}[2m])) by (le))",
            "avg_over_time(app_gauge_03{namespace=\"team-01\"}[10m])",
            "irate(http_requests_total{1 pod}[1m])",
            "vector(1)",
        ];
        assert_eq!(wide, expected);
    }
}
