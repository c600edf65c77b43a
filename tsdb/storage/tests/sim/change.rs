//! Settings that change while the store runs or from one run to the next, and what is looked at beside the samples.

use crate::world::{DATA, RANGE_MS, Verdict, World, everything, told};
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::Queryable;
use leadline_model::sample::Timestamp;
use leadline_storage::disk::Disk;
use leadline_storage::disk::memory::MemoryDisk;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How many exemplars are kept: none, so few that they are soon pushed out, so many that none is.
pub(crate) const RINGS: [u32; 5] = [20, 5, 200, 1_000, 0];
/// How late samples may come, ms.
pub(crate) const WINDOWS: [i64; 3] = [0, RANGE_MS, 3 * RANGE_MS];
/// At the end of a first cut the exemplars of one commit may stand in any order.
const OF_ONE_COMMIT: u64 = 100;

/// A block on the disk: its times (ms, the end is not part of it), and the bytes of its files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnDisk {
    pub(crate) mint: Timestamp,
    pub(crate) end: Timestamp,
    bytes: u64,
}

impl World {
    /// Other limits from now on, as a reload of the configuration gives them.
    pub(crate) fn adjust(&mut self) -> Verdict {
        let (window, ring) = (WINDOWS[self.apart.index(3)], RINGS[self.apart.index(5)]);
        self.tell(format!("from now on a window of {window} ms and {ring} exemplars"));
        // With another order, the log has others of them last: before fewer are kept.
        self.note_rebuild();
        told("adjust", self.db.adjust(window, ring))?;
        (self.settings.out_of_order_window_ms, self.settings.max_exemplars) = (window, ring);
        self.extras.exemplars.resize(ring);
        self.counts.adjusted += 1;
        self.check_extras()
    }

    /// Another retention for the next run, now and then.
    pub(crate) fn next_retention(&mut self) {
        if self.apart.chance(20) {
            self.settings.retention_ms = RANGE_MS * self.apart.between(6, 30);
            self.tell(format!(
                "the retention is {} ms from now on",
                self.settings.retention_ms
            ));
            self.counts.adjusted += 1;
        }
    }

    /// Compares exemplars and metadata.
    pub(crate) fn check_extras(&mut self) -> Verdict {
        self.note_rebuild();
        let exemplars = self.exemplars(&everything(), Timestamp::MIN, Timestamp::MAX)?;
        let (series, metadata) = (&self.model.series, self.db.head().metadata());
        self.extras
            .check(&exemplars, &metadata, |labels| Some(series.get(labels)?.id))
    }

