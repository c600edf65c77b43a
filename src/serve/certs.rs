//! Serving certificates that change while the process runs: looked up for each connection.

use crate::serve::access;
use crate::serve::authority::{Authority, CertError, LEAF_DAYS, Pair, certificates};
use crate::serve::expiry::Validity;
use crate::serve::handshakes::Handshakes;
use crate::serve::listener::Tls;
use leadline_adapter::auth::Authenticator;
use leadline_model::Clock;
use parking_lot::RwLock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
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

    /// When the certificate that is served now is valid.
    ///
    /// # Errors
    /// [`CertError::Content`] when it cannot be read.
    pub(crate) fn validity(&self) -> Result<Validity, CertError> {
        let place = "the serving certificate";
        let current = Arc::clone(&self.current.read());
        let leaf = current.cert.first().ok_or_else(|| CertError::Content {
            place: place.to_owned(),
            reason: "it is empty".to_owned(),
        })?;
        Validity::of(place, leaf)
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

/// The authorities that sign callers' certificates, as they are now: a file is read again when it changes.
#[derive(Debug)]
pub(crate) struct ClientAuthorities {
    current: RwLock<(String, Arc<dyn ClientCertVerifier>)>,
    file: Option<PathBuf>,
}

impl ClientAuthorities {
    /// From a PEM file.
    ///
    /// # Errors
    /// [`CertError`] names the file.
    pub(crate) fn from_file(file: &Path) -> Result<Arc<Self>, CertError> {
        let pem = read(file)?;
        let verifier = verifier(&pem, &file.display().to_string())?;
        Ok(Arc::new(Self {
            current: RwLock::new((pem, verifier)),
            file: Some(file.to_owned()),
        }))
    }

    /// From a PEM text that does not change; `place` is named in errors.
    ///
    /// # Errors
    /// [`CertError`].
    pub(crate) fn fixed(pem: &str, place: &str) -> Result<Arc<Self>, CertError> {
        let verifier = verifier(pem, place)?;
        Ok(Arc::new(Self {
            current: RwLock::new((pem.to_owned(), verifier)),
            file: None,
        }))
    }

    fn current(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.current.read().1)
    }

    /// Takes over what the file holds now. True when that is something else than before.
    ///
    /// # Errors
    /// [`CertError`]; what was trusted before stays so.
    fn look(&self) -> Result<bool, CertError> {
        let Some(file) = &self.file else { return Ok(false) };
        let pem = read(file)?;
        if pem == self.current.read().0 {
            return Ok(false);
        }
        let verifier = verifier(&pem, &file.display().to_string())?;
        *self.current.write() = (pem, verifier);
        Ok(true)
    }

    /// Keeps them fresh until `stop`. A file that cannot be used leaves the last good one in force.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            match self.look() {
                Ok(true) => tracing::info!("new client authorities are in force"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "client authorities were not taken over, the last good ones stay");
                }
            }
        }
    }
}

fn verifier(pem: &str, place: &str) -> Result<Arc<dyn ClientCertVerifier>, CertError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(place, pem)? {
        let unusable = |source| CertError::Unusable {
            place: place.to_owned(),
            source,
        };
        roots.add(certificate).map_err(unusable)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier
        .map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
        .map_err(|e| CertError::Content {
            place: place.to_owned(),
            reason: e.to_string(),
        })
}

impl ClientCertVerifier for ClientAuthorities {
    /// No hints: they could not change with the file, and Go clients show a certificate only where its issuer is among
    /// them.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.current().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().supported_verify_schemes()
    }
}

/// Who must show a certificate on a TLS listener.
#[derive(Debug, Clone)]
pub(crate) enum Clients {
    /// Nobody needs one; what is shown is judged by this, request by request (the adapter).
    PerRequest(Arc<Authenticator>),
    /// Everybody, signed by one of these.
    Required(Arc<ClientAuthorities>),
    /// Certificates are not asked for.
    Anonymous,
}

