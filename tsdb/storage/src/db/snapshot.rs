//! Copies of the whole store that cost little: files of blocks never change, so links do.

use super::Db;
use crate::block::Meta;
use crate::compact::{self, Job};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::source::Source;
use leadline_model::sample::Timestamp;
use std::path::Path;

/// The folder that holds the copies.
const SNAPSHOTS: &str = "snapshots";
/// Ends the name of one that is being made.
const MAKING: &str = ".tmp";

impl Db {
    /// See [`Db::snapshot`].
    pub(super) fn copy_all(&self, with_head: bool) -> Result<String, StorageError> {
        let name = format!("{}-{:016x}", stamp(self.clock.now()), self.entropy.next_u64());
        let all = self.path.join(SNAPSHOTS);
        let (making, made) = (all.join(format!("{name}{MAKING}")), all.join(&name));
        let disk = self.disk.as_ref();
        let copied = create_dir(disk, &making)
            .and_then(|()| self.copy_blocks(&making))
            .and_then(|()| if with_head { self.copy_head(&making) } else { Ok(()) })
            .and_then(|()| sync_dir(disk, &making))
            .and_then(|()| {
                disk.rename(&making, &made)
                    .map_err(|e| StorageError::io("rename", &making, e))
            })
            .and_then(|()| sync_dir(disk, &all))
            .and_then(|()| sync_dir(disk, &self.path));
        if let Err(error) = copied {
            if let Err(left) = disk.remove_dir_all(&making) {
                tracing::warn!(folder = %making.display(), error = %left, "an unfinished snapshot cannot be removed");
            }
            return Err(error);
        }
        tracing::info!(snapshot = name, with_head, "snapshot made");
        Ok(name)
    }

    fn copy_blocks(&self, to: &Path) -> Result<(), StorageError> {
        for block in self.blocks.list().iter() {
            let dir = to.join(block.ulid().to_string());
            link_all(self.disk.as_ref(), block.dir(), &dir)?;
        }
        Ok(())
    }

    /// Writes what only the head holds as blocks.
    fn copy_head(&self, to: &Path) -> Result<(), StorageError> {
        if let Some((mint, maxt)) = self.head_span() {
            let source = self.head.range(mint, maxt);
            self.write_into(to, &source, Meta::new(self.new_ulid(), mint, maxt.saturating_add(1)))?;
        }
        let late = self.head.out_of_order()?;
        if late.is_empty() {
            return Ok(());
        }
        self.each_reordered(&late, |source, meta| self.write_into(to, source, meta))
    }

    fn write_into(&self, dir: &Path, source: &dyn Source, meta: Meta) -> Result<(), StorageError> {
        compact::write(Job {
            disk: &self.disk,
            dir,
            sources: &[source],
            meta,
            pace: self.pace.as_ref(),
            stop: &self.stop,
        })
        .map(drop)
    }
}

/// Links every file of a folder and of those below it into a new one.
fn link_all(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), StorageError> {
    create_dir(disk, to)?;
    for entry in disk.list(from).map_err(|e| StorageError::io("list", from, e))? {
        let (old, new) = (from.join(&entry.name), to.join(&entry.name));
        if entry.is_dir {
            link_all(disk, &old, &new)?;
        } else {
            disk.link(&old, &new).map_err(|e| StorageError::io("link", &old, e))?;
        }
    }
    sync_dir(disk, to)
}

fn create_dir(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    disk.create_dir_all(dir).map_err(|e| StorageError::io("create", dir, e))
}

fn sync_dir(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e))
}

/// `20060102T150405Z` of a time, ms (`tsdb/db.go`, `Snapshot`).
fn stamp(now: Timestamp) -> String {
    let (days, seconds) = (now.div_euclid(86_400_000), now.rem_euclid(86_400_000) / 1_000);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of a day since 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`).
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_called_by_its_time() {
        for (ms, text) in [
            (0, "19700101T000000Z"),
            (951_782_399_999, "20000228T235959Z"),
            (951_868_799_000, "20000229T235959Z"),
            (1_136_214_245_000, "20060102T150405Z"),
            (1_795_344_379_742, "20261122T104619Z"),
            (-1_000, "19691231T235959Z"),
        ] {
            assert_eq!(stamp(ms), text, "{ms}");
        }
    }
}
