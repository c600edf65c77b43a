//! What is answered about what was scraped.

use crate::world::{Exporter, Leadline, config, http, printed, run, until};
use leadline_exposition::{Event, Parser, parse_labels};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::HashSet;

const PAGE: &str = "# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\n\
    http_requests_total{code=\"200\"} 5\nhttp_requests_total{code=\"500\"} 1\n\
    # TYPE queue_depth gauge\nqueue_depth{queue=\"mail\"} 7.5\n";

async fn scraped() -> (Exporter, Leadline) {
    let exporter = Exporter::start(PAGE).await;
    let leadline = Leadline::start(&config(&[exporter.job("app")], "")).await;
    leadline.until_value("queue_depth", 7.5).await;
    (exporter, leadline)
}

#[tokio::test]
async fn queries_are_answered_in_prometheus_json_by_get_and_post() {
    let (exporter, leadline) = scraped().await;
    let now = leadline.value("time()").await;
    assert_eq!(now, None, "a scalar is no vector");
    let metric = json!({"__name__": "queue_depth", "queue": "mail", "job": "app", "namespace": "default", "pod": "app-0",
                        "instance": exporter.address.to_string()});
    // Path, parameters, JSON pointer into the answer, what stands there.
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
        Value,
    );
    let cases: &[Case] = &[
        (
            "/api/v1/query",
            &[("query", "queue_depth")],
            "/data/result/0/metric",
            metric,
        ),
        (
            "/api/v1/query",
            &[("query", "queue_depth * 2")],
            "/data/result/0/value/1",
            json!("15"),
        ),
        (
            "/api/v1/query",
            &[("query", "1 / 0")],
            "/data/resultType",
            json!("scalar"),
        ),
        ("/api/v1/query", &[("query", "1 / 0")], "/data/result/1", json!("+Inf")),
        (
            "/api/v1/query",
            &[("query", "\"text\"")],
            "/data",
            json!({"resultType": "string", "result": [12, "text"]}),
        ),
        (
            "/api/v1/query",
            &[("query", "nothing_of_the_kind")],
            "/data",
            json!({"resultType": "vector", "result": []}),
        ),
        (
            "/api/v1/query",
            &[("query", "sum by (job) (http_requests_total)")],
            "/data/result/0/metric",
            json!({"job": "app"}),
        ),
        (
            "/api/v1/query",
            &[("query", "queue_depth[1m]")],
            "/data/resultType",
            json!("matrix"),
        ),
        (
            "/api/v1/query_range",
            &[("query", "vector(3)"), ("start", "0"), ("end", "20"), ("step", "10s")],
            "/data/result/0/values",
            json!([[0, "3"], [10, "3"], [20, "3"]]),
        ),
        (
            "/api/v1/labels",
            &[("match[]", "queue_depth")],
            "/data",
            json!(["__name__", "instance", "job", "namespace", "pod", "queue"]),
        ),
        ("/api/v1/labels", &[], "/status", json!("success")),
    ];
    for (path, parameters, pointer, expected) in cases {
        let mut parameters = parameters.to_vec();
        if pointer == &"/data" && path == &"/api/v1/query" {
            parameters.push(("time", "12"));
        }
        let (status, by_get) = leadline.json(path, &parameters).await;
        assert_eq!(
            (status, by_get["status"].as_str()),
            (200, Some("success")),
            "{path} {parameters:?}: {by_get}"
        );
        assert_eq!(
            by_get.pointer(pointer),
            Some(expected),
            "GET {path} {parameters:?}: {by_get}"
        );
        let (status, body) = leadline.post(path, &parameters).await;
        let by_post: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, by_post.pointer(pointer)),
            (200, Some(expected)),
            "POST {path} {parameters:?}: {by_post}"
        );
    }
}

