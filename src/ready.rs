//! Readiness: named conditions, all of which must hold.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The conditions of this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ready(Arc<Mutex<BTreeMap<&'static str, Condition>>>);

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It holds.
    Met,
    /// It holds, and somebody has to see that it goes on to: what to do.
    Warned(String),
    /// It does not hold yet: what is missing.
    Waiting(String),
    /// The part is switched off, which is no obstacle: why.
    Off(String),
}

impl Ready {
    /// Sets a condition.
    pub(crate) fn set(&self, name: &'static str, condition: Condition) {
        self.0.lock().insert(name, condition);
    }

    /// Whether nothing is waited for.
    pub(crate) fn is_ready(&self) -> bool {
        !self.0.lock().values().any(|c| matches!(c, Condition::Waiting(_)))
    }

    /// Every condition by name.
    pub(crate) fn all(&self) -> Vec<(&'static str, Condition)> {
        self.0
            .lock()
            .iter()
            .map(|(name, condition)| (*name, condition.clone()))
            .collect()
    }
}

/// The form Kubernetes' own `/readyz?verbose` has: `[+]name ok`, `[-]name failed: reason`.
impl std::fmt::Display for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, condition) in self.all() {
            match condition {
                Condition::Met => writeln!(f, "[+]{name} ok")?,
                Condition::Warned(what) => writeln!(f, "[+]{name} ok, warning: {what}")?,
                Condition::Off(why) => writeln!(f, "[+]{name} off: {why}")?,
                Condition::Waiting(what) => writeln!(f, "[-]{name} failed: {what}")?,
            }
        }
        writeln!(f, "readyz check {}", if self.is_ready() { "passed" } else { "failed" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_off_is_no_obstacle_and_one_that_waits_is() {
        let ready = Ready::default();
        ready.set("cluster", Condition::Off("no kubeconfig".to_owned()));
        assert!(ready.is_ready());
        ready.set(
            "authentication",
            Condition::Waiting("the ConfigMap is not loaded".to_owned()),
        );
        assert!(!ready.is_ready());
        assert_eq!(
            ready.to_string(),
            "[-]authentication failed: the ConfigMap is not loaded\n[+]cluster off: no kubeconfig\nreadyz check failed\n"
        );
        ready.set("authentication", Condition::Met);
        assert!(ready.is_ready());
    }
}
