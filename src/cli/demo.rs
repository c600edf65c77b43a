//! `leadline demo`: the whole main job on this machine.

use crate::app::{App, ClusterMode, Options};
use crate::cli::{fail, on_runtime};
use crate::demo::access::{Access, USER};
use crate::demo::decide;
use crate::demo::question::Questions;
use crate::demo::screen::{Reading, Screen};
use crate::demo::workload::{self, Exporter};
use crate::serve::access::Demo as DemoMode;
use crate::serve::authority::Authority;
use crate::signals;
use crate::telemetry::log::{Format, Level, install};
use clap::Args;
use leadline_api::Origins;
use leadline_cluster::{Pod, PodStore};
use leadline_model::Clock;
use leadline_model::clock::SystemClock;
use leadline_model::duration::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Shows the whole main job on this machine: a sample workload is scraped, and an HPA and KEDA are answered.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where Prometheus' HTTP API is served.
    #[arg(
        long = "web.listen-address",
        default_value = "127.0.0.1:9090",
        value_name = "HOST:PORT"
    )]
    web: SocketAddr,
    /// Where the Kubernetes metrics APIs are served.
    #[arg(
        long = "adapter.listen-address",
        default_value = "127.0.0.1:6443",
        value_name = "HOST:PORT"
    )]
    adapter: SocketAddr,
    /// Where KEDA's external scaler is served.
    #[arg(
        long = "scaler.listen-address",
        default_value = "127.0.0.1:6000",
        value_name = "HOST:PORT"
    )]
    scaler: SocketAddr,
    /// Ends after so long; by default it runs until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = Duration::parse)]
    length: Option<Duration>,
}

/// The trigger of the demo's ScaledObject.
const TRIGGER: [(&str, &str); 2] = [("query", "sum(queue_depth)"), ("threshold", "10")];
/// Target of both metrics per pod.
const TARGET: f64 = 10.0;
/// `maxReplicas` of the demo's HPAs.
const MOST: u32 = 10;

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Demo {
    /// Runs until Ctrl-C, or as long as asked for.
    pub(crate) fn run(self) -> ExitCode {
        install(Level::Warn, Format::Logfmt);
        on_runtime(async move {
            match self.show().await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error),
            }
        })
    }

    async fn show(self) -> Result<(), Failure> {
        let (mut stops, hangup) = signals::catch()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let stop = CancellationToken::new();
        let exporters = workload::start(Arc::clone(&clock), stop.clone()).await?;
        let authority = Arc::new(Authority::create(clock.now())?);
        let folder = tempdir()?;
        let file = folder.0.join("leadline.yaml");
        std::fs::write(&file, configuration(&exporters))?;
        let data = folder.0.join("data");
        let app = App::start(self.options(file, data, &authority), Arc::clone(&clock), hangup).await?;
        let addresses = app.addresses();
        let adapter = addresses.adapter.ok_or("the adapter is off")?;
        let access = Access::create(&authority, adapter, clock.now())?;
        let mut questions = Questions::new(&access, adapter, addresses.scaler)?;
        let mut screen = Screen::new(intro(&access, addresses.web, adapter, addresses.scaler));
        screen.begin()?;
        let ended = tokio::select! {
            ended = watch(&mut questions, &mut screen) => ended,
            _signal = stops.told() => Ok(()),
            () = deadline(self.length) => Ok(()),
        };
        stop.cancel();
        app.stop().await;
        ended
    }

    fn options(&self, config_file: PathBuf, data: PathBuf, authority: &Arc<Authority>) -> Options {
        let pod = |name: &str| Pod {
            namespace: "demo".into(),
            name: name.into(),
            labels: [("app", "web")].into_iter().collect(),
            ..Pod::default()
        };
        Options {
            flags: BTreeMap::new(),
            config_file,
            storage: crate::storage::Options {
                path: data,
                settings: leadline_storage::Settings {
                    retention_ms: 3_600_000,
                    max_series: 100_000,
                    ..leadline_storage::Settings::default()
                },
            },
            engine: leadline_promql::settings::Settings {
                features: leadline_promql::syntax::Features::LANGUAGE,
                ..leadline_promql::settings::Settings::default()
            },
            metadata: false,
            admin_api: false,
            origins: Origins::ANY,
            web: self.web,
            adapter: self.adapter,
            adapter_files: None,
            adapter_service: "leadline".to_owned(),
            scaler: self.scaler,
            scaler_files: None,
            scaler_client_ca: None,
            scaler_service: "leadline-scaler".to_owned(),
            scaler_client_namespace: None,
            scaler_insecure: false,
            cluster: ClusterMode::Demo(Box::new(DemoMode {
                pods: PodStore::of(["web-1", "web-2", "web-3"].map(pod)),
                namespace: "demo".to_owned(),
                client_ca_pem: authority.cert_pem().to_owned(),
                user: USER.to_owned(),
                authority: Arc::clone(authority),
            })),
        }
    }
}

