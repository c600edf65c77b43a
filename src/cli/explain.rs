//! `leadline explain`: why is this value what it is?

use crate::cli::client::client;
use crate::cli::{fail, on_runtime, print};
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::process::ExitCode;
use std::time::Duration;

/// Tells why a metric of an object is what it is, asked of a running leadline.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The namespace of the object (and of the HPA that reads the metric).
    namespace: String,
    /// The resource: `pods`, `services`, `ingresses.networking.k8s.io`, …, or `external`.
    resource: String,
    /// The object's name, or `*` for all of a kind (and for `external`).
    name: String,
    /// The metric.
    metric: String,
    /// What an HPA selects by: the objects where the name is `*`, or the results of an external metric.
    #[arg(long, short = 'l', default_value = "", value_name = "SELECTOR")]
    selector: String,
    /// What an HPA selects the results of an object's metric by (`metric.selector`).
    #[arg(long, default_value = "", value_name = "SELECTOR")]
    metric_selector: String,
    /// Where leadline's web listener is.
    #[arg(long, default_value = "http://127.0.0.1:9090", env = "LEADLINE_URL")]
    url: String,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of an answer that are read.
const MOST: usize = 64 << 20;

impl Explain {
    /// Asks and prints.
    pub(crate) fn run(self) -> ExitCode {
        on_runtime(async move {
            match self.ask().await {
                Ok(text) => {
                    print(&text.trim_end());
                    ExitCode::SUCCESS
                }
                Err(error) => fail(&error),
            }
        })
    }

    /// What is asked, selectors included.
    fn url(&self) -> String {
        let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut url = format!(
            "{}/explain/v1/namespaces/{}/{}/{}/{}",
            self.url.trim_end_matches('/'),
            part(&self.namespace),
            // A resource's dots are what separates it from its group; they stay readable.
            part(&self.resource).replace("%2E", "."),
            part(&self.name),
            part(&self.metric)
        );
        let selectors = [
            ("labelSelector", &self.selector),
            ("metricLabelSelector", &self.metric_selector),
        ];
        for (key, selector) in selectors.into_iter().filter(|(_, selector)| !selector.is_empty()) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{key}={}", part(selector)));
        }
        url
    }

    async fn ask(&self) -> Result<String, String> {
        let url = self.url();
        let accept = if self.json { "application/json" } else { "text/plain" };
        let mut answer = client(&url, PATIENCE)?
            .get(&url)
            .header("accept", accept)
            .send()
            .await
            .map_err(|e| format!("{url}: {e}; is leadline running, and is --url its web listener?"))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| format!("{url}: {e}"))? {
            if body.len() + chunk.len() > MOST {
                return Err(format!("{url}: the answer has more than {MOST} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() {
            Ok(text)
        } else {
            Err(format!("{url}: {status}: {}", text.trim()))
        }
    }
}
