//! Activity that is pushed.
//!
//! KEDA acts on `true` alone, each `true` costs it a write, and it drops one that comes before the ScaledObject's
//! status is filled. So: the state when the stream opens, each change at once, and `true` again 5, 15 and 45 s after
//! a change while it lasts. Nothing is queued: whoever reads slowly is told the newest state. A query that fails or
//! whose value may not be believed is no change and ends nothing, because KEDA waits up to a minute before it opens a
//! stream again that ended in an error.

use crate::evaluate::is_active;
use crate::generated::externalscaler::IsActiveResponse;
use crate::state::{Known, Triggers};
use crate::stats::Counters;
use futures::Stream;
use leadline_standing::Snapshot;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// When `true` is said again, after the change to it.
const REPEATS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(45)];

/// What was said and is to be said.
#[derive(Debug, Default)]
struct Edges {
    /// The newest known state; `None` while the value is cold, partial or failed.
    now: Option<bool>,
    said: Option<bool>,
    changed: Option<Instant>,
    repeated: usize,
}

/// Something to say.
#[derive(Debug, PartialEq, Eq)]
enum Say {
    /// The first state, or another one than before.
    Edge(bool),
    /// Still active.
    Again,
}

impl Edges {
    /// What has to be said at `time`.
    fn due(&mut self, time: Instant) -> Option<Say> {
        let state = self.now?;
        if self.said != Some(state) {
            self.said = Some(state);
            self.changed = Some(time);
            self.repeated = 0;
            return Some(Say::Edge(state));
        }
        let due = state && self.next().is_some_and(|next| next <= time);
        // One repetition stands for all that a slow reader missed.
        while due && self.next().is_some_and(|next| next <= time) {
            self.repeated += 1;
        }
        due.then_some(Say::Again)
    }

    /// When `true` has to be said again, if nothing changes.
    fn next(&self) -> Option<Instant> {
        let after = REPEATS.get(self.repeated)?;
        if self.said != Some(true) || self.now != Some(true) {
            return None;
        }
        self.changed.map(|changed| changed + *after)
    }
}

/// Counts an open stream for as long as it lives.
pub(crate) struct Open(Arc<Counters>);

impl Open {
    pub(crate) fn new(counters: &Arc<Counters>) -> Self {
        counters.streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Activity {
    known: Arc<Known>,
    triggers: Arc<Triggers>,
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    edges: Edges,
    asked: bool,
    stop: CancellationToken,
    open: Open,
}

/// The activity of a trigger, until `stop`; then it ends well, so that KEDA comes back at once.
pub(crate) fn activity(
    known: Arc<Known>,
    triggers: Arc<Triggers>,
    counters: &Arc<Counters>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<IsActiveResponse, Status>> + Send + 'static {
    let snapshots = known.query.subscribe();
    let activity = Activity {
        known,
        triggers,
        snapshots,
        edges: Edges::default(),
        asked: false,
        stop,
        open: Open::new(counters),
    };
    futures::stream::unfold(activity, |mut activity| async move {
        let stop = activity.stop.clone();
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            result = activity.next() => result,
        };
        Some((Ok(IsActiveResponse { result }), activity))
    })
}

impl Activity {
    /// Waits until there is something to say.
    async fn next(&mut self) -> bool {
        if !std::mem::replace(&mut self.asked, true) {
            let value = self.known.value(&self.triggers).await;
            self.edges.now = value.ok().map(|value| is_active(&self.known.trigger, value));
        }
        loop {
            self.look();
            match self.edges.due(Instant::now()) {
                Some(Say::Edge(state)) => {
                    self.open.0.edges.fetch_add(1, Ordering::Relaxed);
                    return state;
                }
                Some(Say::Again) => {
                    self.open.0.repeats.fetch_add(1, Ordering::Relaxed);
                    return true;
                }
                None => self.wait().await,
            }
        }
    }

    /// Takes in the newest snapshot.
    fn look(&mut self) {
        let Some(snapshot) = self.snapshots.borrow_and_update().clone() else {
            return;
        };
        let value = self.known.judge(&snapshot, &self.triggers);
        self.edges.now = value.ok().map(|value| is_active(&self.known.trigger, value));
    }

    /// Waits for a new snapshot or the next repetition.
    async fn wait(&mut self) {
        let next = self.edges.next();
        let repetition = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.snapshots.changed() => {
                // The query lives as long as `known` does, so its channel does not close; a closed one says no more.
                if changed.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            () = repetition => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: &[(u64, Option<bool>)]) -> Vec<(u64, Option<Say>)> {
        let start = Instant::now();
        let mut edges = Edges::default();
        steps
            .iter()
            .map(|&(second, state)| {
                edges.now = state;
                (second, edges.due(start + Duration::from_secs(second)))
            })
            .filter(|(_, say)| say.is_some())
            .collect()
    }

    #[test]
    fn the_first_state_each_change_and_three_repetitions_are_said() {
        let steps: Vec<_> = (0..120).map(|second| (second, Some(second >= 10))).collect();
        let said = run(&steps);
        let expected = [
            (0, Say::Edge(false)),
            (10, Say::Edge(true)),
            (15, Say::Again),
            (25, Say::Again),
            (55, Say::Again),
        ];
        assert_eq!(said, expected.map(|(second, say)| (second, Some(say))));
    }

    #[test]
    fn an_unknown_state_is_no_change_and_repeats_nothing() {
        let said = run(&[
            (0, None),
            (1, Some(true)),
            (2, None),
            (7, None),
            (8, Some(true)),
            (9, Some(true)),
        ]);
        assert_eq!(said, [(1, Some(Say::Edge(true))), (8, Some(Say::Again))]);
    }

    #[test]
    fn a_slow_reader_is_told_once() {
        assert_eq!(run(&[(0, Some(true)), (100, Some(true)), (101, Some(true))]).len(), 2);
    }
}
