//! What discovery has told: of which jobs all targets are known, of which they are not and why.
//!
//! An empty result must never be taken for a fact while the targets that would fill it may not be known, and one job whose
//! discovery fails must not hold what other jobs feed. So it is told of each job what its series may say in the label `job`.

use std::sync::Arc;

/// The label that a job's name becomes.
pub const JOB: &str = "job";

/// What discovery has told of the jobs of the configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discovery {
    /// Whether a configuration is in force; before that nothing is known in full.
    pub configured: bool,
    /// Its jobs.
    pub jobs: Vec<JobDiscovery>,
}

impl Discovery {
    /// Whether every discovery of the configuration has delivered its first full list.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.configured && self.jobs.iter().all(|job| job.missing.is_none())
    }
}

/// What discovery has told of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDiscovery {
    /// `job_name`.
    pub job: Arc<str>,
    /// Whether its series carry the name as label `job` unless a target group says another: no rule writes the label, and
    /// what is exposed does not win.
    pub named: bool,
    /// What is not known, where not every discovery of the job has delivered its first full list.
    pub missing: Option<Missing>,
}

/// What is not known of a job's targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What the groups that are not known may say.
    pub says: GroupJob,
    /// Which discovery it is and what is wrong with it, for people; `None` where it is not known yet.
    pub why: Option<String>,
}

/// What target groups that are not known may say in the label `job`, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupJob {
    /// Nothing: the discovery sets no such label, as that of pods does not.
    Nothing,
    /// Nothing that can be seen: they are in a file that is broken, in whose text the label does not occur, nor does it in
    /// the job's other groups.
    Unseen,
    /// Anything.
    Anything,
}
