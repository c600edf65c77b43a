//! A whole cluster: control plane, node, services, and KEDA where a test wants it.

use crate::Result;
use crate::address::Block;
use crate::api::Api;
use crate::audit::Audit;
use crate::control_plane::{ControlPlane, Hpa};
use crate::failure::Context;
use crate::keda::Keda;
use crate::kubectl::Kubectl;
use crate::kubelet::{Image, Images, Kubelet};
use crate::pki::{Credential, Usage};
use crate::process::tail;
use crate::services::{Services, write_empty_hosts};
use crate::wait::until;
use parking_lot::Mutex;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a cluster is like.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is written; emptied at the start.
    pub folder: PathBuf,
    /// The HPA controller's times.
    pub hpa: Hpa,
    /// The programs of known images.
    pub images: Images,
}

impl Settings {
    /// Below `folder`, with image `leadline` and image `exporter` (the test's own binary, started with `exporter` as its
    /// first argument; see [`crate::exporter::run`]).
    ///
    /// # Errors
    /// The test's own path cannot be found.
    pub fn new(folder: &Path, leadline: &Path) -> Result<Self> {
        let exporter = Image {
            program: std::env::current_exe()?,
            args: vec!["exporter".to_owned()],
        };
        let leadline = Image {
            program: leadline.to_owned(),
            args: Vec::new(),
        };
        let images = Images::from([("leadline".to_owned(), leadline), ("exporter".to_owned(), exporter)]);
        Ok(Self {
            folder: folder.to_owned(),
            hpa: Hpa::default(),
            images,
        })
    }
}

/// The running cluster. Dropping it kills every process.
#[derive(Debug)]
pub struct Cluster {
    /// The administrator.
    pub api: Api,
    /// The administrator's kubectl.
    pub kubectl: Kubectl,
    /// The audit log.
    pub audit: Audit,
    /// The node.
    pub kubelet: Kubelet,
    /// Endpoints and addresses of Services.
    pub services: Services,
    /// The three programs.
    pub control_plane: ControlPlane,
    keda: Mutex<Option<Keda>>,
    block: Arc<Block>,
    hosts_file: PathBuf,
    folder: PathBuf,
    _lock: File,
}

impl Cluster {
    /// Starts a cluster.
    ///
    /// # Errors
    /// See [`ControlPlane::start`] and [`Kubelet::start`].
    pub async fn start(settings: &Settings) -> Result<Self> {
        // A second call in one process finds the provider in place, which is what is wanted.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = &settings.folder;
        // Another run in the same folder is waited for.
        let lock_file = folder.with_extension("lock");
        let lock = File::create(&lock_file).context(lock_file.display())?;
        lock.lock().context(lock_file.display())?;
        if folder.exists() {
            std::fs::remove_dir_all(folder).context(folder.display())?;
        }
        std::fs::create_dir_all(folder.join("logs")).context(folder.display())?;
        let block = Arc::new(Block::claim()?);
        let control_plane = ControlPlane::start(folder, &block, settings.hpa).await?;
        let hosts_file = folder.join("hosts");
        write_empty_hosts(&hosts_file)?;
        let host = control_plane.server.trim_start_matches("https://").to_owned();
        // The stand-ins have names of their own in the audit log.
        let node = stand_in(&control_plane, "stand-in-kubelet")?;
        let kubelet = Kubelet::start(node, &host, block.clone(), settings.images.clone(), &hosts_file, folder)?;
        let proxy = stand_in(&control_plane, "stand-in-services")?;
        let services = Services::start(proxy, block.clone(), kubelet.table(), &hosts_file)?;
        Ok(Self {
            api: control_plane.admin.clone(),
            kubectl: Kubectl::new(&control_plane.admin_kubeconfig)?,
            audit: Audit::new(&control_plane.audit_log),
            kubelet,
            services,
            control_plane,
            keda: Mutex::new(None),
            block,
            hosts_file,
            folder: folder.clone(),
            _lock: lock,
        })
    }

