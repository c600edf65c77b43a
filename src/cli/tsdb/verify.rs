//! `leadline tsdb verify`.

use super::{Failure, open};
use clap::Args;
use leadline_storage::block::Block;
use leadline_storage::disk::{Disk, Entry};
use leadline_storage::wal::record::{Record, unknown_type};
use leadline_storage::wal::{self, Beginning, Reader, checkpoint};
use leadline_storage::{StorageError, verify_mapped};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{ErrorKind, Write};
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
        verify(open::disk(), &self.path, out)
    }
}

/// Checks a directory, which another process may have open: what goes or moves on meanwhile is no damage.
pub(super) fn verify(disk: Arc<dyn Disk>, path: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let mut check = Check {
        disk,
        out,
        findings: 0,
        newer: 0,
    };
    check.blocks(path)?;
    for name in ["wal", "wbl"] {
        let dir = path.join(name);
        match open::exists(check.disk.as_ref(), &dir) {
            Ok(true) => check.steadily(&dir, Beginning::of, |disk, dir| log(disk, dir, name))?,
            Ok(false) => {}
            Err(error) => check.tell(Told::of(&error))?,
        }
    }
    check.steadily(&path.join(MAPPED), files, mapped)?;
    check.result()
}

/// A check under way.
struct Check<'a> {
    disk: Arc<dyn Disk>,
    out: &'a mut dyn Write,
    findings: usize,
    /// Records of types that are not known.
    newer: u64,
}

/// What is told of a part of the directory.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
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
    /// All blocks; where one went meanwhile, those that came for it too.
    fn blocks(&mut self, path: &Path) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        // Without the first list there is nothing to check.
        let mut names = open::names(self.disk.as_ref(), path)?;
        while !names.is_empty() {
            let mut gone = false;
            for name in names.drain(..).filter(|name| seen.insert(name.clone())) {
                let dir = path.join(&name);
                let told = block(&self.disk, &dir, &name);
                // What cannot be told to be gone is there.
                match told.findings == 0 || open::exists(self.disk.as_ref(), &dir).unwrap_or(true) {
                    true => self.tell(told)?,
                    false => gone = true,
                }
            }
            if gone {
                match open::names(self.disk.as_ref(), path) {
                    Ok(now) => names = now,
                    Err(error) => self.tell(Told::of(&error))?,
                }
            }
        }
        Ok(())
    }

    /// Checks the part of the directory that is in `dir`, once more where something was found and its `shape` has changed.
    /// What was found last is told even where it changes as often as it is read: it may be damage.
    fn steadily<S: PartialEq>(
        &mut self,
        dir: &Path,
        shape: impl Fn(&dyn Disk, &Path) -> Result<S, StorageError>,
        check: impl Fn(&Arc<dyn Disk>, &Path) -> Told,
    ) -> Result<(), Failure> {
        // Where the shape cannot be seen, the check cannot see it either, and tells why.
        let now = |disk: &dyn Disk| shape(disk, dir).ok();
        let mut told = Told::default();
        for _ in 0..open::ATTEMPTS {
            let before = now(self.disk.as_ref());
            told = check(&self.disk, dir);
            if told.findings == 0 || now(self.disk.as_ref()) == before {
                return self.tell(told);
            }
        }
        told.line(format!(
            "{}: it changed each of the {} times that it was read, so what was found may be such a change: verify again \
             while no other process writes here, or on a copy of the whole directory",
            dir.display(),
            open::ATTEMPTS
        ));
        self.tell(told)
    }

    fn tell(&mut self, told: Told) -> Result<(), Failure> {
        self.findings += told.findings;
        self.newer += told.newer;
        for line in told.lines {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn result(&self) -> Result<(), Failure> {
        let damaged = match self.findings {
            0 => None,
            1 => Some("1 place is damaged".to_owned()),
            n => Some(format!("{n} places are damaged")),
        };
        let newer = match self.newer {
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

impl Told {
    /// That a part cannot be read.
    fn of(error: &StorageError) -> Self {
        let mut told = Self::default();
        told.finding(error);
        told
    }

    fn finding(&mut self, what: &dyn Display) {
        self.findings += 1;
        self.line(what.to_string());
    }

    fn line(&mut self, line: String) {
        self.lines.push(line);
    }

    /// That all is well, if it is.
    fn ok_unless_found(&mut self, verified: Result<String, StorageError>) {
        match verified {
            Ok(line) if self.findings == 0 => self.line(line),
            Ok(_) => {}
            Err(error) => self.finding(&error),
        }
    }
}

fn block(disk: &Arc<dyn Disk>, dir: &Path, name: &str) -> Told {
    let mut told = Told::default();
    let verified = Block::open(Arc::clone(disk), dir, open::cache()).and_then(|block| {
        let seen = block.verify(&mut |damage| told.finding(&damage))?;
        let (series, chunks, samples) = (seen.series, seen.chunks, seen.samples);
        Ok(format!(
            "{name}: ok: {series} series, {chunks} chunks, {samples} samples"
        ))
    });
    told.ok_unless_found(verified);
    told
}

/// The head's full chunks.
fn mapped(disk: &Arc<dyn Disk>, dir: &Path) -> Told {
    let mut told = Told::default();
    let verified = verify_mapped(Arc::clone(disk), dir, &mut |damage| told.finding(&damage));
    told.ok_unless_found(verified.map(|chunks| format!("{MAPPED}: ok: {chunks} chunks")));
    told
}

/// The files of a folder, which grow while chunks are written.
fn files(disk: &dyn Disk, dir: &Path) -> Result<Vec<Entry>, StorageError> {
    match disk.list(dir) {
        Ok(entries) => Ok(entries),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StorageError::io("list", dir, error)),
    }
}

/// The log below `dir`, its checkpoint first.
fn log(disk: &Arc<dyn Disk>, dir: &Path, name: &str) -> Told {
    let mut told = Told::default();
    let listed =
        checkpoint::latest(disk.as_ref(), dir).and_then(|latest| Ok((latest, wal::segments(disk.as_ref(), dir)?)));
    let (checkpoint, segments) = match listed {
        Ok(listed) => listed,
        Err(error) => return Told::of(&error),
    };
    // Without a checkpoint the log may begin anywhere.
    let oldest = segments.first().map_or(0, |segment| segment.number);
    let first = checkpoint.as_ref().map_or(oldest, |c| c.number + 1);
    if let Some(checkpoint) = checkpoint {
        let folder = checkpoint.path.file_name().unwrap_or_default().to_string_lossy();
        // It appears whole or not at all, so its end cannot be torn.
        let read = Reader::open(Arc::clone(disk), &checkpoint.path, ..).map(Reader::whole);
        told.segments(read, &format!("{name}/{folder}"));
    }
    told.segments(Reader::open(Arc::clone(disk), dir, first..), name);
    told
}

impl Told {
    fn segments(&mut self, opened: Result<Reader, StorageError>, name: &str) {
        let read = opened.and_then(|mut reader| {
            let records = records(&mut reader)?;
            Ok((reader.segments().len(), records, reader.torn().cloned()))
        });
        let (count, records, torn) = match read {
            Ok(read) => read,
            Err(error) => return self.finding(&error),
        };
        for (of_type, first) in records.newer.values() {
            self.line(format!("{first}: {of_type} such records"));
            self.newer += of_type;
        }
        if records.newer.is_empty() {
            self.line(format!("{name}: ok: {count} segments, {} records", records.count));
        }
        if let Some(torn) = torn {
            // A process that was killed leaves this behind; the next start cuts it off.
            self.line(format!("{name}: the end is torn, as a kill leaves it: {torn}"));
        }
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
