//! Serving certificates that change while the process runs: looked up for each connection.

use crate::serve::authority::{Authority, CertError, LEAF_DAYS, Pair, certificates};
use crate::serve::listener::Tls;
use leadline_model::Clock;
use parking_lot::RwLock;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often certificate files are looked at; Kubernetes swaps a mounted Secret by a symlink, which keeps no event.
const POLL: Duration = Duration::from_secs(10);

/// The certificate that is served now.
pub(crate) struct Serving {
    current: RwLock<Arc<CertifiedKey>>,
    source: Source,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Serving")
    }
}

/// Where it comes from.
enum Source {
    /// Files somebody else renews.
    Files { cert: PathBuf, key: PathBuf },
    /// Our own authority, which renews it.
    Own {
        authority: Arc<Authority>,
        names: Vec<String>,
        clock: Arc<dyn Clock>,
    },
}

impl Source {
    fn load(&self) -> Result<Arc<CertifiedKey>, CertError> {
        match self {
            Self::Files { cert, key } => {
                let pair = Pair {
                    cert_pem: read(cert)?,
                    key_pem: read(key)?,
                };
                pair.certified(&format!("{} and {}", cert.display(), key.display()))
            }
            Self::Own {
                authority,
                names,
                clock,
            } => authority.server(names, clock.now())?.certified("own certificate"),
        }
    }
}

/// The text of a file.
///
/// # Errors
/// [`CertError::File`] with its name.
pub(crate) fn read(file: &Path) -> Result<String, CertError> {
    std::fs::read_to_string(file).map_err(|source| CertError::File {
        file: file.display().to_string(),
        source,
    })
}

impl Serving {
    /// From two PEM files, read again when they change.
    ///
    /// # Errors
    /// [`CertError`] names the file.
    pub(crate) fn from_files(cert: &Path, key: &Path) -> Result<Arc<Self>, CertError> {
        Self::new(Source::Files {
            cert: cert.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Issued by `authority` for `names`, renewed at two thirds of its life.
    ///
    /// # Errors
    /// [`CertError::Make`].
    pub(crate) fn own(
        authority: Arc<Authority>,
        names: Vec<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, CertError> {
        Self::new(Source::Own {
            authority,
            names,
            clock,
        })
    }

    fn new(source: Source) -> Result<Arc<Self>, CertError> {
        Ok(Arc::new(Self {
            current: RwLock::new(source.load()?),
            source,
        }))
    }

    /// Keeps the certificate fresh until `stop`. A file that cannot be read leaves the last good one in place.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let every = match self.source {
            Source::Files { .. } => POLL,
            Source::Own { .. } => Duration::from_secs(LEAF_DAYS.unsigned_abs() * 86_400 * 2 / 3),
        };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            match self.source.load() {
                Ok(key) if key.cert != self.current.read().cert => {
                    *self.current.write() = key;
                    tracing::info!("a new serving certificate is in use");
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "the serving certificate was not renewed, the last good one stays");
                }
            }
        }
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

/// Who must show a certificate on a TLS listener.
#[derive(Debug, Clone)]
pub(crate) enum Clients {
    /// Nobody needs one; what is shown is checked request by request (the adapter).
    PerRequest(Arc<dyn rustls::server::danger::ClientCertVerifier>),
    /// Everybody, signed by one of these (PEM; `place` is named in errors).
    Required {
        /// The authorities.
        pem: String,
        /// Where they came from.
        place: String,
    },
    /// Certificates are not asked for.
    Anonymous,
}

/// TLS settings of a listener: TLS 1.2 and 1.3 on aws-lc-rs, `alpn` in order of preference.
///
/// # Errors
/// [`CertError`] when the client authorities cannot be used.
pub(crate) fn tls(serving: Arc<Serving>, clients: Clients, alpn: &[&str]) -> Result<Tls, CertError> {
    let verifies = matches!(clients, Clients::Required { .. });
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable = |place: &str| {
        let place = place.to_owned();
        move |source| CertError::Unusable { place, source }
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(unusable("TLS versions"))?;
    let builder = match clients {
        Clients::PerRequest(verifier) => builder.with_client_cert_verifier(verifier),
        Clients::Anonymous => builder.with_no_client_auth(),
        Clients::Required { pem, place } => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&place, &pem)? {
                roots.add(certificate).map_err(unusable(&place))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|e| CertError::Content {
                    place,
                    reason: e.to_string(),
                })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(serving);
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    Ok(Tls {
        config: Arc::new(config),
        verifies,
    })
}
