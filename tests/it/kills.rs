//! `leadline serve` with all its threads, killed at random moments while it scrapes, writes its log, maps chunks, cuts and
//! merges blocks; held to what its exporters served.

use crate::world::{Leadline, config, printed, run, until};
use axum::Router;
use axum::routing::get;
use leadline_testkit::address::random;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// How often it is killed.
const KILLS: u32 = 10;
/// The longest that one lives after its first scrapes, ms: a few of its blocks are cut and merged by then.
const LONGEST_MS: u64 = 3_000;
/// Blocks of two seconds, merged from three on; the log becomes durable ten times a second.
const FLAGS: [&str; 4] = [
    "--storage.tsdb.min-block-duration=2s",
    "--storage.tsdb.max-block-duration=18s",
    "--storage.tsdb.retention.time=1d",
    "--storage.tsdb.wal-fsync-interval=100ms",
];

/// An exporter that serves another number each time.
struct Numbered {
    address: SocketAddr,
    served: Arc<AtomicU64>,
}

impl Numbered {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&served);
        let answer = async move || {
            let n = counter.fetch_add(1, Ordering::Relaxed) + 1;
            format!(
                "# TYPE served counter\nserved_total {n}\n# TYPE twice gauge\ntwice {}\n",
                2 * n
            )
        };
        let router = Router::new().route("/metrics", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, served }
    }

    fn job(&self, n: usize) -> String {
        format!(
            "- {{job_name: n{n}, static_configs: [{{targets: [\"{}\"]}}]}}\n",
            self.address
        )
    }
}

/// Values by job, name and time, ms.
type Samples = BTreeMap<(String, String), BTreeMap<i64, u64>>;

/// What it answers; `None` while its log is read.
async fn answered(leadline: &Leadline) -> Option<Samples> {
    let parameters = [("query", "{__name__=~\"served_total|twice\"}[1h]")];
    let (status, answer) = leadline.json("/api/v1/query", &parameters).await;
    assert!(matches!(status, 200 | 503), "{status} {answer}");
    let series = answer["data"]["result"].as_array()?;
    let text = |series: &serde_json::Value, name: &str| series["metric"][name].as_str().unwrap().to_owned();
    let sample = |pair: &serde_json::Value| {
        let t = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
        (t, pair[1].as_str().unwrap().parse().unwrap())
    };
    let found = series.iter().map(|series| {
        let values = series["values"].as_array().unwrap();
        let key = (text(series, "job"), text(series, "__name__"));
        (key, values.iter().map(sample).collect())
    });
    Some(found.collect())
}

/// What the directory holds, whoever writes to it.
async fn dumped(leadline: &Leadline) -> Samples {
    let data = leadline.folder().join("data").display().to_string();
    let arguments = ["tsdb", "dump", "--match={__name__=~\"served_total|twice\"}", &data];
    let output = run(&arguments).await;
    assert!(output.status.success(), "{}", printed(&output));
    let mut found = Samples::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let word = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let mut behind = line.rsplit(' ');
        let t: i64 = behind.next().unwrap().parse().unwrap();
        let v: u64 = behind.next().unwrap().parse().unwrap();
        let key = (word("job").unwrap(), word("__name__").unwrap());
        found.entry(key).or_default().insert(t, v);
    }
    found
}

/// What is there is what was served: each number once, in the order of time, and of one scrape all or nothing.
fn assert_served(found: &Samples, exporters: &[Numbered]) {
    for (n, exporter) in exporters.iter().enumerate() {
        let of = |name: &str| {
            found
                .get(&(format!("n{n}"), name.to_owned()))
                .cloned()
                .unwrap_or_default()
        };
        let (served, twice) = (of("served_total"), of("twice"));
        let numbers: Vec<u64> = served.values().copied().collect();
        let most = exporter.served.load(Ordering::Relaxed);
        assert!(
            numbers.is_sorted_by(|a, b| a < b) && numbers.iter().all(|&n| 0 < n && n <= most),
            "of {most} that were served: {numbers:?}"
        );
        let doubled: BTreeMap<i64, u64> = served.iter().map(|(t, n)| (*t, 2 * n)).collect();
        assert_eq!(doubled, twice, "a scrape was torn");
    }
}