async fn deadline(length: Option<Duration>) {
    match length {
        Some(length) => tokio::time::sleep(length.to_std()).await,
        None => std::future::pending().await,
    }
}

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // A temporary folder that stays is no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tempdir() -> std::io::Result<Folder> {
    let folder = std::env::temp_dir().join(format!("leadline-demo-config-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    Ok(Folder(folder))
}

/// Asks once a second and shows the answers.
async fn watch(questions: &mut Questions, screen: &mut Screen) -> Result<(), Failure> {
    let mut replicas = 3;
    let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1));
    for second in 0.. {
        ticks.tick().await;
        let pods = questions.pods("http_requests_per_second").await;
        let queue = questions.external("queue_depth").await;
        let trigger = questions.trigger(&TRIGGER).await;
        let average = pods
            .as_ref()
            .ok()
            .filter(|p| !p.is_empty())
            .map(|p| p.iter().map(|(_, v)| v).sum::<f64>() / p.len() as f64);
        let queue_replicas = queue
            .as_ref()
            .ok()
            .map(|q| decide::share_of_total(replicas, *q, TARGET, MOST));
        let trigger_replicas = trigger.as_ref().ok().map(|t| {
            if t.active {
                decide::share_of_total(replicas, t.value, TARGET, MOST)
            } else {
                0
            }
        });
        let reading = Reading {
            second,
            pods_replicas: average.map(|a| decide::average_per_pod(3, a, TARGET, MOST)),
            pods,
            queue,
            queue_replicas,
            trigger,
            trigger_replicas,
        };
        replicas = reading.queue_replicas.unwrap_or(replicas);
        screen.show(&reading)?;
    }
    Ok(())
}

/// What is scraped and served.
fn configuration(exporters: &[Exporter]) -> String {
    let targets: Vec<String> = exporters
        .iter()
        .map(|e| {
            format!(
                "      - {{targets: [\"{}\"], labels: {{namespace: demo, pod: {}}}}}\n",
                e.address, e.pod
            )
        })
        .collect();
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n  - job_name: demo\n    static_configs:\n{}\
         autoscaling:\n  metrics:\n\
         \x20   - name: http_requests_per_second\n      describes: pods\n      \
         query: sum by (namespace, pod) (rate(http_requests_total[15s]))\n\
         \x20   - name: queue_depth\n      describes: external\n      query: sum by (namespace, queue) (queue_depth)\n",
        targets.concat()
    )
}

/// What there is to try.
fn intro(access: &Access, web: SocketAddr, adapter: SocketAddr, scaler: SocketAddr) -> String {
    let path = |name| access.file(name).display().to_string();
    let pods = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/pods/*/http_requests_per_second";
    format!(
        "leadline scrapes three pods and a queue whose load moves, and answers as an HPA and KEDA would ask. Ctrl-C ends it.\n\n\
         try:\n\
         \x20 curl -sG 'http://{web}/api/v1/query' --data-urlencode 'query=sum by (pod) (rate(http_requests_total[15s]))'\n\
         \x20 curl -s 'http://{web}/explain/v1/namespaces/demo/pods/*/http_requests_per_second'\n\
         \x20 curl -s --cacert {ca} --cert {cert} --key {key} 'https://{adapter}{pods}'\n\
         \x20 curl -s --cacert {ca} 'https://{adapter}{pods}'      # without the certificate: refused\n\
         \x20 kubectl --kubeconfig {kubeconfig} get --raw '{pods}'\n\
         \x20 grpcurl -plaintext -d '{{\"name\":\"worker\",\"namespace\":\"demo\",\"scalerMetadata\":{{\"query\":\"sum(queue_depth)\",\"threshold\":\"10\"}}}}' \
         {scaler} externalscaler.ExternalScaler/StreamIsActive\n",
        ca = path("ca.crt"),
        cert = path("client.crt"),
        key = path("client.key"),
        kubeconfig = path("kubeconfig"),
    )
}
