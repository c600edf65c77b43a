//! Identity in request headers, believed only behind the front proxy's verified certificate
//! (`k8s.io/apiserver`, `authentication/request/headerrequest`).

use super::Identity;
use super::peer::{PeerCertificates, VerifiedChains};
use super::trust::RequestHeader;
use http::HeaderMap;
use leadline_model::Timestamp;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// Headers that carry an identity in every Kubernetes cluster, whatever the ConfigMap names.
const WELL_KNOWN: [&str; 3] = ["x-remote-user", "x-remote-uid", "x-remote-group"];
/// The prefix of attributes in every Kubernetes cluster.
const WELL_KNOWN_EXTRA: &str = "x-remote-extra-";

/// The identity that the front proxy vouches for; `None` when it names no user.
pub(crate) fn identify(
    proxy: &RequestHeader,
    peer: &PeerCertificates,
    headers: &HeaderMap,
    now: Timestamp,
    chains: &VerifiedChains,
) -> Result<Option<Identity>, String> {
    shown(proxy, peer, now, chains)?;
    let Some(user) = single(headers, &proxy.username_headers)? else {
        return Ok(None);
    };
    let uid = single(headers, &proxy.uid_headers)?.unwrap_or_default();
    let mut groups = Vec::new();
    for name in &proxy.group_headers {
        for value in headers.get_all(name.as_str()) {
            groups.push(text(name, value.as_bytes())?);
        }
    }
    groups.retain(|g| !g.is_empty());
    #[cfg(feature = "planted")]
    leadline_model::planted::trap(groups.len() > 2 && !uid.is_empty());
    Ok(Some(Identity {
        user,
        uid,
        groups,
        extra: extra(proxy, headers)?,
    }))
}

/// Whether the chain is a front proxy's: it leads to their authority and has one of their names.
pub(crate) fn shown(
    proxy: &RequestHeader,
    peer: &PeerCertificates,
    now: Timestamp,
    chains: &VerifiedChains,
) -> Result<(), String> {
    let subject = chains.verify(&proxy.authority, peer, now)?;
    if !proxy.allowed_names.is_empty() && !proxy.allowed_names.contains(&subject.common_name) {
        return Err(format!(
            "common name {:?} is not among requestheader-allowed-names",
            subject.common_name
        ));
    }
    Ok(())
}

/// The first non-empty value of the first header that has one. Two different values are refused: the proxy sets one,
/// so another one came from the caller.
fn single(headers: &HeaderMap, names: &[String]) -> Result<Option<String>, String> {
    for name in names {
        let mut found: Option<String> = None;
        for value in headers.get_all(name.as_str()) {
            let value = text(name, value.as_bytes())?;
            match &found {
                Some(first) if *first != value => return Err(format!("header {name} has more than one value")),
                _ => found = Some(value),
            }
        }
        if let Some(value) = found.filter(|v| !v.trim().is_empty()) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn text(name: &str, bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| format!("header {name} is not UTF-8"))
}

/// Attributes: the prefix matches in any case (header names arrive in lower case), the rest is percent-decoded.
fn extra(proxy: &RequestHeader, headers: &HeaderMap) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        for prefix in &proxy.extra_prefixes {
            let Some(key) = name.as_str().strip_prefix(prefix.as_str()) else {
                continue;
            };
            // A key that is no UTF-8 once decoded is kept as it was sent.
            let key = percent_decode_str(key)
                .decode_utf8()
                .map_or_else(|_| key.to_owned(), std::borrow::Cow::into_owned);
            extra
                .entry(key)
                .or_default()
                .push(text(name.as_str(), value.as_bytes())?);
        }
    }
    Ok(extra)
}

/// Whether a header carries a proxied identity. Underscores count as dashes, as some servers in between hold.
pub(crate) fn is_identity_header(proxy: Option<&RequestHeader>, name: &str) -> bool {
    let name = name.replace('_', "-");
    if WELL_KNOWN.contains(&name.as_str()) || name.starts_with(WELL_KNOWN_EXTRA) {
        return true;
    }
    let same = |configured: &String| configured.replace('_', "-") == name;
    proxy.is_some_and(|p| {
        [&p.username_headers, &p.uid_headers, &p.group_headers]
            .into_iter()
            .flatten()
            .any(same)
            || p.extra_prefixes
                .iter()
                .any(|prefix| name.starts_with(&prefix.replace('_', "-")))
    })
}
