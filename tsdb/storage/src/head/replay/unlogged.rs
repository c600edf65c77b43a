//! Exemplars and metadata that came before the log was read, where the store was closed first.
//!
//! Blocks do not keep them, and they cannot be put behind the log: the references of their series are the log's to give. So
//! they wait beside it, in `wal/early.00000000` and so on, one folder for each such end, which is whole or not there: a log
//! with references of its own.
//! The replay that comes to its end puts them behind what it has read, makes that durable and removes the folders, before
//! anything else is logged. Cut short in between, the next start finds them at the end of the log already, and adds nothing.

use super::super::Head;
use super::super::durable::Durable;
use super::super::log::Records;
use super::super::series::NO_OWNER;
use super::super::stripe::{make_ref, stripe_of};
use super::Replay;
use crate::codec::Malformed;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::wal::record::{ExemplarsEncoder, Record, encode_metadata, encode_series, unknown_type};
use crate::wal::{self, Reader, Wal};
use leadline_model::labels::Labels;
use leadline_model::port::SeriesRef;
use leadline_model::sample::Timestamp;
use rapidhash::{RapidHashMap, RapidHashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PREFIX: &str = "early.";
const TEMPORARY: &str = ".tmp";

/// The names of folders in the log's folder `dir` that begin as these do, without that beginning.
fn names(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, StorageError> {
    let entries = match disk.list(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StorageError::io("list", dir, e)),
    };
    let folders = entries.into_iter().filter(|entry| entry.is_dir);
    let names = folders.filter_map(|entry| entry.name.strip_prefix(PREFIX).map(ToOwned::to_owned));
    Ok(names.collect())
}

/// The folders, oldest first, with their numbers.
fn folders(disk: &dyn Disk, dir: &Path) -> Result<Vec<(u32, PathBuf)>, StorageError> {
    let names = names(disk, dir)?.into_iter();
    let mut found: Vec<(u32, PathBuf)> = names
        .filter_map(|name| Some((name.parse().ok()?, dir.join(format!("{PREFIX}{name}")))))
        .collect();
    found.sort();
    Ok(found)
}

/// Removes one that was never finished.
fn remove_temporary(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    let names = names(disk, dir)?;
    for name in names.iter().filter(|name| name.ends_with(TEMPORARY)) {
        let path = dir.join(format!("{PREFIX}{name}"));
        disk.remove_dir_all(&path)
            .map_err(|e| StorageError::io("remove", &path, e))?;
    }
    Ok(())
}

impl Head {
    /// Makes exemplars and metadata durable that were committed before the log was read; nothing is to be done once it was
    /// read. To be called when commits are refused and no replay is under way.
    ///
    /// # Errors
    /// [`StorageError`]: the disk fails; nothing is kept then.
    pub(crate) fn keep_extras(&self) -> Result<(), StorageError> {
        let replaying = self.durable.as_ref().filter(|d| d.is_replaying() && !d.read_only);
        let Some((durable, records)) = replaying.map(|durable| (durable, self.extras())) else {
            return Ok(());
        };
        if records.is_empty() {
            return Ok(());
        }
        let (disk, dir) = (&durable.disk, durable.wal.dir());
        wal::create_dir(&**disk, dir)?;
        remove_temporary(&**disk, dir)?;
        let next = match folders(&**disk, dir)?.last() {
            Some((last, _)) => last
                .checked_add(1)
                .ok_or_else(|| StorageError::Refused("folders beside the log have run out of numbers".to_owned()))?,
            None => 0,
        };
        let folder = dir.join(format!("{PREFIX}{next:08}"));
        let temporary = dir.join(format!("{PREFIX}{next:08}{TEMPORARY}"));
        let mut log = Wal::open(Arc::clone(disk), &temporary, self.settings.wal_segment_bytes)?;
        log.log(&records.iter().collect::<Vec<_>>())?;
        log.close()?;
        disk.rename(&temporary, &folder)
            .map_err(|e| StorageError::io("rename", &temporary, e))?;
        disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e))
    }

    /// All exemplars and metadata, behind the series that they belong to.
    fn extras(&self) -> Records {
        let (index, ring, told) = (self.index.read(), self.exemplars.read(), self.told.read());
        let told = told.sorted();
        let named: RapidHashSet<u64> = ring.iter().map(|e| e.0).chain(told.iter().map(|t| t.0)).collect();
        let (mut records, mut record) = (Records::default(), Vec::new());
        for id in index.all() {
            let series = index.series(id).0;
            if named.contains(&series) {
                record.clear();
                encode_series(&mut record, [(series, &index.labels(id))]);
                records.push(&record);
            }
        }
        for (series, said) in told {
            record.clear();
            encode_metadata(&mut record, [(series, said)]);
            records.push(&record);
        }
        for (series, exemplar) in ring.iter() {
            record.clear();
            ExemplarsEncoder::default().push(&mut record, series, exemplar);
            records.push(&record);
        }
        records
    }
}

impl Durable {
    /// Puts `taken` behind the log, durably, and lets go of the folders that it is from. Nothing else must reach the log
    /// meanwhile.
    ///
    /// # Errors
    /// [`StorageError`]: the log cannot be written. Who writes it anew from memory has all of it, and the folders go when
    /// that is durable.
    pub(super) fn log_taken(&self, taken: &Records, now: Timestamp) -> Result<(), StorageError> {
        if !taken.is_empty() {
            self.wal.write(now, taken)?;
            self.wal.sync(now)?;
        }
        self.forget_unlogged();
        Ok(())
    }

