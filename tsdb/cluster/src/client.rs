//! The connection to the API server.

use crate::extension_auth::{ExtensionAuth, ExtensionAuthWatch};
use crate::kubeconfig::{Access, KubeconfigError};
use crate::mapper::Mapper;
use crate::objects::ObjectWatches;
use crate::pod_store::PodStore;
use crate::watch::WatchReport;
use kube::Client;
use kube::config::{Config, InClusterError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What rooms share of a Kubernetes cluster. What is asked for first starts being watched; [`Cluster::run`] does the work.
pub struct Cluster {
    client: Client,
    namespace: String,
    url: String,
    pods: Arc<PodStore>,
    mapper: Arc<Mapper>,
    objects: Arc<ObjectWatches>,
    extension_auth: Arc<ExtensionAuthWatch>,
    /// Set by the first question for pods, and for the authentication data.
    pods_wanted: tokio::sync::watch::Sender<bool>,
    auth_wanted: tokio::sync::watch::Sender<bool>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("url", &self.url)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Why no client could be made. A server that does not answer is no such reason: the watches keep trying.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig file is missing or wrong.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// No kubeconfig was given and this is no pod with a service account.
    #[error("no kubeconfig was given and this is no pod: {0}")]
    NotInPod(#[from] InClusterError),
    /// The settings cannot be used.
    #[error("kubernetes client: {0}")]
    Client(#[from] kube::Error),
}

/// Longest time without an answer to a single request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

impl Cluster {
    /// A client from a kubeconfig file (its current context), or from the pod's service account where none is given.
    /// Tokens that live in files are read again when they change, and so is the authority of a pod. Nothing is sent yet.
    /// The proxy of the environment is not used. A program that the kubeconfig gets credentials from runs here, on a thread of its
    /// own: whoever stops waiting for this leaves it behind.
    ///
    /// # Errors
    /// [`ConnectError`]: the settings are missing or wrong.
    pub async fn connect(kubeconfig: Option<&Path>) -> Result<Arc<Self>, ConnectError> {
        let Some(path) = kubeconfig else {
            return Ok(Self::of(Config::incluster()?).await?);
        };
        // What a client cannot be made of was in the file too.
        let config = Access::read(path)?.into_config();
        // The environment's proxy is for what is far away, and would end the start: none is supported here, and one that the
        // file names was refused.
        let named = |name| std::env::var_os(name).is_some_and(|proxy| !proxy.is_empty());
        if named("HTTPS_PROXY") || named("https_proxy") {
            tracing::info!(server = %config.cluster_url, "HTTPS_PROXY is not used for the API server");
        }
        Self::of(config).await.map_err(|error| {
            ConnectError::Kubeconfig(KubeconfigError {
                path: path.to_owned(),
                key: String::new(),
                reason: error.to_string(),
            })
        })
    }

    /// Whether this process runs in a pod that may talk to its API server.
    #[must_use]
    pub fn in_pod() -> bool {
        std::env::var_os("KUBERNETES_SERVICE_HOST").is_some_and(|host| !host.is_empty())
    }

    async fn of(mut config: Config) -> Result<Arc<Self>, kube::Error> {
        config.connect_timeout = Some(REQUEST_TIMEOUT);
        config.write_timeout = Some(REQUEST_TIMEOUT);
        // Whoever asks has a deadline and a backoff of its own; a hidden second one holds answers up for minutes.
        config.default_retry = false;
        let (url, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
        let made = tokio::task::spawn_blocking(move || Client::try_from(config)).await;
        let client = made.map_err(|ended| kube::Error::Service(ended.into()))??;
        let mapper = Mapper::new(Some(client.clone()));
        Ok(Arc::new(Self {
            objects: ObjectWatches::new(client.clone()),
            extension_auth: ExtensionAuthWatch::new(),
            pods: PodStore::new(),
            pods_wanted: tokio::sync::watch::Sender::new(false),
            auth_wanted: tokio::sync::watch::Sender::new(false),
            client,
            namespace,
            url,
            mapper,
        }))
    }

    /// The client, for single requests (TokenReview, SubjectAccessReview, Secrets …).
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The namespace of this pod, or of the kubeconfig's context.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where the API server is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The pods of the cluster; their watch starts with the first call.
    #[must_use]
    pub fn pods(&self) -> Arc<PodStore> {
        self.pods_wanted.send_replace(true);
        Arc::clone(&self.pods)
    }

    /// Names of resources.
    #[must_use]
    pub fn mapper(&self) -> Arc<Mapper> {
        Arc::clone(&self.mapper)
    }

    /// Objects of other kinds than pods.
    #[must_use]
    pub fn objects(&self) -> Arc<ObjectWatches> {
        Arc::clone(&self.objects)
    }

    /// What the API server's aggregation layer is to be trusted by; `None` until it was read. Its watch starts with the
    /// first call.
    #[must_use]
    pub fn extension_auth(&self) -> tokio::sync::watch::Receiver<Option<Arc<ExtensionAuth>>> {
        self.auth_wanted.send_replace(true);
        self.extension_auth.subscribe()
    }

    /// How every watch that was started goes.
    #[must_use]
    pub fn status(&self) -> Vec<WatchReport> {
        let mut reports = Vec::new();
        if *self.pods_wanted.borrow() {
            reports.push(self.pods.stats());
        }
        if *self.auth_wanted.borrow() {
            reports.push(self.extension_auth.stats());
        }
        reports.extend(self.objects.stats());
        reports
    }

    /// Keeps the watches going, and the mapper learning, until `cancel`.
    pub async fn run(&self, cancel: CancellationToken) {
        let pods = async {
            wanted(&self.pods_wanted).await;
            self.pods.run(self.client(), cancel.clone()).await;
        };
        let auth = async {
            wanted(&self.auth_wanted).await;
            self.extension_auth.run(self.client(), cancel.clone()).await;
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            _ = futures::future::join4(pods, auth, self.objects.run(cancel.clone()), self.mapper.run(cancel.clone())) => {}
        }
    }
}

async fn wanted(flag: &tokio::sync::watch::Sender<bool>) {
    // The sender lives as long as the borrow, so waiting cannot fail.
    let _ = flag.subscribe().wait_for(|wanted| *wanted).await;
}