#[tokio::test]
async fn labels_series_and_targets_are_listed() {
    let (exporter, leadline) = scraped().await;
    let (_, values) = leadline.json("/api/v1/label/code/values", &[]).await;
    assert_eq!(values["data"], json!(["200", "500"]));
    let (_, names) = leadline
        .json("/api/v1/label/__name__/values", &[("match[]", "{queue=~\"m.*\"}")])
        .await;
    assert_eq!(names["data"], json!(["queue_depth"]));
    let (_, series) = leadline
        .json("/api/v1/series", &[("match[]", "http_requests_total{code=\"500\"}")])
        .await;
    assert_eq!(series["data"][0]["code"], json!("500"), "{series}");
    assert_eq!(series["data"].as_array().map(Vec::len), Some(1), "{series}");
    let (_, targets) = leadline.json("/api/v1/targets", &[]).await;
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!(
        (
            &target["health"],
            &target["scrapeUrl"],
            &target["scrapePool"],
            &target["lastError"]
        ),
        (
            &json!("up"),
            &json!(format!("http://{}/metrics", exporter.address)),
            &json!("app"),
            &json!("")
        ),
        "{targets}"
    );
    for (series, value) in [("up", 1.0), ("scrape_samples_scraped", 3.0)] {
        assert_eq!(leadline.value(series).await, Some(value), "{series}");
    }
}

#[tokio::test]
async fn a_target_that_fails_is_down_and_its_series_end() {
    let (exporter, leadline) = scraped().await;
    exporter.fail();
    leadline.until_value("up", 0.0).await;
    let (_, gone) = leadline.json("/api/v1/query", &[("query", "queue_depth")]).await;
    assert_eq!(
        gone["data"]["result"],
        json!([]),
        "the series of a failed scrape are stale at once"
    );
    let (_, targets) = leadline.json("/api/v1/targets", &[]).await;
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!(target["health"], json!("down"), "{targets}");
    assert!(
        target["lastError"].as_str().is_some_and(|e| e.contains("503")),
        "{targets}"
    );
    exporter.set(PAGE);
    leadline.until_value("queue_depth", 7.5).await;
}

#[tokio::test]
async fn health_readiness_and_what_is_off_are_told() {
    let (_exporter, leadline) = scraped().await;
    for (path, part) in [
        ("/-/healthy", "healthy"),
        ("/-/ready", "ready"),
        ("/healthz", "ok"),
        ("/livez", "ok"),
        ("/readyz", "ok"),
        ("/", "/api/v1/query"),
    ] {
        let (status, body) = leadline.get(path, &[]).await;
        assert!(status == 200 && body.contains(part), "{path}: {status} {body}");
    }
    let (status, verbose) = leadline.get("/readyz", &[("verbose", "")]).await;
    assert_eq!(status, 200, "{verbose}");
    assert!(
        verbose.contains("[+]cluster off: no --kubeconfig was given"),
        "{verbose}"
    );
    let log = leadline.log();
    assert_eq!(log.matches("off: the metrics APIs").count(), 1, "said once:\n{log}");
}

#[tokio::test]
async fn the_web_listener_serves_no_metrics_api_whoever_one_says_to_be() {
    let (_exporter, leadline) = scraped().await;
    let client = http().build().unwrap();
    for path in [
        "/apis",
        "/apis/custom.metrics.k8s.io/v1beta2",
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/queue_depth",
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue_depth",
        "/explain/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue_depth",
        "/openapi/v2",
        "/openapi/v3",
    ] {
        for headers in [
            &[][..],
            &[("X-Remote-User", "system:admin"), ("X-Remote-Group", "system:masters")],
            &[("Authorization", "Bearer token")],
        ] {
            let url = format!("http://{}{path}", leadline.web);
            let request = headers.iter().fold(client.get(url), |r, (k, v)| r.header(*k, *v));
            let status = request.send().await.unwrap().status();
            assert_eq!(status.as_u16(), 404, "{path} {headers:?}");
        }
    }
}