    /// Removes the folders of what the log has by now, durably, the oldest first: what is left is what was told last. One
    /// that cannot be removed stays until the next call.
    pub(in crate::head) fn forget_unlogged(&self) {
        let mut folders = self.unlogged.lock();
        while let Some(folder) = folders.first() {
            if let Err(error) = self.forget(folder) {
                tracing::warn!(folder = %folder.display(), %error, "what the log has by now cannot be removed beside it");
                return;
            }
            folders.remove(0);
        }
    }

    /// Removes a folder: from its renaming on it is one that was never finished.
    fn forget(&self, folder: &Path) -> io::Result<()> {
        let mut going = folder.as_os_str().to_owned();
        going.push(TEMPORARY);
        let going = Path::new(&going);
        match self.disk.rename(folder, going) {
            // It has its new name already, and that may not be durable.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.disk.sync_dir(self.wal.dir())?;
        if let Err(error) = self.disk.remove_dir_all(going) {
            tracing::warn!(folder = %going.display(), %error, "the files of a folder are left to the next start");
        }
        Ok(())
    }
}

impl Replay<'_> {
    /// Takes what waits beside the log over, behind all that was read of it; returns what the log lacks of it.
    ///
    /// # Errors
    /// [`StorageError`]: it cannot be read, or was written by something newer. What is damaged of a folder is left out and
    /// named in [`super::Replayed::lost`].
    pub(super) fn take_unlogged(&mut self) -> Result<Records, StorageError> {
        if !self.durable.read_only {
            remove_temporary(&*self.durable.disk, self.durable.wal.dir())?;
        }
        let (mut taken, mut all) = (Records::default(), Vec::new());
        for (_, folder) in folders(&*self.durable.disk, self.durable.wal.dir())? {
            self.take_folder(&folder, &mut taken)?;
            all.push(folder);
        }
        if !self.durable.read_only {
            *self.durable.unlogged.lock() = all;
        }
        Ok(taken)
    }

    fn take_folder(&mut self, folder: &Path, records: &mut Records) -> Result<(), StorageError> {
        let mut series = RapidHashMap::default();
        let mut reader = Reader::open(Arc::clone(&self.durable.disk), folder, ..)?.whole();
        let damage = loop {
            let malformed = match reader.next() {
                Ok(Some(record)) => {
                    if let Some(number) = unknown_type(record) {
                        return Err(reader.unknown(number));
                    }
                    self.take(record, &mut series, records).err()
                }
                Ok(None) => break None,
                Err(error @ StorageError::Damaged(_)) => break Some(error),
                Err(error) => return Err(error),
            };
            if let Some(malformed) = malformed {
                break Some(reader.malformed(malformed));
            }
        };
        if let Some(damage) = damage {
            tracing::warn!(%damage, "exemplars and metadata from here on are lost");
            let (mut lost, damage) = (self.durable.lost.lock(), damage.to_string());
            // The next attempt meets it again.
            if !lost.contains(&damage) {
                lost.push(damage);
            }
        }
        Ok(())
    }

    /// Takes a record over; `series` has the references that its series are held under.
    fn take(
        &mut self,
        record: &[u8],
        series: &mut RapidHashMap<u64, u64>,
        records: &mut Records,
    ) -> Result<(), Malformed> {
        let mut out = Vec::new();
        match Record::parse(record)? {
            Record::Series(entries) => {
                for entry in entries {
                    let entry = entry?;
                    let home = stripe_of(SeriesRef(entry.series));
                    if let Some(held) = self.hold(&entry.labels.to_labels(), home, records) {
                        series.insert(entry.series, held);
                    }
                }
            }
            Record::Metadata(entries) => {
                for entry in entries {
                    let entry = entry?;
                    let said = entry.to_metadata();
                    if let Some(&held) = series.get(&entry.series)
                        && self.told.set(held, &said)
                    {
                        out.clear();
                        encode_metadata(&mut out, [(held, &said)]);
                        records.push(&out);
                    }
                }
            }
            Record::Exemplars(entries) => {
                for entry in entries {
                    let entry = entry?;
                    let exemplar = entry.to_exemplar();
                    // What is refused is there already, or too old beside what the log has.
                    if let Some(&held) = series.get(&entry.series)
                        && let Ok(true) = self.exemplars.add(held, &exemplar)
                    {
                        out.clear();
                        ExemplarsEncoder::default().push(&mut out, held, &exemplar);
                        records.push(&out);
                    }
                }
            }
            // Nothing else is written there.
            _ => {}
        }
        Ok(())
    }

    /// The reference of the series with these labels, which is created in stripe `home` if need be.
    fn hold(&mut self, labels: &Labels, home: usize, records: &mut Records) -> Option<u64> {
        if let Some(known) = self.index.find(labels) {
            return Some(known.0);
        }
        let stripe = self.stripes.get_mut(home)?;
        let series = make_ref(home, stripe.next_number()?);
        self.index.create(labels, series)?;
        stripe.create(NO_OWNER, 0);
        let mut record = Vec::new();
        encode_series(&mut record, [(series.0, labels)]);
        records.push(&record);
        Some(series.0)
    }
}
