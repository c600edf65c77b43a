//! The configuration while it runs.

use crate::world::{Exporter, Leadline, config, until};
use leadline_model::clock::{Clock, SystemClock};
use rustix::process::Signal;
use std::os::unix::fs::symlink;

const PAGE: &str = "# TYPE requests_total counter\nrequests_total 5\n";

#[tokio::test]
async fn a_changed_file_is_applied_and_unchanged_targets_go_on() {
    let (first, second) = (Exporter::start(PAGE).await, Exporter::start(PAGE).await);
    let leadline = Leadline::start(&config(&[first.job("first")], "")).await;
    leadline.until_value("up{job=\"first\"}", 1.0).await;
    let oldest = async || {
        let (_, answer) = leadline
            .json("/api/v1/query", &[("query", "up{job=\"first\"}[5m]")])
            .await;
        let values = answer["data"]["result"][0]["values"].as_array().unwrap().clone();
        assert!(values.iter().all(|value| value[1] == "1"), "{answer}");
        values[0][0].as_f64()
    };
    let began = oldest().await;
    let created = leadline.own("leadline_storage_series_created_total").await.unwrap();

    std::fs::write(&leadline.file, config(&[first.job("first"), second.job("second")], "")).unwrap();
    leadline
        .until_logged(&["configuration reloaded", "the file changed"])
        .await;
    leadline.until_value("up{job=\"second\"}", 1.0).await;

    assert_eq!(
        leadline.own("leadline_scrape_stale_markers_total").await,
        Some(0.0),
        "nothing went stale"
    );
    assert_eq!(
        oldest().await,
        began,
        "the first target's series goes back to before the reload"
    );
    // The second target's own series and report series, and none of the first's anew.
    let (_, found) = leadline
        .json("/api/v1/series", &[("match[]", "{job=\"second\"}")])
        .await;
    let of_second = found["data"].as_array().map_or(0, Vec::len) as f64;
    assert_eq!(
        leadline.own("leadline_storage_series_created_total").await,
        Some(created + of_second)
    );

    std::fs::write(&leadline.file, config(&[second.job("second")], "")).unwrap();
    let gone = async || leadline.value("up{job=\"first\"}").await.is_none().then_some(());
    until("the first target to be gone", || leadline.log(), gone).await;
    assert_eq!(leadline.value("up{job=\"second\"}").await, Some(1.0));
}

#[tokio::test]
async fn sighup_and_post_reload() {
    let leadline = Leadline::start("global: {}\n").await;
    leadline.process.signal(Signal::HUP);
    leadline.until_logged(&["configuration reloaded", "SIGHUP"]).await;
    assert_eq!(leadline.post("/-/reload", &[]).await.0, 200, "{}", leadline.log());
    leadline
        .until_logged(&["configuration reloaded", "POST /-/reload"])
        .await;
}

