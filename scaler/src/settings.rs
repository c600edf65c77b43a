//! What can be set about the scaler.

use crate::trigger::OnWarming;
use leadline_standing::OnPartial;

/// The most that `max_metadata_bytes` may be; an object in etcd has at most 1.5 MiB.
pub(crate) const MOST_METADATA_BYTES: usize = 1 << 20;

/// Whose series a trigger reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tenancy {
    /// The whole store, as KEDA's own prometheus trigger would read the whole Prometheus.
    #[default]
    Store,
    /// Only series whose `namespace` label is the ScaledObject's namespace. The claim of a namespace is believed over
    /// mutual TLS alone.
    Namespace,
}

/// Policies, limits and deadlines.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whose series triggers read.
    pub tenancy: Tenancy,
    /// The share of targets, 0 to 1, up to which missing ones are tolerated, where the trigger does not say.
    pub partial: f64,
    /// What becomes of a value that lacks more, where the trigger does not say.
    pub on_partial: OnPartial,
    /// What becomes of a value whose targets are younger than its window, where the trigger does not say.
    pub on_warming: OnWarming,
    /// A unary call is answered or refused after so long (ms). KEDA sets no deadline of its own in its polling loop and
    /// holds a lock meanwhile, so at most 1000.
    pub deadline_ms: u64,
    /// Most triggers that are known at one time.
    pub max_triggers: usize,
    /// Most bytes of one trigger's metadata, keys and values together.
    pub max_metadata_bytes: usize,
    /// Most bytes of one query.
    pub max_query_bytes: usize,
    /// A trigger that KEDA did not ask for in so long (ms) is forgotten.
    pub expire_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tenancy: Tenancy::Store,
            partial: 0.1,
            on_partial: OnPartial::Raise,
            on_warming: OnWarming::Error,
            deadline_ms: 1_000,
            max_triggers: 10_000,
            max_metadata_bytes: 32 * 1024,
            max_query_bytes: 16 * 1024,
            expire_ms: 600_000,
        }
    }
}

/// What is wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct SettingError {
    /// The key.
    pub key: &'static str,
    /// Its value, and what was expected.
    pub reason: String,
}

impl Settings {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`SettingError`]: the first that is wrong.
    pub fn check(&self) -> Result<(), SettingError> {
        let wrong = |key, reason| Err(SettingError { key, reason });
        if !(0.0..=1.0).contains(&self.partial) {
            return wrong("partial", format!("{} is not a share between 0 and 1", self.partial));
        }
        if !(1..=1_000).contains(&self.deadline_ms) {
            return wrong("deadline_ms", format!("{} is not between 1 and 1000", self.deadline_ms));
        }
        for (key, most) in [
            ("max_triggers", self.max_triggers),
            ("max_metadata_bytes", self.max_metadata_bytes),
            ("max_query_bytes", self.max_query_bytes),
        ] {
            if most == 0 {
                return wrong(key, "0 is not above 0".to_owned());
            }
        }
        if self.max_metadata_bytes > MOST_METADATA_BYTES {
            let reason = format!("{} is above {MOST_METADATA_BYTES}", self.max_metadata_bytes);
            return wrong("max_metadata_bytes", reason);
        }
        Ok(())
    }
}
