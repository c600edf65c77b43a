//! That the head cannot be cut: nothing is lost by it, but memory and the log grow until somebody helps.

use crate::error::StorageError;
use leadline_model::sample::Timestamp;
use parking_lot::Mutex;

/// Since when, and why.
#[derive(Debug)]
pub(super) struct Standstill {
    /// ms.
    since: Timestamp,
    /// How often in a row.
    times: u32,
    why: String,
}

/// From so many failures on it is told: one that the next call mends says little.
const TOLD_FROM: u32 = 2;

impl Standstill {
    /// Notes how cutting went at `now` (ms).
    pub(super) fn note(this: &Mutex<Option<Self>>, now: Timestamp, error: Option<&StorageError>) {
        let mut this = this.lock();
        let before = this.take();
        *this = error.map(|error| Self {
            since: before.as_ref().map_or(now, |before| before.since),
            times: before.map_or(0, |before| before.times).saturating_add(1),
            why: match is_mapped(error) {
                true => {
                    format!("{error}; the samples of mapped chunks that cannot be read are taken from the log")
                }
                false => error.to_string(),
            },
        });
    }

    /// What there is to tell of it.
    pub(super) fn told(this: &Mutex<Option<Self>>) -> Option<String> {
        let this = this.lock();
        let told = this.as_ref().filter(|this| this.times >= TOLD_FROM)?;
        Some(format!("the head cannot be cut since {}: {}", told.since, told.why))
    }
}

/// Whether mapped chunks are damaged, or the disk does not read them.
pub(super) fn is_mapped(error: &StorageError) -> bool {
    let path = match error {
        StorageError::Damaged(damage) => &damage.path,
        StorageError::Io {
            action: "read", path, ..
        } => path,
        _ => return false,
    };
    path.parent().is_some_and(|dir| dir.ends_with("chunks_head"))
}
