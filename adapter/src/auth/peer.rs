//! The certificate chain of a connection: taken in the handshake unjudged, verified per request.

use super::trust::Authority;
use leadline_model::Timestamp;
use moka::sync::Cache;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier as RustlsVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The chain that the peer of a connection showed, end entity first; the handshake proved that it holds the key and
/// nothing else. The listener puts it into the extensions of each request of the connection.
#[derive(Debug, Clone)]
pub struct PeerCertificates(pub Vec<CertificateDer<'static>>);

/// Asks for a client certificate, checks the handshake's signature, and accepts any chain.
///
/// The chain is judged per request and against one authority at a time ([`VerifiedChains::verify`]): a handshake
/// cannot tell the front proxy's authority from the clients', would refuse a caller who has a token beside a foreign
/// certificate, and would never notice that a certificate expired on a connection that stays open.
#[derive(Debug)]
pub struct ClientCertVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier {
    /// With the signature algorithms of the process' crypto provider.
    #[must_use]
    pub fn new(algorithms: WebPkiSupportedAlgorithms) -> Arc<Self> {
        Arc::new(Self { algorithms })
    }
}

impl RustlsVerifier for ClientCertVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: Go clients show a certificate only where its issuer is among them, so that hints of a moment ago
    /// would lock the front proxy out after its authority was rotated.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The subject of a verified certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Subject {
    /// The common name; empty when absent.
    pub common_name: String,
    /// Every organization.
    pub organizations: Vec<String>,
}

impl Subject {
    /// Of a certificate, which is not verified by this.
    ///
    /// # Errors
    /// A text, where it is no certificate or a part of its subject is no text.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|e| format!("certificate: {e}"))?;
        let name = certificate.subject();
        let texts = |attributes: Vec<Result<&str, _>>| -> Result<Vec<String>, String> {
            attributes
                .into_iter()
                .map(|t: Result<&str, x509_parser::error::X509Error>| {
                    t.map(str::to_owned).map_err(|e| format!("subject: {e}"))
                })
                .collect()
        };
        let names = texts(
            name.iter_common_name()
                .map(x509_parser::prelude::AttributeTypeAndValue::as_str)
                .collect(),
        )?;
        let organizations = texts(
            name.iter_organization()
                .map(x509_parser::prelude::AttributeTypeAndValue::as_str)
                .collect(),
        )?;
        #[cfg(feature = "planted")]
        leadline_model::planted::trap(names.iter().any(|name| name.contains(|c: char| c.is_ascii_uppercase())));
        // Go's pkix.Name keeps the last common name of a subject.
        Ok(Self {
            common_name: names.into_iter().next_back().unwrap_or_default(),
            organizations,
        })
    }
}

/// A chain that verified, and until when that holds without looking again.
struct Verified {
    subject: Arc<Subject>,
    /// ms; the earliest begin of the certificates shown.
    not_before: Timestamp,
    /// ms; the earliest end of the certificates shown.
    not_after: Timestamp,
}

/// Chains that verified against an authority. The signatures are checked once a minute; the time is compared on every
/// request, and new trust data forgets everything.
pub(crate) struct VerifiedChains {
    cache: Cache<(u64, Vec<CertificateDer<'static>>), Arc<Verified>>,
}

impl VerifiedChains {
    /// Nothing verified yet. Keyed by whole certificates, so that no two chains can be taken for one another.
    pub(crate) fn new() -> Self {
        Self {
            cache: Cache::builder()
                .max_capacity(1024)
                .time_to_live(Duration::from_secs(60))
                .build(),
        }
    }

    /// Forgets every chain.
    pub(crate) fn forget(&self) {
        self.cache.invalidate_all();
    }

    /// The subject of the chain's end entity when it leads to `authority` alone, is meant for client authentication
    /// and is valid at `now` (ms).
    pub(crate) fn verify(
        &self,
        authority: &Authority,
        peer: &PeerCertificates,
        now: Timestamp,
    ) -> Result<Arc<Subject>, String> {
        let key = (authority.id(), peer.0.clone());
        if let Some(hit) = self.cache.get(&key)
            && (hit.not_before..=hit.not_after).contains(&now)
        {
            return Ok(Arc::clone(&hit.subject));
        }
        let verified = Arc::new(verify(authority, peer, now)?);
        let subject = Arc::clone(&verified.subject);
        self.cache.insert(key, verified);
        Ok(subject)
    }
}

fn verify(authority: &Authority, peer: &PeerCertificates, now: Timestamp) -> Result<Verified, String> {
    let Some((end, intermediates)) = peer.0.split_first() else {
        return Err("no certificate".into());
    };
    let end_entity = EndEntityCert::try_from(end).map_err(|e| format!("certificate: {e:?}"))?;
    let time = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(now).unwrap_or(0)));
    end_entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            authority.anchors(),
            intermediates,
            time,
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map_err(|e| format!("x509: {e:?}"))?;
    let (mut not_before, mut not_after) = (Timestamp::MIN, Timestamp::MAX);
    for der in &peer.0 {
        // A certificate that is shown beside the path and cannot be read has no say in its validity.
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            continue;
        };
        not_before = not_before.max(certificate.validity().not_before.timestamp().saturating_mul(1000));
        not_after = not_after.min(certificate.validity().not_after.timestamp().saturating_mul(1000));
    }
    Ok(Verified {
        subject: Arc::new(Subject::of(end)?),
        not_before,
        not_after,
    })
}
