//! As whom the process serves TLS: files that it was given, or certificates of an authority of its own.
//!
//! In a pod the authority lives in a Secret that whoever of the replicas comes first creates; each replica issues its own
//! leaf from it and keeps the authority in the `caBundle` of our APIServices. A second Secret holds what KEDA needs to call the
//! scaler. Elsewhere the authority lives in memory.

use crate::app::{ClusterMode, Options, Rooms};
use crate::serve::authority::{Authority, CertError};
use crate::serve::certs::{self, ClientAuthorities, Clients, Serving};
use crate::serve::expiry::{self, Certificates, Validity};
use crate::serve::handshakes::Handshakes;
use crate::serve::listener::Tls;
use crate::shutdown::Shutdown;
use leadline_cluster::{
    Cluster, Kept, SecretData, SecretError, ServiceName, create_once, keep_ca_bundles, keep_fitting,
};
use leadline_model::Clock;
use std::sync::Arc;
use std::time::Duration;

/// The Secret of the authority, in our own namespace.
pub(crate) const AUTHORITY_SECRET: &str = "leadline-ca";
/// The Secret with the certificate that KEDA shows the scaler.
pub(crate) const CLIENT_SECRET: &str = "leadline-scaler-client";
/// The APIServices whose `caBundle` is ours.
const API_SERVICES: [&str; 3] = [
    "v1beta2.custom.metrics.k8s.io",
    "v1beta1.custom.metrics.k8s.io",
    "v1beta1.external.metrics.k8s.io",
];
/// How often they are looked at: somebody who applies the manifests again takes the bundle away.
const BUNDLE_PERIOD: Duration = Duration::from_secs(30);
/// How long a missing answer of the API server is waited for at the start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// It cannot be made or read.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// The Secret is not to be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The scaler would be open to everybody.
    #[error(
        "--scaler.listen-address {0} is not loopback: give --scaler.tls-cert-file, --scaler.tls-private-key-file and \
         --scaler.tls-client-ca-file, or --scaler.insecure"
    )]
    Open(std::net::SocketAddr),
    /// Mutual TLS was asked for where there is no authority that KEDA could be told of.
    #[error(
        "--scaler.client-secret-namespace (LEADLINE_SCALER_CLIENT_NAMESPACE) {0} asks for a client certificate of the \
         authority that is kept in the pod's own namespace, and this is no pod: give --scaler.tls-cert-file, \
         --scaler.tls-private-key-file and --scaler.tls-client-ca-file instead"
    )]
    NoPod(String),
}

/// The certificates of this process.
pub(crate) struct Identity {
    adapter: Arc<Serving>,
    scaler: Option<(Arc<Serving>, Clients)>,
    /// Our own authority, where something is issued by it.
    authority: Option<Validity>,
    /// What the APIServices must trust, where it is ours.
    bundle: Option<Vec<u8>>,
    /// The Service that our APIServices name.
    service: String,
}

