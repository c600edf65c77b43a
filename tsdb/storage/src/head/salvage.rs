//! Reading again from the log what mapped chunks had.
//!
//! The log is read by the rules of a replay: what came in order is taken where it is newer than all that the log had of its
//! series before, and what came out of order is that of a chunk when the marker of the chunk follows. But damage is passed
//! over: whose chunk it was, and which series there are, memory knows.

use super::durable::{Alias, Durable};
use super::log::Log;
use super::series::Closed;
use crate::codec::Malformed;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::points::{Point, Value};
use crate::wal::record::Record;
use crate::wal::{self, Reader, checkpoint};
use leadline_model::port::SeriesRef;
use leadline_model::sample::Timestamp;
use rapidhash::RapidHashMap;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is wanted of the log, and what was found of it.
#[derive(Debug)]
pub(super) struct Salvage<'h> {
    /// Whether the head is being closed.
    closed: &'h AtomicBool,
    /// Whether what the disk fails to read may be read by the next attempt.
    patient: bool,
    /// Which of `series` the log means by a reference.
    names: RapidHashMap<u64, usize>,
    series: Vec<Series>,
    /// Of each wanted chunk.
    found: Vec<Vec<Point>>,
}

/// What is wanted of one series.
#[derive(Debug)]
struct Series {
    /// Time (ms) of the newest sample that came in order so far.
    newest: Timestamp,
    /// Chunks of what came in order.
    wanted: Vec<Span>,
    /// All mapped chunks of what came out of order, by their place.
    late: BTreeMap<u64, Span>,
    /// Samples that came out of order and that no marker has named so far.
    buffer: BTreeMap<Timestamp, Value>,
}

/// The times of a chunk, ms, both included, and of what kind its samples are.
#[derive(Debug, Clone, Copy)]
struct Span {
    mint: Timestamp,
    maxt: Timestamp,
    floats: bool,
    /// Where in [`Salvage::found`] its samples belong, if it is wanted.
    into: Option<usize>,
}

impl Span {
    fn of(chunk: &Closed, into: Option<usize>) -> Self {
        Self {
            mint: chunk.mint,
            maxt: chunk.maxt(),
            floats: chunk.encoding.is_float(),
            into,
        }
    }

    fn has(&self, t: Timestamp, v: &Value) -> bool {
        self.mint <= t && t <= self.maxt && self.floats == matches!(v, Value::Float(_))
    }
}

/// Up to which segments the logs are read, once they were cut there.
#[derive(Debug, Default)]
pub(super) struct Ends {
    wal: OnceCell<u32>,
    wbl: OnceCell<u32>,
}

/// Takes an entry of a record of one of the logs over.
type Take<'h> = fn(&mut Salvage<'h>, u64, Timestamp, Value);

