//! What authentication trusts: the content of the ConfigMap `kube-system/extension-apiserver-authentication`.

use leadline_cluster::ExtensionAuth;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A set of root certificates.
#[derive(Clone)]
pub struct Authority {
    id: u64,
    certificates: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("id", &self.id)
            .field("certificates", &self.certificates.len())
            .finish()
    }
}

/// Distinguishes authorities within the process, also equal ones of different moments.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Authority {
    /// From a PEM bundle.
    ///
    /// # Errors
    /// A text that says which certificate of the bundle cannot be used, or that there is none.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let mut certificates = Vec::new();
        for (i, item) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
            certificates.push(item.map_err(|e| format!("certificate {} of the bundle: {e:?}", i + 1))?);
        }
        Self::from_der(certificates)
    }

    /// From certificates.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn from_der(certificates: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let mut anchors = Vec::new();
        for (i, certificate) in certificates.iter().enumerate() {
            let anchor = webpki::anchor_from_trusted_cert(certificate)
                .map_err(|e| format!("certificate {} of the bundle: {e:?}", i + 1))?;
            anchors.push(anchor.to_owned());
        }
        if anchors.is_empty() {
            return Err("the bundle holds no certificate".into());
        }
        Ok(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            certificates,
            anchors,
        })
    }

    /// Unique within the process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The roots in the form that path building takes.
    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    fn shares_a_root_with(&self, other: &Self) -> bool {
        self.certificates.iter().any(|c| other.certificates.contains(c))
    }
}

/// Whom to believe about somebody else's identity, and in which headers.
#[derive(Debug, Clone)]
pub struct RequestHeader {
    /// Signs front proxies, and nothing else.
    pub authority: Authority,
    /// Common names of front proxies; empty: every certificate of the authority is one.
    pub allowed_names: Vec<String>,
    /// Headers that hold the user name, lower case, in order of preference.
    pub username_headers: Vec<String>,
    /// Headers that hold the user's unique id.
    pub uid_headers: Vec<String>,
    /// Headers whose every value is a group.
    pub group_headers: Vec<String>,
    /// Prefixes of headers whose rest is the key of an extra attribute.
    pub extra_prefixes: Vec<String>,
}

/// What authentication trusts.
///
/// The watch keeps what was known where the API server, being restarted, takes a key away.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Signs clients' certificates (`client-ca-file`).
    pub client_ca: Option<Authority>,
    /// The front proxy (`requestheader-*`).
    pub request_header: Option<RequestHeader>,
}

/// Why the data was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("extension-apiserver-authentication, key {key}: {reason}")]
pub struct TrustError {
    /// The key.
    pub key: &'static str,
    /// What is wrong and what was expected.
    pub reason: String,
}

impl Trust {
    /// Takes over what the cluster's watch read.
    ///
    /// # Errors
    /// [`TrustError`]; what was trusted before should stay in force then.
    pub fn from_cluster(data: &ExtensionAuth) -> Result<Self, TrustError> {
        let authority = |key: &'static str, pem: &str| match pem.trim() {
            "" => Ok(None),
            _ => Authority::from_pem(pem)
                .map(Some)
                .map_err(|reason| TrustError { key, reason }),
        };
        let request_header = match authority("requestheader-client-ca-file", &data.request_header_ca)? {
            None => None,
            Some(authority) => Some(RequestHeader::new(authority, data)?),
        };
        Ok(Self {
            client_ca: authority("client-ca-file", &data.client_ca)?,
            request_header,
        })
    }

    /// What is allowed but dangerous.
    #[must_use]
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if let (Some(clients), Some(proxy)) = (&self.client_ca, &self.request_header)
            && proxy.allowed_names.is_empty()
            && clients.shares_a_root_with(&proxy.authority)
        {
            warnings.push(
                "clients and front proxies share a certificate authority and requestheader-allowed-names is empty: \
                 every client certificate can impersonate anybody",
            );
        }
        warnings
    }
}

impl RequestHeader {
    fn new(authority: Authority, data: &ExtensionAuth) -> Result<Self, TrustError> {
        let fail = |key, reason: &str| {
            Err(TrustError {
                key,
                reason: reason.to_owned(),
            })
        };
        let lower = |names: &[String]| names.iter().map(|n| n.to_ascii_lowercase()).collect::<Vec<_>>();
        if data.username_headers.iter().all(String::is_empty) {
            return fail(
                "requestheader-username-headers",
                "at least one header name was expected",
            );
        }
        if data.extra_prefixes.iter().any(String::is_empty) {
            let reason = "an empty prefix would turn every header into an attribute";
            return fail("requestheader-extra-headers-prefix", reason);
        }
        Ok(Self {
            authority,
            allowed_names: data.allowed_names.clone(),
            username_headers: lower(&data.username_headers),
            uid_headers: lower(&data.uid_headers),
            group_headers: lower(&data.group_headers),
            extra_prefixes: lower(&data.extra_prefixes),
        })
    }
}