impl Identity {
    /// Reads or makes them.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub(crate) async fn establish(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, IdentityError> {
        let authority = Self::authority(options, &*clock).await?;
        let adapter = match &options.adapter_files {
            Some((cert, key)) => Serving::from_files(cert, key)?,
            None => {
                let names = names(&options.adapter_service, &options.cluster);
                Serving::own(Arc::clone(&authority), names, Arc::clone(&clock))?
            }
        };
        let bundle = options
            .adapter_files
            .is_none()
            .then(|| authority.cert_pem().as_bytes().to_vec());
        let scaler = Self::scaler(options, &authority, &clock).await?;
        let issues = options.adapter_files.is_none() || (options.scaler_files.is_none() && scaler.is_some());
        let authority = issues.then(|| authority.validity("our own authority"));
        Ok(Self {
            adapter,
            scaler,
            authority: authority.transpose()?,
            bundle,
            service: options.adapter_service.clone(),
        })
    }

    async fn authority(options: &Options, clock: &dyn Clock) -> Result<Arc<Authority>, IdentityError> {
        match &options.cluster {
            ClusterMode::Demo(demo) => Ok(Arc::clone(&demo.authority)),
            ClusterMode::Connected(cluster) if Cluster::in_pod() => shared_authority(cluster, clock).await,
            _ => Ok(Arc::new(Authority::create(clock.now())?)),
        }
    }

    /// Plain text on loopback, unless somebody said where KEDA's certificate belongs: that asks for mutual TLS, whatever the
    /// address.
    async fn scaler(
        options: &Options,
        authority: &Arc<Authority>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<(Arc<Serving>, Clients)>, IdentityError> {
        if let Some((cert, key)) = &options.scaler_files {
            let clients = match &options.scaler_client_ca {
                Some(file) => Clients::Required(ClientAuthorities::from_file(file)?),
                None if options.scaler.ip().is_loopback() || options.scaler_insecure => Clients::Anonymous,
                None => return Err(IdentityError::Open(options.scaler)),
            };
            return Ok(Some((Serving::from_files(cert, key)?, clients)));
        }
        let asked = options.scaler_client_namespace.as_deref();
        if asked.is_none() && (options.scaler.ip().is_loopback() || options.scaler_insecure) {
            return Ok(None);
        }
        match (&options.cluster, asked) {
            (ClusterMode::Connected(cluster), _) if Cluster::in_pod() => {
                let namespace = asked.unwrap_or_else(|| cluster.namespace());
                share_client(cluster, namespace, authority, &**clock).await?;
                let names = names(&options.scaler_service, &options.cluster);
                let serving = Serving::own(Arc::clone(authority), names, Arc::clone(clock))?;
                let place = format!("secret {AUTHORITY_SECRET}");
                let authorities = ClientAuthorities::fixed(authority.cert_pem(), &place)?;
                Ok(Some((serving, Clients::Required(authorities))))
            }
            (_, Some(namespace)) => Err(IdentityError::NoPod(namespace.to_owned())),
            (_, None) => Err(IdentityError::Open(options.scaler)),
        }
    }

    /// What the adapter serves.
    pub(crate) fn adapter(&self) -> Arc<Serving> {
        Arc::clone(&self.adapter)
    }

    /// TLS of the scaler's listener; `None` for plain text.
    ///
    /// # Errors
    /// [`CertError`] when the client authorities cannot be used.
    pub(crate) fn scaler_tls(&self, handshakes: &Arc<Handshakes>) -> Result<Option<Tls>, CertError> {
        let Some((serving, clients)) = &self.scaler else {
            return Ok(None);
        };
        certs::tls(Arc::clone(serving), clients.clone(), &["h2"], handshakes).map(Some)
    }

    /// The certificates, to be shown.
    pub(crate) fn certificates(&self) -> Certificates {
        Certificates {
            authority: self.authority,
            adapter: self.adapter(),
            scaler: self.scaler.as_ref().map(|(serving, _)| Arc::clone(serving)),
        }
    }

    /// Keeps certificates fresh and, in a cluster, the APIServices' trust in them.
    pub(crate) fn start(self, rooms: &Rooms, parts: &mut Shutdown) {
        let cluster = rooms.cluster.as_ref();
        let adapter = self.adapter;
        parts.start("adapter certificate", |stop| adapter.run(stop));
        if let Some((serving, clients)) = self.scaler {
            parts.start("scaler certificate", |stop| serving.run(stop));
            if let Clients::Required(authorities) = clients {
                parts.start("scaler client authorities", |stop| authorities.run(stop));
            }
        }
        // One in memory began with the process.
        if let (Some(authority), true) = (self.authority, Cluster::in_pod()) {
            let (clock, ready) = (Arc::clone(&rooms.clock), rooms.ready.clone());
            parts.start("authority", |stop| expiry::watch(authority, clock, ready, stop));
        }
        if let (Some(cluster), Some(bundle), true) = (cluster, self.bundle, Cluster::in_pod()) {
            let client = cluster.client();
            let ours = ServiceName {
                namespace: cluster.namespace().to_owned(),
                name: self.service,
            };
            parts.start("caBundle", |stop| async move {
                // The authority does not change while the process lives; the sender is kept so that the watch goes on.
                let (_keep, bundle) = tokio::sync::watch::channel(bundle);
                keep_ca_bundles(client, &ours, &API_SERVICES, bundle, BUNDLE_PERIOD, stop).await;
            });
        }
    }
}

