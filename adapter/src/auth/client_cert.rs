//! Identity by the caller's own certificate: common name is the user, organizations are the groups
//! (`k8s.io/apiserver`, `authentication/request/x509`).

use super::Identity;
use super::peer::{PeerCertificates, VerifiedChains};
use super::trust::Authority;
use leadline_model::Timestamp;

/// The identity of a certificate that leads to the clients' authority.
pub(crate) fn identify(
    authority: &Authority,
    peer: &PeerCertificates,
    now: Timestamp,
    chains: &VerifiedChains,
) -> Result<Identity, String> {
    let subject = chains.verify(authority, peer, now)?;
    if subject.common_name.is_empty() {
        return Err("the subject has no common name".into());
    }
    let groups = subject.organizations.clone();
    Ok(Identity {
        user: subject.common_name.clone(),
        groups,
        ..Identity::default()
    })
}
