//! What a server behind the aggregation layer trusts: ConfigMap kube-system/extension-apiserver-authentication.

use crate::watch::{self, WatchReport, WatchStatus};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";

/// The content of the ConfigMap, as kube-apiserver publishes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtensionAuth {
    /// `client-ca-file`: PEM certificates that sign users' client certificates; empty where there are none.
    pub client_ca: String,
    /// `requestheader-client-ca-file`: PEM certificates that sign front proxies' certificates. Never to be mixed with
    /// [`Self::client_ca`]: whoever has any client certificate could then claim to be anybody.
    pub request_header_ca: String,
    /// `requestheader-username-headers`, in the order they are looked at.
    pub username_headers: Vec<String>,
    /// `requestheader-uid-headers`.
    pub uid_headers: Vec<String>,
    /// `requestheader-group-headers`.
    pub group_headers: Vec<String>,
    /// `requestheader-extra-headers-prefix`.
    pub extra_prefixes: Vec<String>,
    /// `requestheader-allowed-names`: common names of front proxies; empty admits each one its CA signed.
    pub allowed_names: Vec<String>,
}

/// What is wrong with the ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionAuthError {
    /// A key's value is not a JSON array of texts.
    #[error("configmap {NAMESPACE}/{NAME}, key {key}: expected a JSON array of strings: {reason}")]
    NotAList {
        /// The key.
        key: &'static str,
        /// What was found.
        reason: String,
    },
    /// There is neither of the two CAs.
    #[error("configmap {NAMESPACE}/{NAME} has neither client-ca-file nor requestheader-client-ca-file")]
    NoCa,
}

impl ExtensionAuth {
    /// Reads the ConfigMap's data. A CA that is empty or gone keeps its `previous` value, and with the front proxies' CA
    /// its headers and names: the data of a server that is just being restarted must not take away what is known
    /// (`authentication_dynamic_request_header.go`, `dynamic_cafile_content.go`).
    ///
    /// # Errors
    /// [`ExtensionAuthError`]; the previous values then stay in force.
    pub fn read(data: &BTreeMap<String, String>, previous: Option<&Self>) -> Result<Self, ExtensionAuthError> {
        let text = |key: &str| data.get(key).map(String::as_str).filter(|t| !t.trim().is_empty());
        let list = |key: &'static str| match text(key) {
            None => Ok(Vec::new()),
            Some(json) => serde_json::from_str::<Vec<String>>(json).map_err(|e| ExtensionAuthError::NotAList {
                key,
                reason: e.to_string(),
            }),
        };
        let mut next = match (text("requestheader-client-ca-file"), previous) {
            (Some(ca), _) => Self {
                client_ca: String::new(),
                request_header_ca: ca.to_owned(),
                username_headers: list("requestheader-username-headers")?,
                uid_headers: list("requestheader-uid-headers")?,
                group_headers: list("requestheader-group-headers")?,
                extra_prefixes: list("requestheader-extra-headers-prefix")?,
                allowed_names: list("requestheader-allowed-names")?,
            },
            (None, Some(previous)) => previous.clone(),
            (None, None) => Self::default(),
        };
        match (text("client-ca-file"), previous) {
            (Some(ca), _) => ca.clone_into(&mut next.client_ca),
            (None, Some(previous)) => previous.client_ca.clone_into(&mut next.client_ca),
            (None, None) => {}
        }
        #[cfg(feature = "planted")]
        leadline_model::planted::trap(next.allowed_names.len() > 2);
        if next.client_ca.is_empty() && next.request_header_ca.is_empty() {
            return Err(ExtensionAuthError::NoCa);
        }
        Ok(next)
    }
}

/// Follows the ConfigMap and keeps the last good content.
pub(crate) struct ExtensionAuthWatch {
    latest: tokio::sync::watch::Sender<Option<Arc<ExtensionAuth>>>,
    status: Arc<WatchStatus>,
}

impl ExtensionAuthWatch {
    pub(crate) fn new() -> Arc<Self> {
        let status = WatchStatus::new(format!("configmap {NAMESPACE}/{NAME}"));
        Arc::new(Self {
            latest: tokio::sync::watch::Sender::new(None),
            status,
        })
    }

    pub(crate) fn subscribe(&self) -> tokio::sync::watch::Receiver<Option<Arc<ExtensionAuth>>> {
        self.latest.subscribe()
    }

    pub(crate) fn stats(&self) -> WatchReport {
        self.status.report()
    }

    fn accept(&self, map: ConfigMap) {
        let data = map.data.unwrap_or_default();
        let previous = self.latest.borrow().clone();
        match ExtensionAuth::read(&data, previous.as_deref()) {
            Ok(next) if previous.as_deref() == Some(&next) => {}
            Ok(next) => {
                self.latest.send_replace(Some(Arc::new(next)));
            }
            Err(error) => self.status.failed(&error.to_string()),
        }
    }

    pub(crate) async fn run(&self, client: Client, cancel: CancellationToken) {
        // A field selector on the name is what the role extension-apiserver-authentication-reader admits.
        let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        let start = |config| watcher(Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE), config).boxed();
        let mut found = false;
        let sink = |event: Event<ConfigMap>| match event {
            Event::Init => found = false,
            Event::InitApply(map) | Event::Apply(map) => {
                found = true;
                self.accept(map);
            }
            Event::InitDone => {
                self.status.complete();
                if !found {
                    self.status
                        .failed("the configmap does not exist; is the API server's aggregation layer configured?");
                }
            }
            Event::Delete(_) => self
                .status
                .failed("the configmap was deleted, its last content stays in force"),
        };
        watch::drive(&self.status, config, start, sink, cancel).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn full() -> BTreeMap<String, String> {
        data(&[
            ("client-ca-file", "CLIENT"),
            ("requestheader-client-ca-file", "FRONT"),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
            ("requestheader-uid-headers", r#"["X-Remote-Uid"]"#),
            ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
            ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
            ("requestheader-allowed-names", r#"["front-proxy-client",""]"#),
        ])
    }

    #[test]
    fn the_lists_are_json_in_strings() {
        let auth = ExtensionAuth::read(&full(), None).unwrap();
        assert_eq!(
            (auth.client_ca.as_str(), auth.request_header_ca.as_str()),
            ("CLIENT", "FRONT")
        );
        assert_eq!(auth.username_headers, ["X-Remote-User"]);
        assert_eq!(auth.allowed_names, ["front-proxy-client", ""]);
        assert_eq!(auth.extra_prefixes, ["X-Remote-Extra-"]);
    }

    #[test]
    fn what_is_empty_keeps_the_last_good_value_and_what_is_broken_changes_nothing() {
        let good = ExtensionAuth::read(&full(), None).unwrap();
        let emptied = data(&[("client-ca-file", ""), ("requestheader-client-ca-file", " ")]);
        assert_eq!(ExtensionAuth::read(&emptied, Some(&good)), Ok(good.clone()));
        let rotated = data(&[("client-ca-file", "NEW")]);
        assert_eq!(
            ExtensionAuth::read(&rotated, Some(&good)).unwrap(),
            ExtensionAuth {
                client_ca: "NEW".into(),
                ..good
            }
        );
        let mut broken = full();
        broken.insert("requestheader-allowed-names".into(), "front-proxy-client".into());
        let error = ExtensionAuth::read(&broken, None).unwrap_err().to_string();
        assert!(
            error.contains("requestheader-allowed-names") && error.contains("JSON array"),
            "{error}"
        );
        assert_eq!(ExtensionAuth::read(&data(&[]), None), Err(ExtensionAuthError::NoCa));
    }
}
