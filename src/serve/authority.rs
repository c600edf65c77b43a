//! A certificate authority of our own: it issues the serving certificate where nobody gave one.

use crate::serve::expiry::Validity;
use leadline_model::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// How long an authority lives, days.
pub(crate) const AUTHORITY_DAYS: i64 = 3650;
/// How long what it issues lives, days.
pub(crate) const LEAF_DAYS: i64 = 90;
/// How far back validity begins, ms: clocks of a cluster differ.
const BACKDATE_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertError {
    /// A file cannot be read.
    #[error("{file}: {source}")]
    File {
        /// Which.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// What was read is no certificate or key.
    #[error("{place}: {reason}")]
    Content {
        /// A file, or what else was read.
        place: String,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// rustls does not take it.
    #[error("{place}: certificate and key are not usable: {source}")]
    Unusable {
        /// A file, or what else was read.
        place: String,
        /// Why.
        source: rustls::Error,
    },
}

/// A key that signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert_pem: String,
    key_pem: String,
}

/// A certificate and its key, as PEM.
pub(crate) struct Pair {
    /// The certificate, then those that signed it.
    pub cert_pem: String,
    /// The key (PKCS#8).
    pub key_pem: String,
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn validity(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let at = |ms: i64| {
        time::OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    };
    params.not_before = at(now - BACKDATE_MS);
    params.not_after = at(now + days * DAY_MS);
}

impl Authority {
    /// A new one, valid from `now` (ms) for ten years.
    ///
    /// # Errors
    /// [`CertError::Make`].
    pub(crate) fn create(now: Timestamp) -> Result<Self, CertError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        // The name carries the birth, so that an old and a new authority can be told apart in one bundle.
        params.distinguished_name = named(&format!("leadline-ca-{}", now / 1000));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        validity(&mut params, now, AUTHORITY_DAYS);
        let cert_pem = params.self_signed(&key)?.pem();
        let key_pem = key.serialize_pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            cert_pem,
            key_pem,
        })
    }

    /// Reads one back.
    ///
    /// # Errors
    /// [`CertError::Content`] with `place`.
    pub(crate) fn from_pem(place: &str, cert_pem: &str, key_pem: &str) -> Result<Self, CertError> {
        let fail = |reason: String| CertError::Content {
            place: place.to_owned(),
            reason,
        };
        let key = KeyPair::from_pem(key_pem).map_err(|e| fail(format!("a private key in PEM was expected: {e}")))?;
        let issuer = Issuer::from_ca_cert_pem(cert_pem, key)
            .map_err(|e| fail(format!("a certificate authority in PEM was expected: {e}")))?;
        Ok(Self {
            issuer,
            cert_pem: cert_pem.to_owned(),
            key_pem: key_pem.to_owned(),
        })
    }

    /// Its certificate, PEM: what a caBundle holds.
    pub(crate) fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// From when to when it is valid; `place` is named in errors.
    ///
    /// # Errors
    /// [`CertError::Content`].
    pub(crate) fn validity(&self, place: &str) -> Result<Validity, CertError> {
        let certificate = certificates(place, &self.cert_pem)?.remove(0);
        Validity::of(place, &certificate)
    }

    /// Its key, PEM.
    pub(crate) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// A serving certificate for `names` (DNS names and IP addresses), valid from `now` (ms) for 90 days.
    ///
    /// # Errors
    /// [`CertError::Make`].
    pub(crate) fn server(&self, names: &[String], now: Timestamp) -> Result<Pair, CertError> {
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = named(names.first().map_or("leadline", |n| n.get(..64).unwrap_or(n)));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params, now, LEAF_DAYS)
    }

    /// A client certificate whose CN is `user`, valid from `now` (ms) for 90 days.
    ///
    /// # Errors
    /// [`CertError::Make`].
    pub(crate) fn client(&self, user: &str, now: Timestamp) -> Result<Pair, CertError> {
        self.sign(Self::client_params(user)?, now, LEAF_DAYS)
    }

    /// As [`Self::client`], valid as long as an authority is: for a holder that nobody renews it for (KEDA reads a Secret
    /// that we write once).
    ///
    /// # Errors
    /// [`CertError::Make`].
    pub(crate) fn long_lived_client(&self, user: &str, now: Timestamp) -> Result<Pair, CertError> {
        self.sign(Self::client_params(user)?, now, AUTHORITY_DAYS)
    }

    fn client_params(user: &str) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = named(user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params)
    }

    fn sign(&self, mut params: CertificateParams, now: Timestamp, days: i64) -> Result<Pair, CertError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.is_ca = IsCa::ExplicitNoCa;
        validity(&mut params, now, days);
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok(Pair {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

impl Pair {
    /// The form that rustls serves; `place` says in errors where the PEM came from.
    ///
    /// # Errors
    /// [`CertError::Content`] and [`CertError::Unusable`].
    pub(crate) fn certified(&self, place: &str) -> Result<Arc<rustls::sign::CertifiedKey>, CertError> {
        let fail = |reason: String| CertError::Content {
            place: place.to_owned(),
            reason,
        };
        let chain = certificates(place, &self.cert_pem)?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())
            .map_err(|e| fail(format!("a private key in PEM was expected: {e}")))?;
        let key = rustls::sign::CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|source| CertError::Unusable {
                place: place.to_owned(),
                source,
            })?;
        Ok(Arc::new(key))
    }
}

/// The certificates of a PEM text; at least one.
///
/// # Errors
/// [`CertError::Content`] with `place`.
pub(crate) fn certificates(place: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let fail = |reason: String| CertError::Content {
        place: place.to_owned(),
        reason,
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|e| fail(format!("certificates in PEM were expected: {e}")))?;
    if found.is_empty() {
        return Err(fail(
            "it holds no certificate; at least one in PEM was expected".to_owned(),
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = 1_800_000_000_000;

    #[test]
    fn what_an_authority_issues_is_servable_and_survives_being_stored() {
        let made = Authority::create(NOW).unwrap();
        let again = Authority::from_pem("secret", made.cert_pem(), made.key_pem()).unwrap();
        let pair = again
            .server(&["leadline.monitoring.svc".to_owned(), "127.0.0.1".to_owned()], NOW)
            .unwrap();
        assert_eq!(pair.certified("test").unwrap().cert.len(), 1);
    }

    #[test]
    fn errors_name_the_place_and_what_was_expected() {
        for (cert, key, part) in [("", "", "private key in PEM"), ("junk", "junk", "private key in PEM")] {
            let error = Authority::from_pem("secret leadline-ca", cert, key)
                .err()
                .unwrap()
                .to_string();
            assert!(error.contains("secret leadline-ca") && error.contains(part), "{error}");
        }
        let error = certificates("/etc/tls.crt", "").unwrap_err().to_string();
        assert!(
            error.contains("/etc/tls.crt") && error.contains("no certificate"),
            "{error}"
        );
    }
}