    fn exemplars(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<(Labels, Vec<leadline_model::exemplar::Exemplar>)>, String> {
        told("exemplars", self.db.exemplars(matchers, mint, maxt))
    }

    /// Asks for some of the exemplars.
    pub(crate) fn query_exemplars(&mut self, matchers: &[Matcher], window: (Timestamp, Timestamp)) -> Verdict {
        self.note_rebuild();
        let found = self.exemplars(matchers, window.0, window.1)?;
        let series = &self.model.series;
        self.extras
            .check_exemplars(&found, |labels| Some(series.get(labels)?.id), matchers, window)
    }

    /// Where the log was written anew, it has the exemplars by stripe.
    pub(crate) fn note_rebuild(&mut self) {
        let health = self.db.head().log_health();
        if health.failed.is_some() || health.rebuilds != self.reordered {
            self.reordered = health.rebuilds;
            self.extras.exemplars.shuffled();
        }
    }

    /// Lets go of what belongs to series that left the head, and of what a checkpoint may leave out.
    pub(crate) fn look_at_head(&mut self) -> Verdict {
        let head = self.db.head();
        let set = told(
            "select of the head",
            head.select(&everything(), Timestamp::MIN, Timestamp::MAX, false),
        )?;
        let there: BTreeSet<Labels> = (0..set.len()).map(|i| set.labels(i)).collect();
        let begins = head.min_time().unwrap_or(self.now());
        self.truncated = self.truncated.max(begins);
        self.extras.left(|labels| there.contains(labels));
        Ok(())
    }

    /// After a start: what a crash left of exemplars and metadata.
    pub(crate) fn settle_extras(&mut self, first_cut: bool) -> Verdict {
        if first_cut {
            // The head begins empty; whoever told of series does so again.
            self.extras.untold();
            // Exemplars stay, by time.
            self.extras
                .exemplars
                .within(u64::from(self.settings.max_exemplars).saturating_sub(OF_ONE_COMMIT));
        }
        let exemplars = self.exemplars(&everything(), Timestamp::MIN, Timestamp::MAX)?;
        let (series, metadata) = (&self.model.series, self.db.head().metadata());
        self.extras
            .settle(&exemplars, &metadata, |labels| Some(series.get(labels)?.id))?;
        if first_cut {
            self.extras.exemplars.shuffled();
        }
        self.look_at_head()
    }

    /// The blocks on the disk, by name.
    pub(crate) fn on_disk(&self) -> Result<BTreeMap<String, OnDisk>, String> {
        let mut found = BTreeMap::new();
        for entry in told("list", self.memory.list(Path::new(DATA)))? {
            let dir = Path::new(DATA).join(&entry.name);
            let meta = dir.join("meta.json");
            if entry.name.contains('.') || !self.memory.exists(&meta).unwrap_or(false) {
                continue;
            }
            let text = crate::step::contents(&self.memory, &meta)?;
            let meta: serde_json::Value = told("meta.json", serde_json::from_slice(&text))?;
            let time = |name: &str| meta[name].as_i64().ok_or("a block without its times");
            let block = OnDisk {
                mint: time("minTime")?,
                end: time("maxTime")?,
                bytes: bytes(&self.memory, &dir)?,
            };
            found.insert(entry.name, block);
        }
        Ok(found)
    }

    /// What the retention by size removed may be gone, and it removed no more and no less than it must. `before` is what
    /// was on the disk before, `end` the end (ms) of the newest block of then or now.
    pub(crate) fn outgrown(
        &mut self,
        before: &BTreeMap<String, OnDisk>,
        done: &leadline_storage::db::Maintenance,
        end: Timestamp,
    ) -> Verdict {
        let limit = self.settings.retention_bytes;
        if limit == 0 {
            return Ok(());
        }
        // What was merged of blocks that were there has their times.
        let merged = done.compacted.iter().filter_map(|(of, new)| {
            let of: Option<Vec<&OnDisk>> = of.iter().map(|name| before.get(name)).collect();
            let of = of?;
            let times = (of.iter().map(|b| b.mint).min()?, of.iter().map(|b| b.end).max()?);
            Some((new.clone()?, times))
        });
        let merged: BTreeMap<String, _> = merged.collect();
        let mut newest = None;
        for name in &done.removed {
            let known = before.get(name).copied();
            if known.is_some_and(|block| end.saturating_sub(block.end) >= self.settings.retention_ms) {
                continue;
            }
            self.counts.outgrown += 1;
            let times = known.map(|block| (block.mint, block.end)).or(merged.get(name).copied());
            // One that was made and removed at once may have had any time.
            let (mint, end) = times.unwrap_or((Timestamp::MIN, Timestamp::MAX));
            self.model.gone(mint, end);
            newest = newest.or(Some(known));
        }
        if self.troubled || !done.failures.is_empty() {
            return Ok(());
        }
        // The newest of them comes first; what was made and removed at once has no size any more.
        self.fits(limit, newest.flatten())
    }

    /// Whether all that is there fits into `limit` bytes but for the one block that always stays, and would not with
    /// `removed`.
    fn fits(&self, limit: u64, removed: Option<OnDisk>) -> Verdict {
        let blocks = self.on_disk()?;
        let logs = ["wal", "wbl", "chunks_head"].map(|name| bytes(&self.memory, &Path::new(DATA).join(name)));
        let logs = logs.into_iter().sum::<Result<u64, String>>()?;
        let all = logs + blocks.values().map(|block| block.bytes).sum::<u64>();
        let largest = blocks.values().map(|block| block.bytes).max().unwrap_or(0);
        if blocks.len() > 1 && all - largest > limit {
            return Err(format!(
                "{all} bytes, {logs} of them logs, and {limit} may be: {blocks:?}"
            ));
        }
        match removed {
            Some(block) if all + block.bytes <= limit => Err(format!(
                "{block:?} was removed, though {all} and its bytes are no more than {limit}"
            )),
            _ => Ok(()),
        }
    }
}

/// The bytes of all files below a folder; 0 where there is none.
fn bytes(disk: &MemoryDisk, dir: &Path) -> Result<u64, String> {
    if !disk.exists(dir).unwrap_or(false) {
        return Ok(0);
    }
    let mut all = 0;
    for entry in told("list", disk.list(dir))? {
        let path = dir.join(&entry.name);
        all += match entry.is_dir {
            true => bytes(disk, &path)?,
            false => told("length", told("open", disk.open(&path))?.len())?,
        };
    }
    Ok(all)
}
