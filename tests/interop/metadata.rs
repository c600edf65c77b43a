//! What targets say about their series, in the log: that of leadline has what Prometheus' has of the same target.

use crate::answers::no_unknown_series;
use crate::folder::Copied;
use crate::programs::{Release, assert_same_lines, leadline};
use crate::server::Server;
use crate::world::{Exporter, Leadline, config, until};
use leadline_model::metadata::Metadata;
use leadline_storage::disk::{Disk, RealDisk};
use leadline_storage::wal::record::Record;
use leadline_storage::wal::{Reader, checkpoint};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// As Prometheus calls it.
const FLAG: &str = "--enable-feature=metadata-wal-records";

/// A page with families of every kind of the text format, and a series without one.
fn page(round: u64, help: &str) -> String {
    format!(
        "# HELP requests_total {help}\n# TYPE requests_total counter\nrequests_total{{code=\"200\"}} {round}\n\
         requests_total{{code=\"500\"}} 1\n# TYPE depth gauge\ndepth 7\n# HELP said Only described.\nsaid 1\n\
         # HELP wait_seconds How \\\\ long\\nit took.\n# TYPE wait_seconds histogram\nwait_seconds_bucket{{le=\"1\"}} 1\n\
         wait_seconds_bucket{{le=\"+Inf\"}} 2\nwait_seconds_sum 3\nwait_seconds_count 2\n\
         # TYPE size_bytes summary\nsize_bytes{{quantile=\"0.5\"}} 1\nsize_bytes_sum 3\nsize_bytes_count 2\nbare 1\n\
         # TYPE unsaid untyped\nunsaid 1\n"
    )
}

/// The newest metadata of each series that the log in `dir` names; how many there are of all.
fn logged(dir: &Path) -> (BTreeMap<String, Metadata>, usize) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (mut names, mut told, mut count) = (BTreeMap::new(), BTreeMap::new(), 0);
    let mut take = |record: &[u8]| match Record::parse(record).unwrap() {
        Record::Series(all) => all.map(Result::unwrap).for_each(|entry| {
            let labels = entry.labels.iter();
            let pairs: Vec<String> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
            names.insert(entry.series, pairs.join(","));
        }),
        Record::Metadata(all) => all.map(Result::unwrap).for_each(|entry| {
            told.insert(names[&entry.series].clone(), entry.to_metadata());
            count += 1;
        }),
        _ => {}
    };
    let checkpoint = checkpoint::latest(disk.as_ref(), dir).unwrap();
    let first = checkpoint.as_ref().map_or(0, |found| found.number + 1);
    let before = checkpoint.map(|found| Reader::open(Arc::clone(&disk), &found.path, ..).unwrap());
    for mut reader in before.into_iter().chain([Reader::open(disk, dir, first..).unwrap()]) {
        while let Some(record) = reader.next().unwrap() {
            take(record);
        }
    }
    (told, count)
}

/// Starts a leadline that writes metadata; blocks of a second, so that checkpoints are written.
async fn start(folder: tempfile::TempDir, text: &str) -> Leadline {
    let file = folder.path().join("leadline.yaml");
    std::fs::write(&file, text).unwrap();
    let flags = [
        FLAG,
        "--storage.tsdb.min-block-duration=1s",
        "--storage.tsdb.max-block-duration=3s",
        "--storage.tsdb.retention.time=1d",
    ];
    Leadline::start_with(folder, file, &flags).await
}

#[tokio::test]
async fn the_log_has_what_prometheus_has_of_the_same_target() {
    let Some(release) = Release::newest() else { return };
    let exporter = Exporter::start(&page(0, "Before.")).await;
    let text = config(&[exporter.job("app")], "");
    let ours = start(tempfile::tempdir().unwrap(), &text).await;
    let beside = tempfile::tempdir().unwrap();
    let data = beside.path().join("data");
    let theirs = Server::start(&release, &data, beside.path(), &text, &[FLAG]).await;
    for (round, help) in [(1, "Before."), (2, "Behind."), (3, "Behind.")] {
        exporter.set(&page(round, help));
        ours.until_value("requests_total{code=\"200\"}", round as f64).await;
        let query = format!("requests_total{{code=\"200\"}} == {round}");
        let seen = async || {
            let found = theirs.result("/api/v1/query", &[("query", &query)]).await;
            (!found["result"].as_array()?.is_empty()).then_some(())
        };
        until(&query, String::new, seen).await;
    }
    theirs.end(Signal::TERM).await;
    let log = ours.folder().join("data/wal");
    let is_checkpoint = |name: &str| name.starts_with("checkpoint.") && !name.ends_with(".tmp");
    let written = async || {
        let mut entries = std::fs::read_dir(&log).ok()?.flatten();
        entries
            .any(|entry| is_checkpoint(&entry.file_name().to_string_lossy()))
            .then_some(())
    };
    until("a checkpoint", || ours.log(), written).await;
    assert_eq!(ours.end(Signal::TERM).await, Some(0), "{}", ours.log());

    let (ours_told, before) = logged(&log);
    let (theirs_told, _) = logged(&data.join("wal"));
    let is_report = |name: &str| name.contains("__name__=\"up\"") || name.contains("__name__=\"scrape_");
    // The words of both about their own series differ.
    let split = |told: &BTreeMap<String, Metadata>| -> (Vec<String>, Vec<String>) {
        let (report, own): (Vec<_>, Vec<_>) = told.iter().partition(|(name, _)| is_report(name));
        let short = |(name, m): &(&String, &Metadata)| format!("{name} {} {}", m.kind.as_str(), m.unit);
        let whole = |(name, m): &(&String, &Metadata)| format!("{name} {m:?}");
        (report.iter().map(short).collect(), own.iter().map(whole).collect())
    };
    assert_eq!(split(&ours_told), split(&theirs_told));
    assert!(
        split(&ours_told).1.iter().any(|line| line.contains("Behind.")),
        "{ours_told:#?}"
    );
    println!("{} series have the same metadata", ours_told.len());

    read_by(&release, &ours.folder().join("data")).await;
    // What is known already is not written again.
    let again = start(ours.into_folder(), &text).await;
    again.until_value("requests_total{code=\"200\"}", 3.0).await;
    assert_eq!(again.end(Signal::TERM).await, Some(0), "{}", again.log());
    let (again_told, count) = logged(&again.folder().join("data/wal"));
    assert_eq!(again_told, ours_told);
    assert!(count <= before, "{count} entries, {before} before the restart");
}

/// Prometheus opens the directory, prints the same samples, and knows every series that a record names.
async fn read_by(release: &Release, data: &Path) {
    leadline(&["verify"], data);
    assert_same_lines("dump", &leadline(&["dump"], data), &release.promtool(&["dump"], data));
    let copy = Copied::of(data);
    let server = Server::start(release, &copy.path(), copy.beside(), "global: {}\n", &[FLAG]).await;
    no_unknown_series(&server).await;
    server.end(Signal::TERM).await;
}
