//! Cutting the log into blocks before it is replayed, where memory would not hold all of it.
//!
//! A log that has more series than memory holds can never be replayed: the process would be killed at every start, and the
//! only way out would be to delete the log. So it is read in parts ([`Part`]), each of which becomes blocks, and the head
//! begins empty. The order on the disk is:
//!
//! 1. blocks of all parts, durable, in a folder of their own that the next start removes;
//! 2. their renaming into the data directory, made durable: from here on queries see them;
//! 3. the log of late samples, the mapped chunks, a checkpoint in the place of the log ([`Head::empty_log`]).
//!
//! Cut short before 2, the directory has what it had: closed chunks may have moved from the log to mapped files, and damage
//! may have been cut off, as by any replay. Cut short later, the next start reads again what blocks have already: the same
//! samples, and the same deletions.

use super::Db;
use super::folders;
use crate::block::{Block, Meta, OUT_OF_ORDER, STALE_SERIES, Ulid};
use crate::compact::{self, Job, Unhurried};
use crate::error::StorageError;
use crate::head::{KeptExemplar, Part, Portion, Remains, Replayed, Weighed};
use crate::source::Source;
use leadline_model::sample::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(doc)]
use crate::head::Head;

/// What was written of a log.
struct Parts {
    /// Where the blocks are.
    stage: PathBuf,
    blocks: Vec<Ulid>,
    /// How often the log was read.
    passes: u64,
    found: Replayed,
    remains: Remains,
    /// Time (ms) of the newest sample that came in order.
    maxt: Timestamp,
}

impl Db {
    /// Replays the log; where that takes too much memory, blocks are cut of all of it first. What was cut by an attempt that
    /// failed behind it is told by the one that succeeds.
    pub(super) fn read_log(&self) -> Result<Replayed, StorageError> {
        let mut told = self.progress.take_cut();
        match self.read_within(&mut told) {
            Ok(found) => Ok(joined(told, found)),
            Err(error) => {
                self.progress.keep_cut(told);
                Err(error)
            }
        }
    }

    /// Reads the log; what was cut of it, and what was damaged by then, is in `told`, whether the rest can be read or not.
    fn read_within(&self, told: &mut Replayed) -> Result<Replayed, StorageError> {
        let limit = Some(self.settings.replay_memory_bytes).filter(|&limit| limit > 0);
        let (bytes, mut lost) = match self.head.replay_within(limit, &self.progress)? {
            Weighed::Installed(found) => return Ok(found),
            Weighed::TooLarge { bytes, lost } => (bytes, lost),
        };
        let limit = limit.unwrap_or_default();
        tracing::info!(
            bytes,
            limit,
            "the log takes more memory than it may, so blocks are cut of it first"
        );
        told.lost.append(&mut lost);
        match self.cut_first(limit, told) {
            // Also where the store is being closed: what is left of the log is little, and commits of this run go behind it.
            Ok(newest) => self.head.replay_behind(newest, &self.progress),
            Err(_) if self.is_closed() => Err(StorageError::closing()),
            // Written by something newer: reading it once more would end there too.
            Err(error) if error.needs_a_hand() => Err(error),
            Err(error) => {
                tracing::warn!(%error, limit, "no blocks can be cut of the log, it is replayed whole; memory may not suffice");
                self.head.replay(&self.progress)
            }
        }
    }

    /// Makes blocks of the log and empties it; returns the time (ms) of the newest sample that came in order. What was found is
    /// added to `told`; where that fails, the damage that was met, and cut off, by then.
    fn cut_first(&self, limit: u64, told: &mut Replayed) -> Result<Timestamp, StorageError> {
        let began = self.clock.now();
        let parts = self.write_parts(limit, told)?;
        tracing::warn!(
            limit,
            passes = parts.passes,
            blocks = parts.blocks.len(),
            series = parts.found.series,
            samples = parts.found.samples,
            ms = self.clock.now().saturating_sub(began),
            "the log would have taken more memory than it may: it was cut into blocks, and the head begins empty"
        );
        if let Err(error) = self.head.empty_log(&parts.remains) {
            // Blocks have everything, and the log has it once more.
            tracing::warn!(%error, "the log cannot be emptied, so it is replayed whole; memory may not suffice");
        }
        let found = Replayed {
            blocks: parts.blocks.len() as u64,
            passes: parts.passes,
            // They are not there any more.
            series: 0,
            ..parts.found
        };
        *told = joined(std::mem::take(told), found);
        Ok(parts.maxt)
    }

    /// Writes blocks of all parts and lets queries see them; nothing is left when that fails.
    fn write_parts(&self, limit: u64, told: &mut Replayed) -> Result<Parts, StorageError> {
        let mut parts = Parts {
            stage: folders::unfinished(&self.path, self.new_ulid()),
            blocks: Vec::new(),
            passes: 0,
            found: Replayed::default(),
            remains: Remains {
                exemplars: Vec::new(),
                min_valid: Timestamp::MIN,
            },
            maxt: Timestamp::MIN,
        };
        let made = self
            .disk
            .create_dir_all(&parts.stage)
            .map_err(|error| StorageError::io("create", &parts.stage, error))
            .and_then(|()| self.read_parts(limit, &mut parts))
            .and_then(|()| self.publish(&parts));
        if made.is_err() {
            self.remove_files(&parts.blocks);
            told.lost.append(&mut parts.found.lost);
        }
        if let Err(error) = self.disk.remove_dir_all(&parts.stage) {
            tracing::warn!(folder = %parts.stage.display(), %error, "a folder of blocks that were being made stays until the next start");
        }
        made.map(|()| parts)
    }

