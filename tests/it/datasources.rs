//! What Grafana's and Perses' Prometheus data sources send, and what they need to find in the answers. Recorded from their
//! public source: `packages/grafana-prometheus/src` (language_provider.ts, metric_find_query.ts, datasource.ts) and
//! `pkg/promlib/client` of grafana/grafana; `prometheus/src/model/prometheus-client.ts` of perses/plugins.

use crate::world::{Exporter, Leadline, config, until};
use leadline_model::clock::{Clock, SystemClock};
use serde_json::{Value, json};

const PAGE: &str = "# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\n\
    {\"http_requests_total\",code=\"200\",\"service.name\"=\"x\"} 5\nhttp_requests_total{code=\"500\"} 1\n\
    # HELP took_seconds Durations.\n# TYPE took_seconds histogram\ntook_seconds_bucket{le=\"1\"} 3\n\
    took_seconds_bucket{le=\"+Inf\"} 4\ntook_seconds_sum 2.5\ntook_seconds_count 4\n";

/// How a request is sent.
#[derive(Clone, Copy)]
enum Sent {
    Get,
    Form,
}
use Sent::{Form, Get};

/// Who asks and for what; `START` and `END` stand for the range of the dashboard.
struct Call {
    what: &'static str,
    send: Sent,
    path: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    /// JSON pointers into the answer, and what has to stand there; `null` for anything.
    expected: &'static [(&'static str, &'static str)],
}

const RANGE: [(&str, &str); 2] = [("start", "START"), ("end", "END")];

const GRAFANA: &[Call] = &[
    Call {
        what: "which flavour and version (discovery of features)",
        send: Get,
        path: "/api/v1/status/buildinfo",
        parameters: &[],
        expected: &[("/data/version", "\"3.16.0\"")],
    },
    Call {
        what: "Save & test (backend health check)",
        send: Form,
        path: "/api/v1/query",
        parameters: &[("query", "1+1"), ("time", "END")],
        expected: &[("/data/resultType", "\"scalar\""), ("/data/result/1", "\"2\"")],
    },
    Call {
        what: "metric names for completion (language provider start)",
        send: Get,
        path: "/api/v1/label/__name__/values",
        parameters: &RANGE,
        expected: &[("/data/0", "\"http_requests_total\"")],
    },
    Call {
        what: "kinds and help of metrics",
        send: Get,
        path: "/api/v1/metadata",
        parameters: &[],
        expected: &[
            (
                "/data/http_requests_total",
                "[{\"type\":\"counter\",\"unit\":\"\",\"help\":\"Requests.\"}]",
            ),
            (
                "/data/took_seconds",
                "[{\"type\":\"histogram\",\"unit\":\"\",\"help\":\"Durations.\"}]",
            ),
        ],
    },
    Call {
        what: "label names",
        send: Form,
        path: "/api/v1/labels",
        parameters: &RANGE,
        expected: &[("/data/0", "\"__name__\"")],
    },
    Call {
        what: "label names of a metric",
        send: Form,
        path: "/api/v1/labels",
        parameters: &[RANGE[0], RANGE[1], ("match[]", "{__name__=\"took_seconds_bucket\"}")],
        expected: &[("/data/3", "\"le\"")],
    },
    Call {
        what: "values of a label with a selector (query builder)",
        send: Get,
        path: "/api/v1/label/code/values",
        parameters: &[
            RANGE[0],
            RANGE[1],
            ("match[]", "{__name__=\"http_requests_total\", job=\"app\"}"),
        ],
        expected: &[("/data", "[\"200\",\"500\"]")],
    },
    Call {
        what: "values of a label whose name is escaped (escapeForUtf8Support)",
        send: Get,
        path: "/api/v1/label/U__service_2e_name/values",
        parameters: &RANGE,
        expected: &[("/data", "[\"x\"]")],
    },
    Call {
        what: "label_values(metric, label) of a variable",
        send: Get,
        path: "/api/v1/label/le/values",
        parameters: &[RANGE[0], RANGE[1], ("match[]", "took_seconds_bucket")],
        expected: &[("/data", "[\"+Inf\",\"1.0\"]")],
    },
    Call {
        what: "series of a selector (metrics browser, with its limit)",
        send: Form,
        path: "/api/v1/series",
        parameters: &[
            RANGE[0],
            RANGE[1],
            ("match[]", "http_requests_total"),
            ("limit", "40000"),
        ],
        expected: &[
            ("/data/0/__name__", "\"http_requests_total\""),
            ("/data/1/job", "\"app\""),
        ],
    },
    Call {
        what: "query_result(query) of a variable",
        send: Get,
        path: "/api/v1/query",
        parameters: &[("query", "sum by (code) (http_requests_total)"), ("time", "END")],
        expected: &[("/data/resultType", "\"vector\""), ("/data/result/1/value/1", "null")],
    },
    Call {
        what: "a panel over time (backend QueryRange: seconds without trailing zeros)",
        send: Form,
        path: "/api/v1/query_range",
        parameters: &[
            ("query", "sum by (code) (http_requests_total)"),
            RANGE[0],
            RANGE[1],
            ("step", "0.5"),
        ],
        expected: &[
            ("/data/resultType", "\"matrix\""),
            ("/data/result/0/metric/code", "\"200\""),
            ("/data/result/0/values/0/1", "\"5\""),
        ],
    },
    Call {
        what: "a table (backend QueryInstant)",
        send: Form,
        path: "/api/v1/query",
        parameters: &[
            ("query", "histogram_quantile(0.5, sum by (le) (took_seconds_bucket))"),
            ("time", "END"),
        ],
        expected: &[("/data/result/0/value/1", "\"0.6666666666666666\"")],
    },
    Call {
        what: "exemplars of a panel",
        send: Form,
        path: "/api/v1/query_exemplars",
        parameters: &[("query", "rate(took_seconds_bucket[1m])"), RANGE[0], RANGE[1]],
        expected: &[("/data", "[]")],
    },
];

