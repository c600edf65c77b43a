//! What a HorizontalPodAutoscaler and KEDA make of a value: the arithmetic alone, for the demo's screen.

/// The HPA's default tolerance (`--horizontal-pod-autoscaler-tolerance`).
const TOLERANCE: f64 = 0.1;

/// Replicas for an average per pod: `ceil(current × average ÷ target)`, unless the ratio is within the tolerance
/// (`podautoscaler/replica_calculator.go`).
pub(crate) fn average_per_pod(current: u32, average: f64, target: f64, most: u32) -> u32 {
    let ratio = average / target;
    if (ratio - 1.0).abs() <= TOLERANCE {
        return current;
    }
    clamp(f64::from(current) * ratio, 1, most)
}

/// Replicas for a total shared out: `ceil(total ÷ target)`, unless the average is within the tolerance.
pub(crate) fn share_of_total(current: u32, total: f64, target: f64, most: u32) -> u32 {
    if current > 0 && (total / (target * f64::from(current)) - 1.0).abs() <= TOLERANCE {
        return current;
    }
    clamp(total / target, 1, most)
}

fn clamp(replicas: f64, least: u32, most: u32) -> u32 {
    // Values that are no number have been refused before; a cast saturates.
    (replicas.ceil() as u32).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_move_replicas_outside_the_tolerance_only() {
        for (current, average, wanted) in [
            (3, 10.0, 3),
            (3, 10.9, 3),
            (3, 11.1, 4),
            (3, 20.0, 6),
            (3, 1.0, 1),
            (3, 1e9, 10),
        ] {
            assert_eq!(average_per_pod(current, average, 10.0, 10), wanted, "{average}");
        }
    }

    #[test]
    fn totals_are_shared_out() {
        for (current, total, wanted) in [(0, 35.0, 4), (4, 41.0, 4), (4, 60.0, 6), (4, 0.0, 1)] {
            assert_eq!(share_of_total(current, total, 10.0, 10), wanted, "{total}");
        }
    }
}
