//! `tls_config` as rustls understands it, loaded again when its files change.

use crate::auth::read_file;
use crate::error::FetchError;
use crate::settings::{Settings, TlsSettings, TlsVersion};
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// The TLS side of a client.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Debug, Clone)]
struct Loaded {
    config: Arc<ClientConfig>,
    stamps: Vec<Stamp>,
    generation: u64,
}

/// What tells that a file changed: time and length; the swap of a Kubernetes volume's symlink changes the time.
type Stamp = Option<(SystemTime, u64)>;

impl Tls {
    /// The configuration and its number, which grows whenever a file changed.
    pub(crate) fn config(&self, settings: &Settings) -> Result<(Arc<ClientConfig>, u64), FetchError> {
        let tls = settings.tls_config.clone().unwrap_or_default();
        let stamps: Vec<Stamp> = [&tls.ca_file, &tls.cert_file, &tls.key_file].into_iter().map(stamp).collect();
        let mut loaded = self.loaded.lock();
        if let Some(found) = loaded.as_ref().filter(|l| l.stamps == stamps) {
            return Ok((found.config.clone(), found.generation));
        }
        let generation = loaded.as_ref().map_or(0, |l| l.generation) + 1;
        let config = Arc::new(build(&tls)?);
        *loaded = Some(Loaded { config: config.clone(), stamps, generation });
        Ok((config, generation))
    }
}

fn stamp(path: &Option<PathBuf>) -> Stamp {
    let metadata = std::fs::metadata(path.as_ref()?).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn build(tls: &TlsSettings) -> Result<ClientConfig, FetchError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(tls))
        .map_err(|e| setting("tls_config", &e))?;
    let builder = if tls.insecure_skip_verify {
        let algorithms = provider.signature_verification_algorithms;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate { algorithms }))
    } else {
        builder.with_root_certificates(roots(tls)?)
    };
    let mut config = match client_identity(tls)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|e| setting("tls_config.cert", &e))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn setting(field: &'static str, reason: &dyn std::fmt::Display) -> FetchError {
    FetchError::Setting { field, reason: reason.to_string() }
}

fn versions(tls: &TlsSettings) -> Vec<&'static rustls::SupportedProtocolVersion> {
    let min = tls.min_version.unwrap_or(TlsVersion::Tls12);
    let max = tls.max_version.unwrap_or(TlsVersion::Tls13);
    let known = [(TlsVersion::Tls13, &rustls::version::TLS13), (TlsVersion::Tls12, &rustls::version::TLS12)];
    known.into_iter().filter(|(v, _)| min <= *v && *v <= max).map(|(_, version)| version).collect()
}

/// The text of a setting or the content of its file, and how to name it in errors.
fn pem(
    text: Option<&str>,
    path: Option<&PathBuf>,
    fields: (&'static str, &'static str),
) -> Result<Option<(String, Source)>, FetchError> {
    if let Some(text) = text.filter(|t| !t.is_empty()) {
        return Ok(Some((text.to_owned(), Source { field: fields.0, path: None })));
    }
    match path.filter(|p| !p.as_os_str().is_empty()) {
        Some(path) => Ok(Some((read_file(fields.1, path)?, Source { field: fields.1, path: Some(path.clone()) }))),
        None => Ok(None),
    }
}

/// Where a PEM text came from.
struct Source {
    field: &'static str,
    path: Option<PathBuf>,
}

impl Source {
    fn error(&self, reason: impl Into<String>) -> FetchError {
        let reason = reason.into();
        match &self.path {
            Some(path) => FetchError::File { field: self.field, path: path.clone(), reason },
            None => FetchError::Setting { field: self.field, reason },
        }
    }
}

fn certificates(text: &str, source: &Source) -> Result<Vec<CertificateDer<'static>>, FetchError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err(source.error("expected at least one PEM certificate")),
        Err(e) => Err(source.error(format!("expected PEM certificates: {e:?}"))),
    }
}

/// The authorities of the settings, or the system's where they name none.
fn roots(tls: &TlsSettings) -> Result<RootCertStore, FetchError> {
    let mut store = RootCertStore::empty();
    let fields = ("tls_config.ca", "tls_config.ca_file");
    let Some((text, source)) = pem(tls.ca.as_deref(), tls.ca_file.as_ref(), fields)? else {
        let (found, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if found == 0 {
            return Err(setting(fields.0, &"the system has no certificate authorities, expected ca or ca_file"));
        }
        return Ok(store);
    };
    for certificate in certificates(&text, &source)? {
        store.add(certificate).map_err(|e| source.error(e.to_string()))?;
    }
    Ok(store)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_identity(tls: &TlsSettings) -> Result<Option<Identity>, FetchError> {
    let fields = ("tls_config.cert", "tls_config.cert_file");
    let Some((chain, chain_source)) = pem(tls.cert.as_deref(), tls.cert_file.as_ref(), fields)? else {
        return Ok(None);
    };
    let key_text = tls.key.as_ref().map(|k| k.expose());
    let fields = ("tls_config.key", "tls_config.key_file");
    let Some((key, key_source)) = pem(key_text, tls.key_file.as_ref(), fields)? else {
        return Err(setting("tls_config.key", &"a client certificate is set, expected key or key_file with it"));
    };
    let chain = certificates(&chain, &chain_source)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| key_source.error("expected one PEM private key (PKCS#8, PKCS#1 or SEC1)"))?;
    Ok(Some((chain, key)))
}

/// The name a server's certificate must carry: `server_name`, or the host that is dialled.
pub(crate) fn server_name(settings: &Settings, host: &str) -> Result<ServerName<'static>, FetchError> {
    let wanted = settings.tls_config.as_ref().and_then(|t| t.server_name.as_deref()).filter(|n| !n.is_empty());
    let name = wanted.unwrap_or(host).to_owned();
    ServerName::try_from(name.clone())
        .map_err(|_| setting("tls_config.server_name", &format!("{name:?} is no host name or IP address")))
}

/// For `insecure_skip_verify`: any certificate will do, but whoever presents it must hold its key (as in Go).
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
