//! TokenReview and SubjectAccessReview, asked of the API server.

use super::Identity;
use super::authorize::{Attributes, Review, ReviewError, Reviewer, Target};
use super::token_review::{TokenError, TokenReviewer};
use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

/// The API server as reviewer of tokens and of access.
#[derive(Clone)]
pub struct KubernetesReviews(pub kube::Client);

#[async_trait]
impl TokenReviewer for KubernetesReviews {
    async fn review(&self, token: &str, audiences: &[String]) -> Result<Option<Identity>, TokenError> {
        let spec = TokenReviewSpec {
            token: token.to_owned(),
            audiences: (!audiences.is_empty()).then(|| audiences.to_vec()),
        };
        let review = TokenReview {
            spec,
            ..TokenReview::default()
        };
        let api = Api::<TokenReview>::all(self.0.clone());
        // The error's text comes from the API server or the transport; neither repeats the request's body.
        let answer = api
            .create(&PostParams::default(), &review)
            .await
            .map_err(|e| TokenError(e.to_string()))?;
        let status = answer.status.unwrap_or_default();
        Ok(identity_of(status, audiences))
    }
}

/// What a TokenReview's status says. An API server that knows nothing of audiences answers none, and a token that was
/// not checked for ours is refused.
fn identity_of(
    status: k8s_openapi::api::authentication::v1::TokenReviewStatus,
    audiences: &[String],
) -> Option<Identity> {
    if status.authenticated != Some(true) {
        return None;
    }
    let answered = status.audiences.unwrap_or_default();
    if !audiences.is_empty() && !answered.iter().any(|a| audiences.contains(a)) {
        return None;
    }
    let user = status.user?;
    Some(Identity {
        user: user.username.unwrap_or_default(),
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    })
}

#[async_trait]
impl Reviewer for KubernetesReviews {
    async fn review(&self, identity: &Identity, attributes: &Attributes) -> Result<Review, ReviewError> {
        let review = SubjectAccessReview {
            spec: spec(identity, attributes),
            ..SubjectAccessReview::default()
        };
        let api = Api::<SubjectAccessReview>::all(self.0.clone());
        let answer = api
            .create(&PostParams::default(), &review)
            .await
            .map_err(|e| ReviewError(e.to_string()))?;
        let status = answer.status.unwrap_or_default();
        if !status.allowed
            && let Some(error) = status.evaluation_error.filter(|e| !e.is_empty())
        {
            return Err(ReviewError(error));
        }
        let allowed = status.allowed && status.denied != Some(true);
        Ok(Review {
            allowed,
            reason: status.reason.unwrap_or_default(),
        })
    }
}

fn spec(identity: &Identity, attributes: &Attributes) -> SubjectAccessReviewSpec {
    let some = |s: &str| (!s.is_empty()).then(|| s.to_owned());
    let verb = Some(attributes.verb.to_owned());
    let (resource, path) = match &attributes.target {
        Target::Path(path) => (
            None,
            Some(NonResourceAttributes {
                path: Some(path.clone()),
                verb,
            }),
        ),
        Target::Resource {
            group,
            version,
            resource,
            subresource,
            namespace,
            name,
        } => (
            Some(ResourceAttributes {
                group: some(group),
                version: some(version),
                resource: some(resource),
                subresource: some(subresource),
                namespace: some(namespace),
                name: some(name),
                verb,
                ..ResourceAttributes::default()
            }),
            None,
        ),
    };
    SubjectAccessReviewSpec {
        user: Some(identity.user.clone()),
        uid: some(&identity.uid),
        groups: Some(identity.groups.clone()),
        extra: (!identity.extra.is_empty()).then(|| identity.extra.clone()),
        resource_attributes: resource,
        non_resource_attributes: path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};

    #[test]
    fn a_token_counts_only_for_the_audience_that_was_asked_for() {
        let status = |authenticated: bool, audiences: Option<&[&str]>| TokenReviewStatus {
            authenticated: Some(authenticated),
            audiences: audiences.map(|a| a.iter().map(|s| (*s).to_owned()).collect()),
            user: Some(UserInfo {
                username: Some("u".into()),
                ..UserInfo::default()
            }),
            ..TokenReviewStatus::default()
        };
        let ours = ["leadline".to_owned()];
        for (status, asked, accepted) in [
            (status(true, None), &[][..], true),
            (status(false, None), &[][..], false),
            (status(true, Some(&["leadline"])), &ours[..], true),
            (status(true, Some(&["other"])), &ours[..], false),
            (status(true, None), &ours[..], false),
        ] {
            assert_eq!(
                identity_of(status.clone(), asked).is_some(),
                accepted,
                "{status:?} {asked:?}"
            );
        }
    }

    #[test]
    fn a_review_carries_the_whole_identity_and_every_attribute() {
        let identity = Identity {
            user: "u".into(),
            uid: "7".into(),
            groups: vec!["g".into()],
            extra: [("k".to_owned(), vec!["v".to_owned()])].into(),
        };
        let attributes = Attributes {
            verb: "get",
            target: Target::Resource {
                group: "custom.metrics.k8s.io".into(),
                version: "v1beta2".into(),
                resource: "pods".into(),
                subresource: "rps".into(),
                namespace: "demo".into(),
                name: "*".into(),
            },
        };
        let spec = spec(&identity, &attributes);
        let resource = spec.resource_attributes.unwrap();
        assert_eq!((spec.user.as_deref(), spec.uid.as_deref()), (Some("u"), Some("7")));
        assert_eq!((spec.groups, spec.extra), (Some(identity.groups), Some(identity.extra)));
        assert_eq!(resource.verb.as_deref(), Some("get"));
        assert_eq!(
            (resource.subresource.as_deref(), resource.name.as_deref()),
            (Some("rps"), Some("*"))
        );
        assert!(spec.non_resource_attributes.is_none());
    }
}