const PERSES: &[Call] = &[
    Call {
        what: "instantQuery",
        send: Form,
        path: "/api/v1/query",
        parameters: &[("query", "http_requests_total{code=\"500\"}"), ("time", "END")],
        expected: &[("/status", "\"success\""), ("/data/result/0/value/1", "\"1\"")],
    },
    Call {
        what: "rangeQuery",
        send: Form,
        path: "/api/v1/query_range",
        parameters: &[("query", "took_seconds_count"), RANGE[0], RANGE[1], ("step", "1")],
        expected: &[("/data/result/0/values/0/1", "\"4\"")],
    },
    Call {
        what: "labelNames",
        send: Form,
        path: "/api/v1/labels",
        parameters: &[("match[]", "took_seconds_sum"), RANGE[0], RANGE[1]],
        expected: &[("/data/0", "\"__name__\"")],
    },
    Call {
        what: "labelValues",
        send: Get,
        path: "/api/v1/label/code/values",
        parameters: &[("match[]", "http_requests_total"), RANGE[0], RANGE[1]],
        expected: &[("/data", "[\"200\",\"500\"]")],
    },
    Call {
        what: "metricMetadata",
        send: Get,
        path: "/api/v1/metadata",
        parameters: &[("metric", "took_seconds"), ("limit", "1"), ("limit_per_metric", "1")],
        expected: &[(
            "/data",
            "{\"took_seconds\":[{\"type\":\"histogram\",\"unit\":\"\",\"help\":\"Durations.\"}]}",
        )],
    },
    Call {
        what: "series",
        send: Form,
        path: "/api/v1/series",
        parameters: &[
            ("match[]", "took_seconds_sum"),
            ("match[]", "took_seconds_count"),
            RANGE[0],
            RANGE[1],
        ],
        expected: &[
            ("/data/0/__name__", "\"took_seconds_count\""),
            ("/data/1/__name__", "\"took_seconds_sum\""),
        ],
    },
    Call {
        what: "parseQuery",
        send: Form,
        path: "/api/v1/parse_query",
        parameters: &[("query", "sum by (code) (rate(http_requests_total[5m]))")],
        expected: &[
            ("/data/type", "\"aggregation\""),
            ("/data/grouping/0", "\"code\""),
            ("/data/expr/func/name", "\"rate\""),
            ("/data/expr/args/0/range", "300000"),
        ],
    },
];

fn seconds(ago: f64) -> String {
    format!("{:.3}", SystemClock.now() as f64 / 1000.0 - ago)
}

/// Sends every call and holds the answers to what is expected.
async fn send(calls: &[Call]) {
    let exporter = Exporter::start(PAGE).await;
    let leadline = Leadline::start(&config(&[exporter.job("app")], "")).await;
    leadline.until_value("took_seconds_count", 4.0).await;
    for call in calls {
        let last = parking_lot::Mutex::new(String::new());
        let ask = async || {
            let (start, end) = (seconds(3.0), seconds(0.0));
            let fill = |&(name, value): &(&'static str, &'static str)| match value {
                "START" => (name, start.clone()),
                "END" => (name, end.clone()),
                value => (name, value.to_owned()),
            };
            let parameters: Vec<_> = call.parameters.iter().map(fill).collect();
            let parameters: Vec<_> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let (status, body) = match call.send {
                Get => leadline.get(call.path, &parameters).await,
                Form => leadline.post(call.path, &parameters).await,
            };
            let answer: Value = serde_json::from_str(&body).unwrap();
            let stands = |(pointer, expected): &(&str, &str)| {
                let expected: Value = serde_json::from_str(expected).unwrap();
                let found = answer.pointer(pointer);
                found.is_some_and(|found| expected.is_null() || *found == expected)
            };
            // The newest scrape may not have been long enough ago.
            let fine = status == 200 && answer["status"] == json!("success") && call.expected.iter().all(stands);
            *last.lock() = body;
            fine.then_some(())
        };
        until(call.what, || last.lock().clone(), ask).await;
    }
}

#[tokio::test]
async fn grafanas_data_source_finds_what_it_asks_for() {
    send(GRAFANA).await;
}

#[tokio::test]
async fn perses_data_source_finds_what_it_asks_for() {
    send(PERSES).await;
}

#[tokio::test]
async fn perses_health_check_is_answered() {
    let leadline = Leadline::start("global: {}\n").await;
    until(
        "/-/healthy",
        || leadline.log(),
        async || (leadline.get("/-/healthy", &[]).await.0 == 200).then_some(()),
    )
    .await;
}
