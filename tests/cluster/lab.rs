//! A cluster with what the trials share.

use crate::stage::Kind;
use leadline_testkit::{Cluster, Result, Settings};
use std::path::Path;

/// A cluster of one kind.
#[derive(Debug)]
pub(crate) struct Lab {
    /// The cluster.
    pub(crate) cluster: Cluster,
}

impl Lab {
    /// Starts it, with KEDA where `kind` says so.
    pub(crate) async fn start(kind: Kind) -> Result<Self> {
        let name = if kind == Kind::Keda {
            "cluster-keda"
        } else {
            "cluster-metrics"
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let settings = Settings::new(&folder, Path::new(env!("CARGO_BIN_EXE_leadline")))?;
        let cluster = Cluster::start(&settings).await?;
        if kind == Kind::Keda {
            cluster.start_keda().await?;
        }
        Ok(Self { cluster })
    }
}