    /// Starts KEDA, which becomes the provider of external.metrics.k8s.io.
    ///
    /// # Errors
    /// See [`Keda::start`].
    pub async fn start_keda(&self) -> Result<()> {
        let keda = Keda::start(
            &self.control_plane,
            &self.kubectl,
            &self.block,
            &self.hosts_file,
            &self.folder,
        )
        .await?;
        *self.keda.lock() = Some(keda);
        Ok(())
    }

    /// Waits until every pod of a Deployment is up to date and ready.
    ///
    /// # Errors
    /// It is not within `limit`.
    pub async fn rolled_out(&self, namespace: &str, deployment: &str, limit: Duration) -> Result<()> {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}");
        let path = path.as_str();
        let what = format!("deployment {namespace}/{deployment} to be rolled out");
        until(&what, limit, || async move {
            let object = self.api.get(path).await?;
            let status = &object["status"];
            let count = |key: &str| status[key].as_u64().unwrap_or_default();
            let wanted = object["spec"]["replicas"].as_u64().unwrap_or_default();
            let observed = status["observedGeneration"] == object["metadata"]["generation"];
            let settled = ["replicas", "updatedReplicas", "readyReplicas"].map(count) == [wanted; 3];
            Ok((observed && settled).then_some(()))
        })
        .await
    }

    /// `spec.replicas` of a Deployment.
    ///
    /// # Errors
    /// It is absent.
    pub async fn replicas(&self, namespace: &str, deployment: &str) -> Result<u64> {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}");
        Ok(self.api.get(&path).await?["spec"]["replicas"]
            .as_u64()
            .unwrap_or_default())
    }

    /// What a person wants to see when a test failed: objects, events, the ends of all logs.
    pub async fn dump(&self) -> String {
        let mut text = String::new();
        for args in [
            &[
                "get",
                "pods,deployments,hpa,services,endpointslices,apiservices",
                "-A",
                "-o",
                "wide",
            ][..],
            &["get", "scaledobjects.keda.sh", "-A", "-o", "yaml"],
            &["describe", "hpa", "-A"],
            &["get", "events", "-A", "--sort-by=.lastTimestamp"],
        ] {
            let answer = self.kubectl.run(args).await.unwrap_or_else(|error| error.to_string());
            let last: Vec<&str> = answer.lines().collect();
            let last = &last[last.len().saturating_sub(120)..];
            let _ = writeln!(text, "=== kubectl {}\n{}", args.join(" "), last.join("\n"));
        }
        let errors = self.services.errors();
        let _ = writeln!(text, "=== services\n{}", errors.join("\n"));
        let logs = self.folder.join("logs");
        let mut files: Vec<PathBuf> = std::fs::read_dir(&logs)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        files.sort();
        for file in files.iter().filter(|file| !file.ends_with("audit.log")) {
            let _ = writeln!(text, "=== {}\n{}", file.display(), tail(file, 25));
        }
        text
    }

    /// Stops everything in order.
    pub async fn stop(self) {
        let keda = self.keda.lock().take();
        if let Some(keda) = keda {
            keda.stop().await;
        }
        drop(self.services);
        drop(self.kubelet);
        self.control_plane.stop().await;
    }
}

fn stand_in(control_plane: &ControlPlane, name: &str) -> Result<Api> {
    let pair = control_plane.ca.issue(name, &["system:masters"], &[], Usage::Client)?;
    control_plane.client(&Credential::Certificate(pair))
}

/// Waits until an APIService is Available.
///
/// # Errors
/// It is not within `limit`; the message is its condition's.
pub async fn wait_for_api_service(api: &Api, name: &str, limit: Duration) -> Result<()> {
    let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{name}");
    let path = path.as_str();
    until(&format!("APIService {name} to be available"), limit, || async move {
        let object = api.get(path).await?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let available = conditions
            .into_iter()
            .find(|condition| condition["type"] == "Available");
        match available {
            Some(condition) if condition["status"] == "True" => Ok(Some(())),
            Some(condition) => crate::fail!("{}", condition["message"]),
            None => Ok(None),
        }
    })
    .await
}
