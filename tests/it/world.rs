//! A leadline that a test started, and exporters that it scrapes.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use leadline_testkit::process::{Process, Spec};
use parking_lot::Mutex;
use rustix::process::Signal;
use serde_json::Value;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest that anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The program under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_leadline"))
}

/// Asks `probe` until it finds something; `what` and `context` tell what was missing when it never does.
pub(crate) async fn until<T>(what: &str, context: impl Fn() -> String, probe: impl AsyncFn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "waited {PATIENCE:?} for {what}\n{}",
            context()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A kubeconfig for an API server at `server`, without credentials.
pub(crate) fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: k, cluster: {{server: \"{server}\"}}}}]\n\
         contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    )
}

/// An HTTP client without a proxy.
pub(crate) fn http() -> reqwest::ClientBuilder {
    // Fails only when a provider is installed already, which is then this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10))
}

/// An exporter inside the test: what it exposes can be changed, and it can go down.
pub(crate) struct Exporter {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    page: Arc<Mutex<Option<String>>>,
}

impl Exporter {
    /// Serves `page` under /metrics.
    pub(crate) async fn start(page: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let page = Arc::new(Mutex::new(Some(page.to_owned())));
        let shown = Arc::clone(&page);
        let answer = async move || shown.lock().clone().ok_or(StatusCode::SERVICE_UNAVAILABLE);
        let router = Router::new().route("/metrics", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, page }
    }

    /// Exposes `page` from now on.
    pub(crate) fn set(&self, page: &str) {
        *self.page.lock() = Some(page.to_owned());
    }

    /// Refuses every scrape from now on.
    pub(crate) fn fail(&self) {
        *self.page.lock() = None;
    }

    /// A scrape configuration of this exporter alone, as an item of `scrape_configs`.
    pub(crate) fn job(&self, name: &str) -> String {
        let labels = format!("{{namespace: default, pod: {name}-0}}");
        format!(
            "- {{job_name: {name}, static_configs: [{{targets: [\"{}\"], labels: {labels}}}]}}\n",
            self.address
        )
    }
}

/// A configuration that scrapes `jobs` five times a second, followed by `more`.
pub(crate) fn config(jobs: &[String], more: &str) -> String {
    format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs:\n{}{more}",
        jobs.concat()
    )
}

/// A running `leadline serve`.
pub(crate) struct Leadline {
    /// The web listener.
    pub(crate) web: SocketAddr,
    /// The scaler's.
    pub(crate) scaler: SocketAddr,
    /// The configuration file.
    pub(crate) file: PathBuf,
    /// Its process.
    pub(crate) process: Process,
    folder: TempDir,
    client: reqwest::Client,
}

impl Leadline {
    /// Starts one with this configuration.
    pub(crate) async fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("leadline.yaml");
        std::fs::write(&file, config).unwrap();
        Self::start_with(folder, file, &[]).await
    }

    /// Starts one with a configuration file in `folder` and further flags.
    pub(crate) async fn start_with(folder: TempDir, file: PathBuf, flags: &[&str]) -> Self {
        Self::start_behind(&[], folder, file, flags).await
    }

    /// The same by a program that becomes leadline: its path and the arguments that go before leadline's own path.
    pub(crate) async fn start_behind(before: &[OsString], folder: TempDir, file: PathBuf, flags: &[&str]) -> Self {
        let own = OsString::from(binary());
        let (program, rest) = before.split_first().unwrap_or((&own, &[]));
        let process = Spec::new("leadline", Path::new(program), folder.path())
            .args(rest)
            .args((!before.is_empty()).then_some(&own))
            .args([
                "serve",
                "--web.listen-address=127.0.0.1:0",
                "--scaler.listen-address=127.0.0.1:0",
            ])
            .args([format!("--config.file={}", file.display())])
            .args([format!("--storage.tsdb.path={}", folder.path().join("data").display())])
            .args(flags)
            .start()
            .unwrap();
        let log = folder.path().join("leadline.log");
        let read = || std::fs::read_to_string(&log).unwrap_or_default();
        let (web, scaler) = until("the line that says where it listens", read, async || {
            assert!(process.exited().is_none(), "leadline ended:\n{}", read());
            let text = read();
            let line = text
                .lines()
                .find(|l| l.contains(": listening ") && l.contains(" adapter="))?;
            let word = |key: &str| line.split(' ').find_map(|w| w.strip_prefix(key))?.parse().ok();
            Some((word("web=")?, word("scaler=")?))
        })
        .await;
        Self {
            web,
            scaler,
            file,
            process,
            folder,
            client: http().build().unwrap(),
        }
    }

    /// Everything that it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("leadline.log")).unwrap_or_default()
    }

    /// The folder of its files, to be used by another when this one has ended. Its log is kept apart.
    pub(crate) fn into_folder(self) -> TempDir {
        let log = self.folder.path().join("leadline.log");
        std::fs::rename(&log, self.folder.path().join("leadline.log.before")).unwrap();
        self.folder
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// GET of a path with its parameters: status and body.
    pub(crate) async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> (u16, String) {
        let url = format!("http://{}{path}", self.web);
        let answer = self.client.get(url).query(parameters).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// POST of a form.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        let url = format!("http://{}{path}", self.web);
        let answer = self.client.post(url).form(form).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// GET of JSON.
    pub(crate) async fn json(&self, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
        let (status, body) = self.get(path, parameters).await;
        (
            status,
            serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}")),
        )
    }

    /// The one value of an instant query; `None` when it has none or several.
    pub(crate) async fn value(&self, query: &str) -> Option<f64> {
        let (_, answer) = self.json("/api/v1/query", &[("query", query)]).await;
        match answer["data"]["result"].as_array()?.as_slice() {
            [one] => one["value"][1].as_str()?.parse().ok(),
            _ => None,
        }
    }

    /// Waits until a query has one value, and this one.
    pub(crate) async fn until_value(&self, query: &str, value: f64) {
        let what = format!("{query} to be {value}");
        until(
            &what,
            || self.log(),
            async || (self.value(query).await == Some(value)).then_some(()),
        )
        .await;
    }

    /// One of its own metrics, as it stands on the page.
    pub(crate) async fn own(&self, series: &str) -> Option<f64> {
        let (_, page) = self.get("/metrics", &[]).await;
        page.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits for a line of the log that holds all of `parts`.
    pub(crate) async fn until_logged(&self, parts: &[&str]) {
        let has = |line: &str| parts.iter().all(|part| line.contains(part));
        until(
            &format!("{parts:?} in the log"),
            || self.log(),
            async || self.log().lines().any(has).then_some(()),
        )
        .await;
    }

    /// Sends a signal and waits for the end; the exit code.
    pub(crate) async fn end(&self, signal: Signal) -> Option<i32> {
        self.process.signal(signal);
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("it did not end:\n{}", self.log()))
            .code()
    }
}

/// Runs a command of leadline to its end.
pub(crate) async fn run(args: &[&str]) -> Output {
    run_with(args, &[]).await
}

/// Runs a command of leadline to its end, with further variables in its environment.
pub(crate) async fn run_with(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = tokio::process::Command::new(binary());
    command.args(args).stdin(std::process::Stdio::null()).kill_on_drop(true);
    command.envs(env.iter().copied());
    // What the surroundings say must not decide.
    command.env_remove("KUBERNETES_SERVICE_HOST").env_remove("LEADLINE_URL");
    tokio::time::timeout(PATIENCE, command.output())
        .await
        .unwrap_or_else(|_| panic!("{args:?} did not end"))
        .unwrap()
}

/// What a command printed, standard output and errors together.
pub(crate) fn printed(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
