//! What a metric describes, by the names the cluster room knows.

use leadline_cluster::{MappedResource, Mapper};
use std::sync::Arc;

/// The kind behind `text`: plural or singular, with or without its group, as far as it is known without asking.
#[must_use]
pub fn known(mapper: &Mapper, text: &str) -> Option<Arc<MappedResource>> {
    let kind = mapper.known(text)?;
    // The mapper knows kinds by their CamelCase name too, which is no resource.
    (text == text.to_lowercase()).then_some(kind)
}

/// `ingresses.networking.k8s.io` for every way to write it; an unknown resource stays as it is written.
#[must_use]
pub fn canonical(mapper: &Mapper, text: &str) -> String {
    known(mapper, text).map_or_else(|| text.to_owned(), |kind| kind.group_resource())
}

/// Whether `text` can be written as one part of a path and as a resource of Kubernetes: lower-case DNS labels.
#[must_use]
pub fn is_resource_name(text: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plural_singular_and_group_lead_to_the_same_resource() {
        let mapper = Mapper::new(None);
        for (text, expected) in [
            ("pods", "pods"),
            ("pod", "pods"),
            ("ingresses.networking.k8s.io", "ingresses.networking.k8s.io"),
            ("ingress", "ingresses.networking.k8s.io"),
            ("deployments.apps", "deployments.apps"),
            ("widgets.example.com", "widgets.example.com"),
        ] {
            assert_eq!(canonical(&mapper, text), expected);
        }
        assert!(known(&mapper, "Pod").is_none());
    }
}