/// The names that a certificate for `service` has to carry, and loopback for whoever stands beside it.
fn names(service: &str, cluster: &ClusterMode) -> Vec<String> {
    let mut names = Vec::new();
    if let ClusterMode::Connected(cluster) = cluster {
        let namespace = cluster.namespace();
        names.extend(["svc", "svc.cluster.local"].map(|domain| format!("{service}.{namespace}.{domain}")));
        names.push(format!("{service}.{namespace}"));
    }
    names.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
    names
}

fn utf8(data: &SecretData, key: &str) -> String {
    data.get(key)
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .unwrap_or_default()
}

/// The authority that all replicas share. An API server that does not answer yet is waited for.
async fn shared_authority(cluster: &Cluster, clock: &dyn Clock) -> Result<Arc<Authority>, IdentityError> {
    let make = || {
        let made = Authority::create(clock.now()).map_err(|e| e.to_string())?;
        let part = |key: &str, pem: &str| (key.to_owned(), pem.as_bytes().to_vec());
        Ok([part("ca.crt", made.cert_pem()), part("ca.key", made.key_pem())].into())
    };
    let data = patiently(|| create_once(cluster.client(), cluster.namespace(), AUTHORITY_SECRET, make)).await?;
    let place = format!("secret {}/{AUTHORITY_SECRET}", cluster.namespace());
    Ok(Arc::new(Authority::from_pem(
        &place,
        &utf8(&data, "ca.crt"),
        &utf8(&data, "ca.key"),
    )?))
}

/// Puts a client certificate for KEDA where its TriggerAuthentication finds it. One of another authority than ours (which
/// somebody had made anew) would lock KEDA out.
async fn share_client(
    cluster: &Cluster,
    namespace: &str,
    authority: &Authority,
    clock: &dyn Clock,
) -> Result<(), IdentityError> {
    let make = || {
        let pair = authority
            .long_lived_client("keda-operator", clock.now())
            .map_err(|e| e.to_string())?;
        let part = |key: &str, pem: &str| (key.to_owned(), pem.as_bytes().to_vec());
        Ok([
            part("ca.crt", authority.cert_pem()),
            part("tls.crt", &pair.cert_pem),
            part("tls.key", &pair.key_pem),
        ]
        .into())
    };
    let fits = |data: &SecretData| {
        let whole = ["tls.crt", "tls.key"].iter().all(|key| data.contains_key(*key));
        whole
            && data
                .get("ca.crt")
                .is_some_and(|ca| ca == authority.cert_pem().as_bytes())
    };
    match patiently(|| keep_fitting(cluster.client(), namespace, CLIENT_SECRET, fits, make)).await? {
        Kept::Fits => {}
        Kept::Created => tracing::info!(
            namespace,
            secret = CLIENT_SECRET,
            "made the client certificate for KEDA"
        ),
        Kept::Renewed => tracing::warn!(
            namespace,
            secret = CLIENT_SECRET,
            "the client certificate for KEDA was of another authority than {AUTHORITY_SECRET}, and is renewed"
        ),
        Kept::Foreign => tracing::error!(
            namespace,
            secret = CLIENT_SECRET,
            "the client certificate for KEDA is not of {AUTHORITY_SECRET}'s authority, and not of leadline's making: KEDA \
             will be refused until the Secret is deleted"
        ),
    }
    Ok(())
}

/// Tries again while the API server does not answer, up to a minute.
async fn patiently<T, F: Future<Output = Result<T, SecretError>>>(
    mut work: impl FnMut() -> F,
) -> Result<T, SecretError> {
    let began = tokio::time::Instant::now();
    loop {
        match work().await {
            Ok(done) => return Ok(done),
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "trying again");
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    }
}
