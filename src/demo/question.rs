//! What the demo's screen shows is asked over the wire, as Kubernetes and KEDA would ask.

use crate::demo::access::Access;
use leadline_scaler::externalscaler::external_scaler_client::ExternalScalerClient;
use leadline_scaler::externalscaler::{GetMetricsRequest, ScaledObjectRef};
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tonic::transport::Channel;

/// An answer, or why there is none.
pub(crate) type Answer<T> = Result<T, String>;

/// The demo's clients.
pub(crate) struct Questions {
    http: reqwest::Client,
    adapter: SocketAddr,
    keda: ExternalScalerClient<Channel>,
}

/// What KEDA would be told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trigger {
    /// The value, in the trigger's unit.
    pub value: f64,
    /// Whether the workload should run at all.
    pub active: bool,
}

impl Questions {
    /// Clients of the adapter (with the demo's certificate) and of the scaler.
    pub(crate) fn new(access: &Access, adapter: SocketAddr, scaler: SocketAddr) -> Answer<Self> {
        let text = |e: reqwest::Error| e.to_string();
        // The adapter is this very process: no proxy leads to it.
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(access.authority_pem.as_bytes()).map_err(text)?])
            .identity(reqwest::Identity::from_pem(access.identity_pem.as_bytes()).map_err(text)?)
            .timeout(Duration::from_secs(3))
            .build()
            .map_err(text)?;
        let channel = Channel::from_shared(format!("http://{scaler}"))
            .map_err(|e| e.to_string())?
            .connect_lazy();
        Ok(Self {
            http,
            adapter,
            keda: ExternalScalerClient::new(channel),
        })
    }

    async fn items(&self, path: &str) -> Answer<Vec<Value>> {
        let url = format!("https://{}{path}", self.adapter);
        let answer = self.http.get(url).send().await.map_err(|e| e.to_string())?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|e| e.to_string())?;
        if !status.is_success() {
            return Err(body["message"]
                .as_str()
                .unwrap_or("an error without a message")
                .to_owned());
        }
        Ok(body["items"].as_array().cloned().unwrap_or_default())
    }

    /// The pods' values, by name.
    pub(crate) async fn pods(&self, metric: &str) -> Answer<Vec<(String, f64)>> {
        let path = format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/pods/*/{metric}");
        let items = self.items(&path).await?;
        let mut pods: Vec<(String, f64)> = items
            .iter()
            .map(|item| {
                let name = item["describedObject"]["name"].as_str().unwrap_or("?").to_owned();
                (name, item["value"].as_str().map_or(f64::NAN, quantity))
            })
            .collect();
        pods.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(pods)
    }

    /// The sum of an external metric.
    pub(crate) async fn external(&self, metric: &str) -> Answer<f64> {
        let items = self
            .items(&format!(
                "/apis/external.metrics.k8s.io/v1beta1/namespaces/demo/{metric}"
            ))
            .await?;
        Ok(items
            .iter()
            .filter_map(|item| item["value"].as_str())
            .map(quantity)
            .sum())
    }

    /// What a ScaledObject with this trigger would be told.
    pub(crate) async fn trigger(&mut self, metadata: &[(&str, &str)]) -> Answer<Trigger> {
        let scaled_object_ref = ScaledObjectRef {
            name: "worker".to_owned(),
            namespace: "demo".to_owned(),
            scaler_metadata: metadata
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect::<HashMap<_, _>>(),
        };
        let text = |status: tonic::Status| status.message().to_owned();
        let active = self
            .keda
            .is_active(scaled_object_ref.clone())
            .await
            .map_err(text)?
            .into_inner()
            .result;
        let request = GetMetricsRequest {
            scaled_object_ref: Some(scaled_object_ref),
            metric_name: "prometheus".to_owned(),
        };
        let values = self
            .keda
            .get_metrics(request)
            .await
            .map_err(text)?
            .into_inner()
            .metric_values;
        let value = values.first().map_or(0.0, |v| v.metric_value_float);
        Ok(Trigger { value, active })
    }
}

/// A Quantity's number; of its suffixes, those that the adapter writes.
fn quantity(text: &str) -> f64 {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let scale = match suffix {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        _ => f64::NAN,
    };
    number.parse::<f64>().map_or(f64::NAN, |n| n * scale)
}

#[cfg(test)]
mod tests {
    use super::quantity;

    #[test]
    fn quantities_are_read() {
        assert_eq!((quantity("1500m"), quantity("2"), quantity("3k")), (1.5, 2.0, 3000.0));
        assert!(quantity("1Q").is_nan() && quantity("").is_nan());
    }
}