impl<'h> Salvage<'h> {
    /// Wants nothing so far.
    pub(super) fn new(closed: &'h AtomicBool, patient: bool) -> Self {
        Self {
            closed,
            patient,
            names: RapidHashMap::default(),
            series: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Wants the samples of a chunk that came in order; they are found under the number that is returned.
    pub(super) fn want(&mut self, series: SeriesRef, chunk: &Closed) -> usize {
        let into = self.found.len();
        self.found.push(Vec::new());
        self.series(series).wanted.push(Span::of(chunk, Some(into)));
        into
    }

    /// Wants the samples of the mapped chunk at `place` that came out of order; `mapped` are all such chunks of the series.
    pub(super) fn want_late<'c>(
        &mut self,
        series: SeriesRef,
        place: u64,
        mapped: impl Iterator<Item = &'c Closed>,
    ) -> usize {
        let into = self.found.len();
        self.found.push(Vec::new());
        let late = &mut self.series(series).late;
        for chunk in mapped {
            if let Some(at) = chunk.place() {
                late.entry(at).or_insert_with(|| Span::of(chunk, None));
            }
        }
        if let Some(wanted) = late.get_mut(&place) {
            wanted.into = Some(into);
        }
        into
    }

    fn series(&mut self, series: SeriesRef) -> &mut Series {
        let at = *self.names.entry(series.0).or_insert(self.series.len());
        if at == self.series.len() {
            self.series.push(Series {
                newest: Timestamp::MIN,
                wanted: Vec::new(),
                late: BTreeMap::new(),
                buffer: BTreeMap::new(),
            });
        }
        &mut self.series[at]
    }

    /// Other references that the log has for the series.
    pub(super) fn also_called(&mut self, aliases: &BTreeMap<u64, Alias>) {
        for (&other, alias) in aliases {
            if let Some(&at) = self.names.get(&alias.series) {
                self.names.insert(other, at);
            }
        }
    }

    /// Reads the logs as far as they can be read. Returns whether nothing of them was left out.
    ///
    /// # Errors
    /// [`StorageError::Io`] for who is patient: the disk fails, which may pass. [`StorageError::Refused`]: the head is being
    /// closed.
    pub(super) fn read(&mut self, durable: &Durable, now: Timestamp, ends: &Ends) -> Result<bool, StorageError> {
        let (disk, mut whole) = (&durable.disk, true);
        if self.series.iter().any(|series| !series.wanted.is_empty()) {
            let (dir, end) = (durable.wal.dir(), *ends.wal.get_or_init(|| end(&durable.wal, now)));
            let mut behind = 0;
            let read = self.checkpoint(disk, dir, &mut behind);
            whole &= self.tolerate(read)?;
            whole &= self.segments(disk, dir, behind..end, Self::in_order)?;
        }
        if self.series.iter().any(|series| !series.late.is_empty()) {
            let (dir, end) = (durable.wbl.dir(), *ends.wbl.get_or_init(|| end(&durable.wbl, now)));
            whole &= self.segments(disk, dir, 0..end, Self::late)?;
        }
        Ok(whole)
    }

    /// What was found of each chunk, in the order of time.
    pub(super) fn into_found(mut self) -> Vec<Vec<Point>> {
        for series in &mut self.series {
            for span in std::mem::take(&mut series.late).values() {
                // The marker was lost.
                settle(series, span, &mut self.found);
            }
        }
        self.found
    }

    /// Reads the newest checkpoint, and says which segment is the first behind it.
    fn checkpoint(&mut self, disk: &Arc<dyn Disk>, dir: &Path, behind: &mut u32) -> Result<(), StorageError> {
        let Some(newest) = checkpoint::latest(&**disk, dir)? else {
            return Ok(());
        };
        *behind = newest.number.saturating_add(1);
        self.follow(
            Reader::open(Arc::clone(disk), &newest.path, ..)?.whole(),
            Self::in_order,
        )
    }

    /// Reads segments, each as far as it can be read: no record is in two of them, and a sample says whose it is.
    fn segments(
        &mut self,
        disk: &Arc<dyn Disk>,
        dir: &Path,
        numbers: Range<u32>,
        take: Take<'h>,
    ) -> Result<bool, StorageError> {
        let there = match wal::segments(&**disk, dir) {
            Err(error) => return self.tolerate(Err(error)),
            Ok(there) => there.into_iter().map(|segment| segment.number),
        };
        let there: Vec<u32> = there.filter(|number| numbers.contains(number)).collect();
        let mut whole = there.windows(2).all(|pair| pair[1] - pair[0] == 1);
        for number in there {
            let reader = Reader::open(Arc::clone(disk), dir, number..=number);
            let read = reader.and_then(|reader| self.follow(reader, take));
            whole &= self.tolerate(read)?;
        }
        Ok(whole)
    }

    /// Whether a file of a log was read to its end.
    fn tolerate(&self, read: Result<(), StorageError>) -> Result<bool, StorageError> {
        match read {
            Ok(()) => Ok(true),
            // What was not reached is not lost.
            Err(_) if self.closed.load(Ordering::Acquire) => Err(StorageError::closing()),
            Err(error @ StorageError::Io { .. }) if self.patient => Err(error),
            Err(error) => {
                tracing::warn!(%error, "this part of the log is left out where what mapped chunks had is read from it");
                Ok(false)
            }
        }
    }

    fn follow(&mut self, mut reader: Reader, take: Take<'h>) -> Result<(), StorageError> {
        while let Some(record) = reader.next()? {
            if self.closed.load(Ordering::Acquire) {
                return Err(StorageError::closing());
            }
            if let Err(malformed) = self.record(record, take) {
                return Err(reader.malformed(malformed));
            }
        }
        reader.torn().cloned().map_or(Ok(()), Err)
    }

    fn record(&mut self, record: &[u8], take: Take<'h>) -> Result<(), Malformed> {
        match Record::parse(record)? {
            Record::Samples(samples) => {
                for sample in samples {
                    let sample = sample?;
                    take(self, sample.series, sample.t, Value::Float(sample.v));
                }
            }
            Record::Histograms(mut histograms) => {
                for entry in &mut histograms {
                    let entry = entry?;
                    if entry.h.is_stale() || entry.h.validate().is_ok() {
                        take(self, entry.series, entry.t, Value::Histogram(entry.h));
                    }
                }
            }
            Record::MmapMarkers(markers) => {
                for marker in markers {
                    let marker = marker?;
                    self.marker(marker.series, marker.chunk);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn in_order(&mut self, reference: u64, t: Timestamp, v: Value) {
        let named = self.names.get(&reference);
        let Some(series) = named.and_then(|&at| self.series.get_mut(at)) else {
            return;
        };
        if t <= series.newest {
            return;
        }
        series.newest = t;
        let wanted = series.wanted.iter().find(|span| span.has(t, &v));
        if let Some(found) = wanted.and_then(|span| self.found.get_mut(span.into?)) {
            found.push(Point { t, v });
        }
    }

    fn late(&mut self, reference: u64, t: Timestamp, v: Value) {
        let named = self.names.get(&reference);
        let Some(series) = named.and_then(|&at| self.series.get_mut(at)) else {
            return;
        };
        if series.late.values().any(|span| span.has(t, &v)) {
            series.buffer.entry(t).or_insert(v);
        }
    }

    fn marker(&mut self, reference: u64, place: u64) {
        let named = self.names.get(&reference);
        let Some(series) = named.and_then(|&at| self.series.get_mut(at)) else {
            return;
        };
        let Some(span) = series.late.remove(&place) else {
            return;
        };
        settle(series, &span, &mut self.found);
    }
}

/// Takes what a chunk has out of the buffer.
fn settle(series: &mut Series, span: &Span, found: &mut [Vec<Point>]) {
    let Series { buffer, .. } = series;
    let mut taken = Vec::new();
    buffer.retain(|&t, v| {
        let its = span.has(t, v);
        if its && span.into.is_some() {
            taken.push(Point { t, v: v.clone() });
        }
        !its
    });
    if let Some(found) = span.into.and_then(|at| found.get_mut(at)) {
        *found = taken;
    }
}

/// The number behind the last segment that is not written to any more, where a new one can be begun.
fn end(log: &Log, now: Timestamp) -> u32 {
    let begun = log.flush(now).and_then(|()| log.cut(now));
    // What is written while it is read is newer than all that is wanted.
    begun.unwrap_or(u32::MAX)
}
