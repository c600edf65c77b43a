//! Bad requests.

use crate::world::{Leadline, config};
use serde_json::json;

#[tokio::test]
async fn bad_requests_are_refused_with_a_type_and_a_place() {
    let leadline = Leadline::start(&config(&[], "").replace("scrape_configs:\n", "")).await;
    // Path, parameters, status, type, parts of the message.
    let range = |start, end, step| vec![("query", "up"), ("start", start), ("end", end), ("step", step)];
    let query = |text| vec![("query", text)];
    let many = "{__name__=~\".+\"}[1m] offset";
    let cases = [
        (
            "/api/v1/query",
            query("sum(up"),
            400,
            "bad_data",
            vec!["1:7: parse error", "parenthesis"],
        ),
        (
            "/api/v1/query",
            query("up\n  + rate(up)"),
            400,
            "bad_data",
            vec!["2:", "range"],
        ),
        ("/api/v1/query", query(many), 400, "bad_data", vec!["1:"]),
        ("/api/v1/query", query("up{a=~\"(\"}"), 400, "bad_data", vec!["1:"]),
        ("/api/v1/query", vec![], 400, "bad_data", vec!["query"]),
        (
            "/api/v1/query",
            vec![("query", "up"), ("time", "yesterday")],
            400,
            "bad_data",
            vec!["time", "yesterday"],
        ),
        (
            "/api/v1/query",
            vec![("query", "up"), ("timeout", "fast")],
            400,
            "bad_data",
            vec!["timeout", "fast"],
        ),
        (
            "/api/v1/query",
            vec![("query", "up"), ("limit", "-1")],
            400,
            "bad_data",
            vec!["limit", "non-negative"],
        ),
        (
            "/api/v1/query",
            vec![("query", "label_replace(vector(1), \"a\", \"b\", \"\", \"(\")")],
            422,
            "execution",
            vec!["label_replace"],
        ),
        (
            "/api/v1/query_range",
            range("0", "x", "1"),
            400,
            "bad_data",
            vec!["end", "x"],
        ),
        (
            "/api/v1/query_range",
            range("10", "5", "1"),
            400,
            "bad_data",
            vec!["end"],
        ),
        (
            "/api/v1/query_range",
            range("0", "5", "0"),
            400,
            "bad_data",
            vec!["step"],
        ),
        (
            "/api/v1/query_range",
            range("0", "11001", "1"),
            400,
            "bad_data",
            vec!["11,000"],
        ),
        (
            "/api/v1/query_range",
            range("0", "2015-07-01T00:00:00+9999999999999999:00", "1"),
            400,
            "bad_data",
            vec!["end"],
        ),
        (
            "/api/v1/query_range",
            vec![("query", "up[1m]"), ("start", "0"), ("end", "1"), ("step", "1")],
            400,
            "bad_data",
            vec![],
        ),
        ("/api/v1/series", vec![], 400, "bad_data", vec!["match[]"]),
        (
            "/api/v1/series",
            vec![("match[]", "up{")],
            400,
            "bad_data",
            vec!["match[]"],
        ),
        ("/api/v1/series", vec![("match[]", "{}")], 400, "bad_data", vec![]),
        (
            "/api/v1/targets",
            vec![("state", "odd")],
            400,
            "bad_data",
            vec!["state", "odd"],
        ),
        ("/api/v1/status/odd", vec![], 404, "not_found", vec!["odd"]),
        ("/api/v1/nothing", vec![], 404, "not_found", vec!["/api/v1/nothing"]),
        ("/nothing", vec![], 404, "not_found", vec!["/nothing"]),
    ];
    let mut wrong = Vec::new();
    for (path, parameters, status, kind, parts) in cases {
        let (got, body) = leadline.get(path, &parameters).await;
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        let message = answer["error"].as_str().unwrap_or("");
        if got != status || answer["errorType"] != json!(kind) || !parts.iter().all(|part| message.contains(part)) {
            wrong.push(format!(
                "{path} {parameters:?}: {got} {body}; expected {status} {kind} {parts:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let (status, body) = leadline.post("/api/v1/targets", &[]).await;
    assert_eq!(status, 405, "{body}");
    assert_eq!(leadline.get("/-/healthy", &[]).await.0, 200, "it goes on");
}