    /// Reads part after part; one that is too large is halved.
    fn read_parts(&self, limit: u64, into: &mut Parts) -> Result<(), StorageError> {
        let whole = Part::whole(self.entropy.next_u64());
        let mut waiting: Vec<Part> = whole.halves().into_iter().flatten().rev().collect();
        while let Some(part) = waiting.pop() {
            if self.is_closed() {
                return Err(StorageError::closing());
            }
            into.passes += 1;
            let halves = part.halves();
            let within = halves.map(|_| limit);
            let (portion, lost) = self.head.read_part(part, within, &self.progress)?;
            // What is damaged was cut off, so that no later pass meets it.
            into.found = joined(
                std::mem::take(&mut into.found),
                Replayed {
                    lost,
                    ..Replayed::default()
                },
            );
            match (portion, halves) {
                (Some(portion), _) => self.write_part(portion, into)?,
                (None, halves) => waiting.extend(halves.into_iter().flatten().rev()),
            }
        }
        Ok(())
    }

    /// Writes what is in a part: for each range of time that it has samples in, what came in order and what came out of
    /// order, which counts less, as blocks of their own. They say that they have not all series of their time.
    fn write_part(&self, portion: Portion, into: &mut Parts) -> Result<(), StorageError> {
        let range = self.settings.block_range_ms;
        // No block ends in time that has not come: the retention counts from the end of the newest.
        let newest = portion.newest.saturating_add(1);
        let end = |mint: Timestamp| mint.saturating_add(range).min(newest);
        for mint in portion.ranges_in_order(range)? {
            let source = portion.in_order(mint, end(mint).saturating_sub(1));
            self.write_staged(&source, (mint, end(mint)), STALE_SERIES, into)?;
        }
        for mint in portion.ranges_out_of_order(range)? {
            let source = portion.out_of_order(mint, end(mint).saturating_sub(1));
            self.write_staged(&source, (mint, end(mint)), OUT_OF_ORDER, into)?;
        }
        into.remains.min_valid = into.remains.min_valid.max(portion.min_valid);
        into.maxt = into.maxt.max(portion.maxt);
        let found = std::mem::take(&mut into.found);
        into.found = joined(found, portion.found);
        into.remains.exemplars.extend(portion.exemplars);
        keep_newest(&mut into.remains.exemplars, self.settings.max_exemplars as usize);
        Ok(())
    }

    fn write_staged(
        &self,
        source: &dyn Source,
        (mint, end): (Timestamp, Timestamp),
        hint: &str,
        into: &mut Parts,
    ) -> Result<(), StorageError> {
        let mut meta = Meta::new(self.new_ulid(), mint, end);
        meta.add_hint(hint);
        let written = compact::write(Job {
            disk: &self.disk,
            dir: &into.stage,
            sources: &[source],
            meta,
            pace: &Unhurried,
            stop: &self.stop,
        })?;
        into.blocks.extend(written.map(|meta| meta.ulid));
        Ok(())
    }

    /// Moves the blocks to where blocks are, and lets queries see them.
    fn publish(&self, parts: &Parts) -> Result<(), StorageError> {
        #[cfg(feature = "planted")]
        if crate::planted::on(crate::planted::Defect::LogEmptiedFirst) {
            self.head.empty_log(&parts.remains)?;
        }
        let mut blocks = Vec::with_capacity(parts.blocks.len());
        for &ulid in &parts.blocks {
            let (from, to) = (parts.stage.join(ulid.to_string()), self.path.join(ulid.to_string()));
            let renamed = self.disk.rename(&from, &to);
            renamed.map_err(|error| StorageError::io("rename", &from, error))?;
        }
        self.sync_dir(&self.path)?;
        for &ulid in &parts.blocks {
            let dir = self.path.join(ulid.to_string());
            blocks.push(Block::open(Arc::clone(&self.disk), &dir, Arc::clone(&self.cache))?);
        }
        for block in blocks {
            self.blocks.exchange(&[], Some(block));
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
        let synced = self.disk.sync_dir(dir);
        synced.map_err(|error| StorageError::io("sync", dir, error))
    }
}

/// Keeps the newest exemplars.
fn keep_newest(exemplars: &mut Vec<KeptExemplar>, most: usize) {
    exemplars.sort_by_key(|kept| kept.exemplar.t);
    let surplus = exemplars.len().saturating_sub(most);
    exemplars.drain(..surplus);
}

/// What several replays have found of one directory. All of them meet the same damage and the same histograms that cannot
/// be read.
fn joined(mut a: Replayed, b: Replayed) -> Replayed {
    for text in b.lost {
        if !a.lost.contains(&text) {
            a.lost.push(text);
        }
    }
    Replayed {
        series: a.series + b.series,
        samples: a.samples + b.samples,
        chunks: a.chunks + b.chunks,
        given_up: a.given_up + b.given_up,
        unknown_histograms: a.unknown_histograms.max(b.unknown_histograms),
        blocks: a.blocks + b.blocks,
        passes: a.passes + b.passes,
        lost: a.lost,
    }
}