/// TLS settings of a listener: TLS 1.2 and 1.3 on aws-lc-rs, `alpn` in order of preference; `handshakes` counts.
///
/// # Errors
/// [`CertError`] when the client authorities cannot be used.
pub(crate) fn tls(
    serving: Arc<Serving>,
    clients: Clients,
    alpn: &[&str],
    handshakes: &Arc<Handshakes>,
) -> Result<Tls, CertError> {
    let verifies = matches!(clients, Clients::Required(_));
    let judge = match &clients {
        Clients::PerRequest(authenticator) => Some(Arc::clone(authenticator)),
        Clients::Required(_) | Clients::Anonymous => None,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable = |place: &str| {
        let place = place.to_owned();
        move |source| CertError::Unusable { place, source }
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(unusable("TLS versions"))?;
    let builder = match clients {
        Clients::PerRequest(_) => builder.with_client_cert_verifier(access::verifier()),
        Clients::Anonymous => builder.with_no_client_auth(),
        Clients::Required(authorities) => builder.with_client_cert_verifier(authorities),
    };
    let mut config = builder.with_cert_resolver(serving);
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    Ok(Tls {
        config: Arc::new(config),
        verifies,
        judge,
        handshakes: Arc::clone(handshakes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_testkit::handshake::{self, Shows};

    #[test]
    fn client_authorities_follow_their_file_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        let now = leadline_model::clock::SystemClock.now();
        let (old, new) = (Authority::create(now).unwrap(), Authority::create(now).unwrap());
        let pair = new.client("keda-operator", now).unwrap();
        let certificate = certificates("test", &pair.cert_pem).unwrap().remove(0);
        std::fs::write(&file, old.cert_pem()).unwrap();
        let authorities = ClientAuthorities::from_file(&file).unwrap();
        let accepts = || {
            authorities
                .verify_client_cert(&certificate, &[], UnixTime::now())
                .is_ok()
        };
        assert!(!accepts());
        std::fs::write(&file, new.cert_pem()).unwrap();
        assert!(authorities.look().unwrap() && accepts());
        for broken in ["", "no certificate"] {
            std::fs::write(&file, broken).unwrap();
            assert!(authorities.look().is_err() && accepts(), "{broken:?}");
        }
        assert!(
            authorities.client_auth_mandatory(),
            "nobody gets in without a certificate"
        );
    }

    /// Shakes hands with a client that shows `shown`, over `version`.
    fn shake(
        server: &Tls,
        root: &Authority,
        shown: CertifiedKey,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        let root = certificates("test", root.cert_pem()).unwrap().remove(0);
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(Shows(Arc::new(shown))));
        let name = "leadline".try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = rustls::ServerConnection::new(Arc::clone(&server.config)).unwrap();
        handshake::shake(&mut client, &mut server)
    }

    #[test]
    fn no_listener_takes_a_chain_that_is_shown_with_another_key() {
        let clock = Arc::new(leadline_model::clock::SystemClock);
        let authenticator = Authenticator::new(Arc::clone(&clock) as _, None);
        let now = clock.now();
        let authority = Arc::new(Authority::create(now).unwrap());
        let serving = Serving::own(Arc::clone(&authority), vec!["leadline".to_owned()], clock).unwrap();
        let required = ClientAuthorities::fixed(authority.cert_pem(), "test").unwrap();
        let [own, other] = ["front-proxy-client", "somebody"]
            .map(|user| authority.client(user, now).unwrap().certified("test").unwrap());
        let stolen = || CertifiedKey::new(own.cert.clone(), Arc::clone(&other.key));
        for clients in [
            Clients::PerRequest(Arc::new(authenticator)),
            Clients::Required(required),
        ] {
            let server = tls(Arc::clone(&serving), clients.clone(), &[], &Arc::default()).unwrap();
            for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
                let shaken = shake(&server, &authority, CertifiedKey::clone(&own), version);
                assert_eq!(shaken, Ok(()), "{clients:?} {version:?}");
                let refused = rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature);
                let shaken = shake(&server, &authority, stolen(), version);
                assert_eq!(shaken, Err(refused), "{clients:?} {version:?}");
            }
        }
    }
}