#[tokio::test]
async fn a_configmap_that_is_swapped_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // As a kubelet lays a ConfigMap out: the file is a link through ..data, and ..data is what is swapped.
    for (name, interval) in [("..1", "1m"), ("..2", "2m")] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(
            at(name).join("leadline.yaml"),
            format!("global: {{scrape_interval: {interval}}}\n"),
        )
        .unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/leadline.yaml", at("leadline.yaml")).unwrap();
    let (swap, file, data) = (at("..data_tmp"), at("leadline.yaml"), at("..data"));
    let leadline = Leadline::start_with(folder, file, &[]).await;
    // The content is followed from its first reading on, which the readiness line does not wait for.
    let yaml = async || {
        let (_, config) = leadline.json("/api/v1/status/config", &[]).await;
        config["data"]["yaml"].as_str().unwrap_or("").to_owned()
    };
    assert!(yaml().await.contains("1m"));
    symlink("..2", &swap).unwrap();
    std::fs::rename(&swap, &data).unwrap();
    until(
        "the new file",
        || leadline.log(),
        async || yaml().await.contains("2m").then_some(()),
    )
    .await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_is_told() {
    let exporter = Exporter::start(PAGE).await;
    let good = config(&[exporter.job("app")], "");
    let leadline = Leadline::start(&good).await;
    leadline.until_value("up", 1.0).await;
    assert_eq!(leadline.own("leadline_config_last_reload_successful").await, Some(1.0));

    let place = format!("{}:2:1: ", leadline.file.display());
    std::fs::write(&leadline.file, "global: {}\nscrape_config: []\n").unwrap();
    let (status, body) = leadline.post("/-/reload", &[]).await;
    assert!(
        status == 500 && body.contains(&place) && body.contains("scrape_config"),
        "{status} {body}"
    );
    assert_eq!(leadline.own("leadline_config_last_reload_successful").await, Some(0.0));
    leadline.until_logged(&["configuration not reloaded", &place]).await;
    let (_, state) = leadline.json("/api/v1/status/config", &[]).await;
    assert_eq!(
        state["data"]["yaml"].as_str(),
        Some(good.as_str()),
        "the good one is in force"
    );
    assert!(
        state["data"]["lastReloadError"]
            .as_str()
            .is_some_and(|e| e.contains(&place)),
        "{state}"
    );
    let scrapes = leadline.own("leadline_scrapes_total").await;
    until(
        "further scrapes",
        || leadline.log(),
        async || (leadline.own("leadline_scrapes_total").await > scrapes).then_some(()),
    )
    .await;
    assert_eq!(leadline.value("up").await, Some(1.0));

    std::fs::remove_file(&leadline.file).unwrap();
    let (status, body) = leadline.post("/-/reload", &[]).await;
    assert!(
        status == 500 && body.contains("leadline.yaml"),
        "a file that is gone: {status} {body}"
    );

    std::fs::write(&leadline.file, &good).unwrap();
    assert_eq!(leadline.post("/-/reload", &[]).await.0, 200);
    assert_eq!(leadline.own("leadline_config_last_reload_successful").await, Some(1.0));
}

#[tokio::test]
async fn the_scalers_settings_are_reloaded_too() {
    let leadline = Leadline::start("scaler: {partial: 0.5}\n").await;
    std::fs::write(&leadline.file, "scaler: {partial: 7}\n").unwrap();
    let (status, body) = leadline.post("/-/reload", &[]).await;
    assert!(
        status == 500 && body.contains("partial: 7 is not a share"),
        "{status} {body}"
    );
    let mut client = crate::scaler::client(leadline.scaler).await;
    let object = || crate::scaler::object(&[("query", "vector(1)")]);
    assert!(client.get_metric_spec(object()).await.is_ok());
    std::fs::write(&leadline.file, "scaler: {max_query_bytes: 4}\n").unwrap();
    assert_eq!(leadline.post("/-/reload", &[]).await.0, 200);
    let refused = client.get_metric_spec(object()).await.unwrap_err();
    assert!(refused.message().contains("4 are allowed"), "{refused:?}");
}

#[tokio::test]
async fn the_window_of_late_samples_is_applied_and_the_retention_waits_for_a_start() {
    // Its time is what the page says, so that a sample can be late.
    let now = SystemClock.now();
    let at = |seconds: i64| now - seconds * 1000;
    let exporter = Exporter::start(&format!("depth 1 {}\n", at(60))).await;
    let job = exporter.job("app");
    let leadline = Leadline::start(&config(std::slice::from_ref(&job), "")).await;
    leadline.until_value("count_over_time(depth[10m])", 1.0).await;
    exporter.set(&format!("depth 2 {}\n", at(120)));
    let refused = "leadline_storage_refused_total{reason=\"out_of_order\"}";
    until(
        "a refusal",
        || leadline.log(),
        async || (leadline.own(refused).await? > 0.0).then_some(()),
    )
    .await;

    let storage = "storage: {tsdb: {out_of_order_time_window: 10m, retention: {time: 3h}}}\n";
    std::fs::write(&leadline.file, config(&[job], storage)).unwrap();
    leadline.until_logged(&["configuration reloaded"]).await;
    leadline.until_logged(&["storage.tsdb.retention", "next start"]).await;
    leadline.until_value("count_over_time(depth[10m])", 2.0).await;
}