#[tokio::test]
async fn our_own_metrics_are_the_format_that_we_read() {
    let (_exporter, leadline) = scraped().await;
    let (status, page) = leadline.get("/metrics", &[]).await;
    assert_eq!(status, 200);
    let (mut parser, mut seen, mut families) = (Parser::new(page.as_bytes()), HashSet::new(), HashSet::new());
    while let Some(event) = parser.next_event().unwrap() {
        match event {
            Event::Sample { series, .. } => {
                let labels = parse_labels(series, parser.kind()).unwrap();
                assert!(seen.insert(labels.to_string()), "{labels} is there twice");
            }
            Event::Type { metric, .. } => assert!(families.insert(metric), "{} twice", String::from_utf8_lossy(metric)),
            Event::Help { .. } => {}
        }
    }
    assert!(seen.len() > 40, "{page}");
    assert!(leadline.own("leadline_scrapes_total").await > Some(0.0), "{page}");
    assert_eq!(
        leadline.own("leadline_targets{health=\"up\"}").await,
        Some(1.0),
        "{page}"
    );
}

#[tokio::test]
async fn sigterm_ends_it_well() {
    let (_exporter, leadline) = scraped().await;
    assert_eq!(leadline.end(Signal::TERM).await, Some(0), "{}", leadline.log());
    assert!(leadline.log().contains("SIGTERM"), "{}", leadline.log());
    assert!(!leadline.log().contains("did not stop in time"), "{}", leadline.log());
}

#[tokio::test]
async fn what_targets_say_of_their_metrics_and_what_the_head_holds_is_told() {
    let (exporter, leadline) = scraped().await;
    let requests = json!({"type": "counter", "unit": "", "help": "Requests."});
    let depth = json!({"type": "gauge", "unit": "", "help": ""});
    let data = async |path: &str, parameters: &[(&str, &str)]| leadline.json(path, parameters).await.1["data"].clone();
    assert_eq!(
        data("/api/v1/metadata", &[]).await,
        json!({"http_requests_total": [requests], "queue_depth": [depth]})
    );
    let one = data(
        "/api/v1/metadata",
        &[("metric", "queue_depth"), ("limit_per_metric", "1")],
    )
    .await;
    assert_eq!(one, json!({"queue_depth": [depth]}));
    assert_eq!(data("/api/v1/metadata", &[("limit", "0")]).await, json!({}));
    let target =
        json!({"job": "app", "namespace": "default", "pod": "app-0", "instance": exporter.address.to_string()});
    let of_target = data("/api/v1/targets/metadata", &[("match_target", "{job=\"app\"}")]).await;
    assert_eq!(of_target.as_array().map(Vec::len), Some(2), "{of_target}");
    assert_eq!(
        (&of_target[0]["metric"], &of_target[0]["target"]),
        (&json!("http_requests_total"), &target)
    );
    let metric = data("/api/v1/targets/metadata", &[("metric", "queue_depth")]).await;
    assert_eq!(
        metric,
        json!([{"target": target, "type": "gauge", "unit": "", "help": ""}])
    );
    let nobody = data("/api/v1/targets/metadata", &[("match_target", "{job=\"other\"}")]).await;
    assert_eq!(nobody, json!([]));

    let status = data("/api/v1/status/tsdb", &[("limit", "1")]).await;
    assert_eq!(
        status["seriesCountByMetricName"],
        json!([{"name": "http_requests_total", "value": 2}])
    );
    assert_eq!(status["labelValueCountByLabelName"][0]["name"], "__name__", "{status}");
    assert_eq!(status["memoryInBytesByLabelName"].as_array().map(Vec::len), Some(1));
    let series = status["headStats"]["numSeries"].clone();
    let everywhere = &status["seriesCountByLabelValuePair"][0];
    assert_eq!(everywhere["value"], series, "{status}");
    for (limit, why) in [
        ("0", "positive"),
        ("-1", "positive"),
        ("x", "positive"),
        ("10001", "exceed 10000"),
    ] {
        let (code, answer) = leadline.json("/api/v1/status/tsdb", &[("limit", limit)]).await;
        assert!(
            code == 400 && answer["error"].to_string().contains(why),
            "{limit}: {answer}"
        );
    }
    // What changes is told; what is gone stays for ten scrapes.
    exporter.set("# HELP queue_depth How many wait.\nqueue_depth 1\n");
    let told = async || {
        let all = data("/api/v1/metadata", &[]).await;
        (all["queue_depth"][0]["help"] == "How many wait." && all.get("http_requests_total").is_none()).then_some(all)
    };
    let all = until("another help text", || leadline.log(), told).await;
    assert_eq!(all["queue_depth"][0]["type"], "unknown");
}

