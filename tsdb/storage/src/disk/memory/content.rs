//! What a file in memory holds: as it is seen, and as it would be after a loss of power.

use leadline_model::entropy::Entropy;
use std::ops::Range;

/// What a disk writes whole or not at all, bytes.
const SECTOR: usize = 512;

/// A file's bytes.
#[derive(Debug, Default)]
pub(super) struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// What differs from `durable`, or might, and is not forsaken.
    dirty: Range<usize>,
    /// Whether somebody holds the file's lock.
    pub(super) locked: bool,
}

impl Content {
    /// A file all of which is durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self {
            durable: bytes.clone(),
            now: bytes,
            ..Self::default()
        }
    }

    /// What a reader sees.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.now
    }

    /// Writes at `offset`, which is within the length or at its end.
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if end > self.now.len() {
            self.now.resize(end, 0);
        }
        self.now[offset..end].copy_from_slice(bytes);
        self.touch(offset..end);
    }

    /// Cuts the end off, or adds zeros.
    pub(super) fn set_len(&mut self, len: usize) {
        let ends = [len, self.now.len()];
        self.now.resize(len, 0);
        self.touch(ends[0].min(ends[1])..ends[0].max(ends[1]));
    }

    fn touch(&mut self, range: Range<usize>) {
        if self.dirty.is_empty() {
            self.dirty = range;
        } else if !range.is_empty() {
            self.dirty = self.dirty.start.min(range.start)..self.dirty.end.max(range.end);
        }
    }

    /// Makes all of it durable that was not forsaken.
    pub(super) fn sync(&mut self) {
        let len = self.now.len();
        self.durable.resize(len, 0);
        let dirty = self.dirty.start.min(len)..self.dirty.end.min(len);
        self.durable[dirty.clone()].copy_from_slice(&self.now[dirty]);
        self.dirty = 0..0;
    }

    /// A write-back failed: readers go on seeing the bytes, and no later sync writes them
    /// (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
    pub(super) fn forsake(&mut self) {
        self.dirty = 0..0;
    }

    /// What is there after a loss of power: all that was synced, and of the rest what `entropy` says.
    pub(super) fn after_crash(&self, entropy: &dyn Entropy) -> Vec<u8> {
        if self.dirty.is_empty() {
            return self.durable.clone();
        }
        match below(entropy, 4) {
            0 => self.durable.clone(),
            1 => self.with(self.now.len(), self.dirty.clone(), |_| true),
            2 => self.prefix(entropy),
            _ => {
                let (shorter, longer) = (
                    self.now.len().min(self.durable.len()),
                    self.now.len().max(self.durable.len()),
                );
                let len = shorter + below(entropy, longer - shorter + 1);
                self.with(len, self.dirty.clone(), |_| below(entropy, 2) == 0)
            }
        }
    }

    /// Written up to some byte: the file ends there where it has grown.
    fn prefix(&self, entropy: &dyn Entropy) -> Vec<u8> {
        let cut = self.dirty.start + below(entropy, self.dirty.len() + 1);
        let len = if self.now.len() < self.durable.len() && below(entropy, 2) == 0 {
            self.now.len()
        } else {
            self.durable.len().max(cut.min(self.now.len()))
        };
        self.with(len, self.dirty.start..cut, |_| true)
    }

    /// The durable bytes at this length, with those sectors of `range` as they are now that `kept` names.
    fn with(&self, len: usize, range: Range<usize>, mut kept: impl FnMut(usize) -> bool) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        bytes.resize(len, 0);
        let end = range.end.min(len).min(self.now.len());
        let mut at = range.start;
        while at < end {
            let next = ((at / SECTOR + 1) * SECTOR).min(end);
            if kept(at / SECTOR) {
                bytes[at..next].copy_from_slice(&self.now[at..next]);
            }
            at = next;
        }
        bytes
    }
}

/// A number below `n`, which is at least 1.
pub(super) fn below(entropy: &dyn Entropy, n: usize) -> usize {
    (entropy.next_u64() % n as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::entropy::SeededEntropy;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Write(usize, Vec<u8>),
        Len(usize),
        Sync,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0usize..4000, proptest::collection::vec(any::<u8>(), 0..900))
                .prop_map(|(at, bytes)| Step::Write(at, bytes)),
            (0usize..4000).prop_map(Step::Len),
            Just(Step::Sync),
        ]
    }

    proptest! {
        #[test]
        fn what_was_synced_survives_and_no_byte_is_made_up(steps in proptest::collection::vec(step(), 0..12), seed: u64) {
            let (mut content, mut synced) = (Content::default(), Vec::new());
            for step in steps {
                match step {
                    Step::Write(at, bytes) => content.write(&bytes, at.min(content.bytes().len())),
                    Step::Len(len) => content.set_len(len),
                    Step::Sync => { content.sync(); synced = content.bytes().to_vec(); }
                }
            }
            let (after, now) = (content.after_crash(&SeededEntropy::new(seed)), content.bytes());
            if content.dirty.is_empty() {
                prop_assert_eq!(&after, &synced);
            }
            prop_assert!(after.len() >= synced.len().min(now.len()) && after.len() <= synced.len().max(now.len()));
            for (i, byte) in after.iter().enumerate() {
                let held = [synced.get(i), now.get(i)];
                let untouched = !content.dirty.contains(&i);
                let ok = if untouched { held[0] == Some(byte) } else { held.contains(&Some(byte)) || *byte == 0 };
                prop_assert!(ok, "byte {} is {}", i, byte);
            }
        }
    }

    #[test]
    fn what_a_failed_sync_gave_up_is_never_written_later() {
        let mut content = Content::durable(b"old".to_vec());
        content.write(b"lost", 3);
        content.forsake();
        content.write(b"new", 7);
        content.sync();
        assert_eq!(content.bytes(), b"oldlostnew");
        assert_eq!(content.after_crash(&SeededEntropy::new(1)), b"old\0\0\0\0new");
    }
}