/// All that was on the disk is there, and of what was answered nothing is missing before something that is there: what a
/// kill takes is the end. Returns how many samples that were answered are gone.
fn assert_kept(found: &Samples, on_disk: &Samples, before: &Samples) -> usize {
    let nothing = BTreeMap::new();
    let mut gone = 0;
    for (series, samples) in before {
        let found = found.get(series).unwrap_or(&nothing);
        let last = found.last_key_value().map_or(i64::MIN, |(t, _)| *t);
        for (t, v) in samples {
            let durable = on_disk.get(series).is_some_and(|there| there.contains_key(t));
            match found.get(t) {
                Some(there) => assert_eq!(there, v, "{series:?} at {t}"),
                None => {
                    assert!(
                        !durable && *t > last,
                        "{series:?} at {t}: lost, on disk {durable}, {last} is there"
                    );
                    gone += 1;
                }
            }
        }
    }
    gone
}

async fn start(folder: TempDir) -> Leadline {
    let file = folder.path().join("leadline.yaml");
    Leadline::start_with(folder, file, &FLAGS).await
}

/// Waits until each exporter was scraped twice more.
async fn until_scraped(leadline: &Leadline, exporters: &[Numbered]) {
    let count = || {
        exporters
            .iter()
            .map(|e| e.served.load(Ordering::Relaxed))
            .collect::<Vec<_>>()
    };
    let began = count();
    let more = async || began.iter().zip(count()).all(|(old, new)| new > old + 1).then_some(());
    until("scrapes", || leadline.log(), more).await;
}

#[tokio::test]
async fn what_was_on_disk_when_it_was_killed_is_there_and_is_what_was_served() {
    let exporters = [
        Numbered::start().await,
        Numbered::start().await,
        Numbered::start().await,
    ];
    let jobs: Vec<String> = exporters.iter().enumerate().map(|(n, e)| e.job(n)).collect();
    let folder = tempfile::tempdir().unwrap();
    let text = config(&jobs, "");
    std::fs::write(folder.path().join("leadline.yaml"), &text).unwrap();
    let mut leadline = start(folder).await;
    let (mut checked, mut gone) = (0, 0);
    for kill in 0..KILLS {
        until_scraped(&leadline, &exporters).await;
        // Nobody waits for anything here: it is the moment that is to be a random one.
        tokio::time::sleep(Duration::from_millis(random() % LONGEST_MS)).await;
        let on_disk = dumped(&leadline).await;
        let before = until("an answer", || leadline.log(), async || answered(&leadline).await).await;
        tokio::time::sleep(Duration::from_millis(random() % 150)).await;
        leadline.end(Signal::KILL).await;
        let left = dumped(&leadline).await;
        assert_served(&left, &exporters);
        gone += assert_kept(&left, &on_disk, &before);
        let data = leadline.folder().join("data").display().to_string();
        let verified = run(&["tsdb", "verify", &data]).await;
        assert!(verified.status.success(), "kill {kill}: {}", printed(&verified));

        leadline = start(leadline.into_folder()).await;
        let found = until("an answer", || leadline.log(), async || answered(&leadline).await).await;
        assert_served(&found, &exporters);
        assert_kept(&found, &on_disk, &left);
        checked += left.values().map(BTreeMap::len).sum::<usize>();
    }
    assert_eq!(leadline.end(Signal::TERM).await, Some(0), "{}", leadline.log());
    let blocks = std::fs::read_dir(leadline.folder().join("data")).unwrap().flatten();
    let blocks = blocks.filter(|entry| entry.path().join("meta.json").exists()).count();
    assert!(blocks > 0 && checked > 0, "nothing was cut");
    println!(
        "{KILLS} kills: {checked} samples found again, {gone} that were answered were not on the disk yet, {blocks} blocks"
    );
}