#[tokio::test]
async fn stats_tell_what_a_query_cost_and_each_step_where_the_feature_is_on() {
    let exporter = Exporter::start(PAGE).await;
    for (flags, per_step) in [(&[][..], false), (&["--enable-feature=promql-per-step-stats"], true)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("leadline.yaml");
        std::fs::write(&file, config(&[exporter.job("app")], "")).unwrap();
        let leadline = Leadline::start_with(folder, file, flags).await;
        leadline.until_value("queue_depth", 7.5).await;
        let now = leadline.json("/api/v1/query", &[("query", "time()")]).await.1["data"]["result"][0].clone();
        let at = now.to_string();
        let query = "sum(http_requests_total)";
        for (asked, steps) in [("true", false), ("all", per_step)] {
            let parameters = [("query", query), ("time", &at), ("stats", asked)];
            let (_, answer) = leadline.json("/api/v1/query", &parameters).await;
            let (timings, samples) = (&answer["data"]["stats"]["timings"], &answer["data"]["stats"]["samples"]);
            let told = ["totalQueryableSamples", "samplesRead", "seriesTouched"].map(|name| &samples[name]);
            assert_eq!(told, [2, 2, 2], "{answer}");
            assert!(samples["peakSamples"].as_u64() >= Some(2), "{answer}");
            let steps = if steps { json!([[now, 2]]) } else { Value::Null };
            let each = ["totalQueryableSamplesPerStep", "samplesReadPerStep"].map(|name| &samples[name]);
            assert_eq!(each, [&steps, &steps], "{flags:?} {asked}: {answer}");
            let time = |name: &str| timings[name].as_f64().unwrap();
            let parts = ["queryPreparationTime", "innerEvalTime", "resultSortTime"].map(time);
            assert!(parts.iter().sum::<f64>() <= time("evalTotalTime") + 1e-6, "{answer}");
            assert!(
                time("evalTotalTime") + time("execQueueTime") <= time("execTotalTime") + 1e-9,
                "{answer}"
            );
        }
        let (_, without) = leadline.json("/api/v1/query", &[("query", query)]).await;
        assert_eq!(without["data"].get("stats"), None, "{without}");
    }
}

#[tokio::test]
async fn flags_and_how_the_process_runs_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leadline.yaml");
    std::fs::write(&file, "global: {}\n").unwrap();
    let flags = [
        "--storage.tsdb.retention.time=36h",
        "--storage.tsdb.retention.size=1GB",
        "--web.enable-admin-api",
        "--enable-feature=exemplar-storage,promql-per-step-stats",
        "--enable-feature=no-such-thing",
    ];
    let leadline = Leadline::start_with(folder, file.clone(), &flags).await;
    let topic = async |name: &str| leadline.json(&format!("/api/v1/status/{name}"), &[]).await.1["data"].clone();
    let told = topic("flags").await;
    for (name, value) in [
        ("config.file", file.display().to_string().as_str()),
        ("storage.tsdb.retention.time", "36h"),
        ("web.enable-admin-api", "true"),
        ("scaler.insecure", "false"),
        ("query.timeout", "2m"),
        ("enable-feature", "exemplar-storage,promql-per-step-stats,no-such-thing"),
    ] {
        assert_eq!(told[name], value, "{name}: {told}");
    }
    // Names that turn nothing on are warned of, and the others count.
    leadline
        .until_logged(&["no-op: what it turns on is always on", "exemplar-storage"])
        .await;
    leadline
        .until_logged(&["Unknown option for --enable-feature", "no-such-thing"])
        .await;
    assert!(
        !leadline.log().contains("option=promql-per-step-stats"),
        "{}",
        leadline.log()
    );

    let told = topic("runtimeinfo").await;
    let here = std::env::current_dir().unwrap().display().to_string();
    assert_eq!(
        (&told["CWD"], &told["reloadConfigSuccess"]),
        (&json!(here), &json!(true)),
        "{told}"
    );
    assert_eq!(told["storageRetention"], "1d12h or 1GB", "{told}");
    assert!(
        told["goroutineCount"].as_u64() > Some(0) && told["GOMAXPROCS"].as_u64() > Some(0),
        "{told}"
    );
    let time = |name: &str| told[name].as_str().unwrap().to_owned();
    assert!(
        time("startTime") <= time("lastConfigTime") && time("lastConfigTime") <= time("serverTime"),
        "{told}"
    );
    std::fs::write(&file, "globl: {}\n").unwrap();
    assert_eq!(leadline.post("/-/reload", &[]).await.0, 500);
    assert_eq!(topic("runtimeinfo").await["reloadConfigSuccess"], false);
}

