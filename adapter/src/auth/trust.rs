//! What authentication trusts: the content of the ConfigMap `kube-system/extension-apiserver-authentication`.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use std::collections::BTreeMap;
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
        f.debug_struct("Authority").field("id", &self.id).field("certificates", &self.certificates.len()).finish()
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
        Ok(Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), certificates, anchors })
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
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Signs clients' certificates (`client-ca-file`).
    pub client_ca: Option<Authority>,
    /// The front proxy (`requestheader-*`).
    pub request_header: Option<RequestHeader>,
}

/// Why the ConfigMap was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("extension-apiserver-authentication, key {key}: {reason}")]
pub struct TrustError {
    /// The key.
    pub key: &'static str,
    /// What is wrong and what was expected.
    pub reason: String,
}

impl Trust {
    /// Reads the ConfigMap's data. A key that is absent or empty keeps what `previous` held for it: the API server
    /// writes the map in steps, and half of one must not lock everybody out.
    ///
    /// # Errors
    /// [`TrustError`]; `previous` stays in force then.
    pub fn from_config_map(data: &BTreeMap<String, String>, previous: Option<&Self>) -> Result<Self, TrustError> {
        let authority = |key: &'static str| match data.get(key).filter(|v| !v.trim().is_empty()) {
            None => Ok(None),
            Some(pem) => Authority::from_pem(pem).map(Some).map_err(|reason| TrustError { key, reason }),
        };
        let client_ca = authority("client-ca-file")?.or_else(|| previous.and_then(|p| p.client_ca.clone()));
        let before = previous.and_then(|p| p.request_header.as_ref());
        let proxy_ca =
            authority("requestheader-client-ca-file")?.or_else(|| before.map(|b| b.authority.clone()));
        let request_header = match proxy_ca {
            None => None,
            Some(authority) => Some(request_header(data, authority, before)?),
        };
        if client_ca.is_none() && request_header.is_none() {
            let reason = "neither it nor requestheader-client-ca-file holds a certificate".to_owned();
            return Err(TrustError { key: "client-ca-file", reason });
        }
        Ok(Self { client_ca, request_header })
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

fn request_header(
    data: &BTreeMap<String, String>,
    authority: Authority,
    before: Option<&RequestHeader>,
) -> Result<RequestHeader, TrustError> {
    let list = |key: &'static str, kept: Option<&Vec<String>>| -> Result<Vec<String>, TrustError> {
        match data.get(key).filter(|v| !v.trim().is_empty()) {
            None => Ok(kept.cloned().unwrap_or_default()),
            Some(text) => serde_json::from_str::<Vec<String>>(text)
                .map_err(|e| TrustError { key, reason: format!("a JSON array of strings was expected: {e}") }),
        }
    };
    let lower = |names: Vec<String>| names.into_iter().map(|n| n.to_ascii_lowercase()).collect::<Vec<_>>();
    let header = RequestHeader {
        allowed_names: list("requestheader-allowed-names", before.map(|b| &b.allowed_names))?,
        username_headers: lower(list("requestheader-username-headers", before.map(|b| &b.username_headers))?),
        uid_headers: lower(list("requestheader-uid-headers", before.map(|b| &b.uid_headers))?),
        group_headers: lower(list("requestheader-group-headers", before.map(|b| &b.group_headers))?),
        extra_prefixes: lower(list("requestheader-extra-headers-prefix", before.map(|b| &b.extra_prefixes))?),
        authority,
    };
    if header.username_headers.is_empty() {
        let reason = "at least one header name was expected".to_owned();
        return Err(TrustError { key: "requestheader-username-headers", reason });
    }
    if header.extra_prefixes.iter().any(String::is_empty) {
        let reason = "an empty prefix would turn every header into an attribute".to_owned();
        return Err(TrustError { key: "requestheader-extra-headers-prefix", reason });
    }
    Ok(header)
}
