//! `leadline tsdb verify`.

use super::{Failure, open};
use clap::Args;
use leadline_storage::block::Block;
use leadline_storage::disk::Disk;
use leadline_storage::wal::record::{Record, unknown_type};
use leadline_storage::wal::{self, Reader, checkpoint};
use leadline_storage::{StorageError, verify_mapped};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of the head's full chunks.
const MAPPED: &str = "chunks_head";

/// Checks every byte of blocks, log and mapped chunks.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The directory.
    #[arg(value_name = "DB PATH", default_value = "data/")]
    path: PathBuf,
}

impl Verify {
    pub(super) fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        let disk = open::disk();
        let names = open::names(disk.as_ref(), &self.path)?;
        let mut check = Check {
            disk,
            out,
            findings: 0,
            newer: 0,
        };
        for name in names {
            check.block(&self.path.join(&name), &name)?;
        }
        for name in ["wal", "wbl"] {
            check.log(&self.path.join(name), name)?;
        }
        check.mapped(&self.path.join(MAPPED))?;
        let damaged = match check.findings {
            0 => None,
            1 => Some("1 place is damaged".to_owned()),
            n => Some(format!("{n} places are damaged")),
        };
        let newer = match check.newer {
            0 => None,
            1 => Some("1 record was written by a newer version".to_owned()),
            n => Some(format!("{n} records were written by a newer version")),
        };
        match [damaged, newer]
            .into_iter()
            .flatten()
            .reduce(|a, b| format!("{a}, {b}"))
        {
            None => Ok(()),
            Some(found) => Err(found.into()),
        }
    }
}

/// A check under way.
struct Check<'a> {
    disk: Arc<dyn Disk>,
    out: &'a mut dyn Write,
    findings: usize,
    /// Records of types that are not known.
    newer: u64,
}

/// What a log holds.
#[derive(Default)]
struct Records {
    /// All of them.
    count: u64,
    /// Of each type that is not known, how many there are and where the first is.
    newer: BTreeMap<u8, (u64, StorageError)>,
}

impl Check<'_> {
    fn block(&mut self, dir: &Path, name: &str) -> Result<(), Failure> {
        let before = self.findings;
        let block = match Block::open(Arc::clone(&self.disk), dir, open::cache()) {
            Ok(block) => block,
            Err(error) => return self.finding(&error),
        };
        // What cannot be written out is no reason to stop counting.
        let mut found = Vec::new();
        let verified = block.verify(&mut |damage| found.push(damage));
        for damage in found {
            self.finding(&damage)?;
        }
        match verified {
            Ok(seen) if self.findings == before => {
                let (series, chunks, samples) = (seen.series, seen.chunks, seen.samples);
                Ok(writeln!(
                    self.out,
                    "{name}: ok: {series} series, {chunks} chunks, {samples} samples"
                )?)
            }
            Ok(_) => Ok(()),
            Err(error) => self.finding(&error),
        }
    }

    /// The head's full chunks.
    fn mapped(&mut self, dir: &Path) -> Result<(), Failure> {
        let before = self.findings;
        let mut found = Vec::new();
        let verified = verify_mapped(Arc::clone(&self.disk), dir, &mut |damage| found.push(damage));
        for damage in found {
            self.finding(&damage)?;
        }
        match verified {
            Ok(chunks) if self.findings == before => Ok(writeln!(self.out, "{MAPPED}: ok: {chunks} chunks")?),
            Ok(_) => Ok(()),
            Err(error) => self.finding(&error),
        }
    }

    /// The log below `dir`, its checkpoint first.
    fn log(&mut self, dir: &Path, name: &str) -> Result<(), Failure> {
        if !self.disk.exists(dir)? {
            return Ok(());
        }
        let checkpoint = match checkpoint::latest(self.disk.as_ref(), dir) {
            Ok(checkpoint) => checkpoint,
            Err(error) => return self.finding(&error),
        };
        // Without a checkpoint the log may begin anywhere.
        let segments = wal::segments(self.disk.as_ref(), dir)?;
        let oldest = segments.first().map_or(0, |segment| segment.number);
        let first = checkpoint.as_ref().map_or(oldest, |c| c.number + 1);
        if let Some(checkpoint) = checkpoint {
            let folder = checkpoint
                .path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            // It appears whole or not at all, so its end cannot be torn.
            let read = Reader::open(Arc::clone(&self.disk), &checkpoint.path, ..).map(Reader::whole);
            self.segments(read, &format!("{name}/{folder}"))?;
        }
        let read = Reader::open(Arc::clone(&self.disk), dir, first..);
        self.segments(read, name)
    }

    fn segments(&mut self, opened: Result<Reader, StorageError>, name: &str) -> Result<(), Failure> {
        let read = opened.and_then(|mut reader| {
            let records = records(&mut reader)?;
            Ok((reader.segments().len(), records, reader.torn().cloned()))
        });
        match read {
            Ok((count, records, torn)) => {
                for (of_type, first) in records.newer.values() {
                    writeln!(self.out, "{first}: {of_type} such records")?;
                    self.newer += of_type;
                }
                if records.newer.is_empty() {
                    writeln!(self.out, "{name}: ok: {count} segments, {} records", records.count)?;
                }
                match torn {
                    // A process that was killed leaves this behind; the next start cuts it off.
                    Some(torn) => Ok(writeln!(
                        self.out,
                        "{name}: the end is torn, as a kill leaves it: {torn}"
                    )?),
                    None => Ok(()),
                }
            }
            Err(error) => self.finding(&error),
        }
    }

    fn finding(&mut self, what: &dyn Display) -> Result<(), Failure> {
        self.findings += 1;
        Ok(writeln!(self.out, "{what}")?)
    }
}

/// Reads all records with all of their entries.
fn records(reader: &mut Reader) -> Result<Records, StorageError> {
    let mut found = Records::default();
    loop {
        let (checked, unknown) = match reader.next()? {
            Some(record) => (Record::parse(record).and_then(check_entries), unknown_type(record)),
            None => return Ok(found),
        };
        checked.map_err(|malformed| reader.malformed(malformed))?;
        if let Some(number) = unknown {
            let (count, _) = found.newer.entry(number).or_insert_with(|| (0, reader.unknown(number)));
            *count += 1;
        }
        found.count += 1;
    }
}

fn check_entries(record: Record<'_>) -> Result<(), leadline_storage::codec::Malformed> {
    match record {
        Record::Series(mut all) => all.try_for_each(|entry| entry.map(drop)),
        Record::Samples(mut all) => all.try_for_each(|entry| entry.map(drop)),
        Record::Tombstones(mut all) => all.try_for_each(|entry| entry.map(drop)),
        Record::Exemplars(mut all) => all.try_for_each(|entry| entry.map(drop)),
        Record::MmapMarkers(mut all) => all.try_for_each(|entry| entry.map(drop)),
        Record::Metadata(mut all) => all.try_for_each(|entry| entry.map(drop)),
        Record::Histograms(mut all) => all.try_for_each(|entry| entry.map(drop)),
        Record::MinValidTime(_) | Record::Unknown(_) => Ok(()),
    }
}
