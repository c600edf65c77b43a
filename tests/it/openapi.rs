//! The description of what is served, held against the answers.

use crate::world::{Exporter, Leadline, config};
use leadline_testkit::openapi::Document;

#[tokio::test]
async fn answers_are_what_the_document_says() {
    let exporter = Exporter::start("# HELP m What.\n# TYPE m counter\nm{a=\"b\"} 1\n").await;
    let leadline = Leadline::start(&config(&[exporter.job("app")], "")).await;
    leadline.until_value("m", 1.0).await;
    let (status, text) = leadline.get("/api/v1/openapi.yaml", &[]).await;
    assert_eq!(status, 200, "{text}");
    let document = Document::parse(&text).unwrap();
    let range = [("start", "0"), ("end", "10"), ("step", "5s")];
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("/api/v1/query", vec![("query", "m"), ("stats", "all")]),
        ("/api/v1/query", vec![("query", "1")]),
        ("/api/v1/query", vec![("query", "\"text\"")]),
        ("/api/v1/query", vec![("query", "m[1m]"), ("stats", "true")]),
        ("/api/v1/query", vec![("query", "sum(")]),
        (
            "/api/v1/query",
            vec![("query", "rate(m[1m]) + on (x) m"), ("limit", "1")],
        ),
        ("/api/v1/query_range", [&[("query", "vector(1)")], &range[..]].concat()),
        ("/api/v1/query_range", vec![("query", "m")]),
        ("/api/v1/explain", vec![("query", "sum(rate(m[1m])) by (a)")]),
        ("/api/v1/explain", [&[("query", "sum(m) / 0")], &range[..]].concat()),
        ("/api/v1/explain", vec![("query", "sum(m) by")]),
        ("/api/v1/explain", vec![("query", "m"), ("start", "5")]),
        ("/api/v1/query_exemplars", vec![("query", "m")]),
        ("/api/v1/format_query", vec![("query", "m  + 1")]),
        ("/api/v1/parse_query", vec![("query", "m + 1")]),
        ("/api/v1/labels", vec![]),
        ("/api/v1/label/job/values", vec![("limit", "1")]),
        ("/api/v1/series", vec![("match[]", "m")]),
        ("/api/v1/series", vec![]),
        ("/api/v1/metadata", vec![]),
        ("/api/v1/targets", vec![]),
        ("/api/v1/targets/metadata", vec![]),
        ("/api/v1/status/buildinfo", vec![]),
        ("/api/v1/status/config", vec![]),
        ("/api/v1/status/runtimeinfo", vec![]),
        ("/api/v1/status/flags", vec![]),
        ("/api/v1/status/tsdb", vec![]),
        ("/api/v1/status/walreplay", vec![]),
        ("/api/v1/status/rules", vec![]),
        ("/api/v1/status/triggers", vec![]),
        ("/api/v1/status/cluster", vec![]),
        ("/api/v1/status/discovery", vec![]),
        ("/api/v1/status/ready", vec![]),
        ("/api/v1/status/nothing", vec![]),
    ];
    let mut wrong = Vec::new();
    for (path, parameters) in &cases {
        let (status, body) = leadline.get(path, parameters).await;
        let complaint = document.complaint(path, false, status, &body);
        wrong.extend(complaint.map(|why| format!("{path} {parameters:?}: {why}: {body}")));
        if document.takes_form(path) {
            let (status, body) = leadline.post(path, parameters).await;
            let complaint = document.complaint(path, true, status, &body);
            wrong.extend(complaint.map(|why| format!("POST {path} {parameters:?}: {why}: {body}")));
        }
    }
    for path in ["delete_series", "clean_tombstones", "snapshot"].map(|name| format!("/api/v1/admin/tsdb/{name}")) {
        let (status, body) = leadline.post(&path, &[]).await;
        wrong.extend(
            document
                .complaint(&path, true, status, &body)
                .map(|why| format!("{path}: {why}: {body}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let asked = |template: &str| {
        let same = |path: &str| {
            let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            template.len() == path.len() && template.iter().zip(&path).all(|(a, b)| a == b || a.starts_with('{'))
        };
        template.starts_with("/api/v1/admin") || cases.iter().any(|(path, _)| same(path))
    };
    let missed: Vec<&str> = document
        .paths()
        .filter(|path| path.starts_with("/api/v1/") && !asked(path))
        .collect();
    assert_eq!(missed, ["/api/v1/openapi.yaml"], "every path of the API is asked above");
}
