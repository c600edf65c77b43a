//! A pod's status as a kubelet reports it.

use leadline_model::clock::{Clock, SystemClock};
use serde_json::{Value, json};

/// One container as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    pub(super) image: String,
    /// Empty: it runs. Else why it waits.
    pub(super) waiting: String,
    pub(super) ready: bool,
    pub(super) restarts: u32,
    pub(super) started_at: String,
}

/// Now, RFC 3339 in seconds, as Kubernetes writes times.
pub(super) fn now() -> String {
    let seconds = SystemClock.now().div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The proleptic Gregorian date of a day counted from 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A strategic merge patch of the status subresource. `changed` is when readiness last changed.
pub(super) fn patch(address: &str, host: &str, containers: &[ContainerStatus], ready: bool, changed: &str) -> Value {
    let truth = |yes: bool| if yes { "True" } else { "False" };
    let condition = |kind: &str, yes: bool| json!({"type": kind, "status": truth(yes), "lastTransitionTime": changed});
    let running = containers.iter().all(|container| container.waiting.is_empty());
    let state = |container: &ContainerStatus| match container.waiting.as_str() {
        "" => json!({"running": {"startedAt": container.started_at}}),
        why => json!({"waiting": {"reason": "Waiting", "message": why}}),
    };
    let statuses: Vec<Value> = containers
        .iter()
        .map(|container| {
            json!({
                "name": container.name, "image": container.image, "imageID": container.image,
                "ready": container.ready, "started": container.waiting.is_empty(),
                "restartCount": container.restarts, "state": state(container),
            })
        })
        .collect();
    json!({"status": {
        "phase": if running || containers.iter().any(|container| container.restarts > 0) { "Running" } else { "Pending" },
        "podIP": address, "podIPs": [{"ip": address}], "hostIP": host,
        "conditions": [
            condition("PodScheduled", true), condition("Initialized", true),
            condition("ContainersReady", ready), condition("Ready", ready),
        ],
        "containerStatuses": statuses,
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (20_513, (2026, 3, 1)),
            (-1, (1969, 12, 31)),
        ] {
            assert_eq!(civil(days), date, "{days}");
        }
    }
}