#[tokio::test]
async fn a_long_answer_is_compressed_for_who_takes_that() {
    use std::io::Read;
    let leadline = Leadline::start("global: {}\n").await;
    let url = format!("http://{}/api/v1/query_range", leadline.web);
    let asked = [
        ("query", "vector(time())"),
        ("start", "0"),
        ("end", "11000"),
        ("step", "1"),
    ];
    let client = http().build().unwrap();
    let ask = async |accepted: &str| {
        let request = client.get(&url).query(&asked).header("accept-encoding", accepted);
        let answer = request.send().await.unwrap();
        let encoding = answer.headers().get("content-encoding").cloned();
        let encoding = encoding.map(|name| name.to_str().unwrap().to_owned());
        (encoding, answer.bytes().await.unwrap())
    };
    let (encoding, plain) = ask("identity").await;
    assert!(
        encoding.is_none() && plain.len() > 100_000,
        "{encoding:?} {}",
        plain.len()
    );
    let (encoding, sent) = ask("gzip, deflate, br").await;
    let mut read = Vec::new();
    flate2::read::GzDecoder::new(&sent[..]).read_to_end(&mut read).unwrap();
    assert_eq!(encoding.as_deref(), Some("gzip"));
    assert!(
        read == plain && sent.len() < plain.len() / 2,
        "{} of {}",
        sent.len(),
        plain.len()
    );
}

#[tokio::test]
async fn a_browser_is_told_which_pages_may_read_the_api_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leadline.yaml");
    std::fs::write(&file, "global: {}\n").unwrap();
    let leadline = Leadline::start_with(folder, file, &[r"--web.cors.origin=https?://(a|b)\.com"]).await;
    let client = http().build().unwrap();
    let (ours, other) = ("https://a.com", "https://a.com.evil");
    // Whether it is told of origins at all, and whether this one may.
    for (method, path, origin, status, told, may) in [
        ("GET", "/api/v1/query?query=1", ours, 200, true, true),
        ("GET", "/api/v1/query?query=1", other, 200, true, false),
        ("GET", "/api/v1/query", ours, 400, true, true),
        ("OPTIONS", "/api/v1/query", ours, 204, true, true),
        ("OPTIONS", "/api/v1/query", other, 204, true, false),
        ("OPTIONS", "/api/v1/nothing", ours, 204, true, true),
        ("GET", "/api/v1/nothing", ours, 404, false, false),
        ("DELETE", "/api/v1/query", ours, 405, false, false),
        ("GET", "/metrics", ours, 200, false, false),
        ("GET", "/api/v1/openapi.yaml", ours, 200, false, false),
    ] {
        let url = format!("http://{}{path}", leadline.web);
        let request = client.request(method.parse().unwrap(), url).header("origin", origin);
        let answer = request.send().await.unwrap();
        let what = format!("{method} {path} of {origin}: {answer:?}");
        let headers = answer.headers();
        let allowed = headers.get("access-control-allow-origin").map(|v| v.to_str().unwrap());
        assert_eq!(
            (answer.status().as_u16(), allowed),
            (status, may.then_some(origin)),
            "{what}"
        );
        let varies = headers.get_all("vary").iter().any(|v| v == "Origin");
        let terms = headers.contains_key("access-control-allow-methods");
        assert_eq!((varies, terms), (told, told), "{what}");
    }
    let refused = run(&["serve", "--web.cors.origin=("]).await;
    let text = printed(&refused);
    assert!(
        !refused.status.success() && text.contains("--web.cors.origin"),
        "{text}"
    );
}
