//! Authorization without an API server, for `leadline demo` alone: one client certificate may read, nobody else may
//! do anything.

use super::Identity;
use super::authorize::{Attributes, Review, ReviewError, Reviewer};
use async_trait::async_trait;

/// Allows one user to read and nobody anything else. Combine it with a [`super::trust::Trust`] that holds a client
/// authority of the demo's own and no front proxy, so that only the certificate can name that user.
pub struct OneIdentity {
    user: String,
}

impl OneIdentity {
    /// Only `leadline demo` builds this.
    #[must_use]
    pub fn for_demo(user: impl Into<String>) -> Self {
        Self { user: user.into() }
    }
}

#[async_trait]
impl Reviewer for OneIdentity {
    async fn review(&self, identity: &Identity, attributes: &Attributes) -> Result<Review, ReviewError> {
        let allowed = identity.user == self.user && matches!(attributes.verb, "get" | "list");
        let reason = if allowed {
            "the demo's own identity"
        } else {
            "the demo allows its own identity to read"
        };
        Ok(Review {
            allowed,
            reason: reason.to_owned(),
        })
    }
}
