//! Who may ask the adapter: built from the API server's word, or from the demo's one identity.

use crate::app::ClusterMode;
use crate::ready::{Condition, Ready};
use leadline_adapter::api::ReadyCheck;
use leadline_adapter::auth::Authenticator;
use leadline_adapter::auth::authorize::{Attributes, Authorizer, Lifetimes, Review, ReviewError, Reviewer};
use leadline_adapter::auth::fixed::OneIdentity;
use leadline_adapter::auth::kubernetes::KubernetesReviews;
use leadline_adapter::auth::peer::ClientCertVerifier;
use leadline_adapter::auth::token_review::{TokenError, Tokens};
use leadline_adapter::auth::trust::{Authority, Trust};
use leadline_adapter::objects::Objects;
use leadline_adapter::selection::Selections;
use leadline_adapter::stats::Stats;
use leadline_adapter::{Adapter, Limits, Registry};
use leadline_cluster::{Cluster, PodStore};
use leadline_model::Clock;
use leadline_tsdb::Tsdb;
use std::sync::Arc;

/// What `leadline demo` puts in the place of an API server.
pub(crate) struct Demo {
    /// The workload's pods.
    pub pods: Arc<PodStore>,
    /// Their namespace.
    pub namespace: String,
    /// Signs the one client certificate, PEM.
    pub client_ca_pem: String,
    /// Its user.
    pub user: String,
    /// Issues the adapter's serving certificate.
    pub authority: Arc<crate::serve::authority::Authority>,
}

/// Who is believed, and what they may do.
pub(crate) struct Access {
    authenticator: Arc<Authenticator>,
    authorizer: Authorizer,
}

/// Nobody can say what anybody may do, so nobody may do anything.
struct NoApiServer;

#[async_trait::async_trait]
impl Reviewer for NoApiServer {
    async fn review(
        &self,
        _identity: &leadline_adapter::auth::Identity,
        _attributes: &Attributes,
    ) -> Result<Review, ReviewError> {
        Err(ReviewError("there is no API server to ask".to_owned()))
    }
}

impl Access {
    /// Builds both for the mode the process runs in.
    ///
    /// # Errors
    /// The operating system gives no randomness, or the demo's authority is not usable.
    pub(crate) fn of(mode: &ClusterMode, clock: &Arc<dyn Clock>) -> Result<Self, TokenError> {
        let (tokens, reviewer): (_, Arc<dyn Reviewer>) = match mode {
            ClusterMode::Off(_) => (None, Arc::new(NoApiServer)),
            ClusterMode::Demo(demo) => (None, Arc::new(OneIdentity::for_demo(demo.user.clone()))),
            ClusterMode::Connected(cluster) => {
                let reviews = KubernetesReviews(cluster.client());
                (
                    Some(Tokens::new(Arc::new(reviews.clone()), Vec::new())?),
                    Arc::new(reviews),
                )
            }
        };
        let authenticator = Authenticator::new(Arc::clone(clock), tokens);
        if let ClusterMode::Demo(demo) = mode {
            let client_ca = Authority::from_pem(&demo.client_ca_pem).map_err(TokenError)?;
            authenticator.set_trust(Trust {
                client_ca: Some(client_ca),
                request_header: None,
            });
        }
        Ok(Self {
            authenticator: Arc::new(authenticator),
            authorizer: Authorizer::new(reviewer, Arc::clone(clock), Lifetimes::default()),
        })
    }

    /// The adapter with this access.
    pub(crate) fn adapter(
        self,
        registry: Arc<Registry>,
        objects: Objects,
        tsdb: &Tsdb,
        ready: &Ready,
        clock: Arc<dyn Clock>,
    ) -> Arc<Adapter> {
        Arc::new(Adapter {
            registry,
            objects,
            board: tsdb.board(),
            clock,
            authenticator: self.authenticator,
            authorizer: self.authorizer,
            stats: Arc::new(Stats::default()),
            selections: Selections::default(),
            checks: vec![Arc::new(Process(ready.clone()))],
            limits: Limits::default(),
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}

/// The process' own conditions as one check of the adapter's `/readyz`.
struct Process(Ready);

impl ReadyCheck for Process {
    fn name(&self) -> &'static str {
        "process"
    }

    fn check(&self) -> Result<(), String> {
        if self.0.is_ready() {
            Ok(())
        } else {
            Err(self.0.to_string().trim_end().replace('\n', "; "))
        }
    }
}

/// Asks for client certificates and leaves judging them to each request.
pub(crate) fn verifier() -> Arc<ClientCertVerifier> {
    ClientCertVerifier::new(rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms)
}

/// Takes over the aggregation layer's authentication data whenever it changes; what cannot be used leaves the last good
/// one in force. The first that can be used makes the process ready.
pub(crate) fn feed(adapter: Arc<Adapter>, cluster: &Cluster, ready: Ready) -> impl Future<Output = ()> + use<> {
    let mut data = cluster.extension_auth();
    async move {
        loop {
            let current = data.borrow_and_update().clone();
            if let Some(current) = current {
                match Trust::from_cluster(&current) {
                    Ok(trust) => {
                        adapter.authenticator.set_trust(trust);
                        ready.set("authentication", Condition::Met);
                    }
                    Err(error) => tracing::error!(%error, "authentication data was not taken over"),
                }
            }
            if data.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
