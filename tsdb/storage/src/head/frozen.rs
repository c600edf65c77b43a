//! Series as they were at one moment: what a selection copied of the head.

use super::chunks_head::{Files, Near};
use super::histograms::UNKNOWN_BITS;
use super::late::merge;
use super::matched::Matched;
use super::series::{Closed, Data, NO_OWNER};
use super::stripe::{Stripe, number_of};
use crate::chunk::{Decoded, Encoding, Mark, decode, decode_histograms, decode_since, decode_xor};
use crate::error::{ChunkError, StorageError};
use crate::interval::Intervals;
use crate::points::{self, Point, Value};
use leadline_model::histogram::HistogramSample;
use leadline_model::labels::Labels;
use leadline_model::port::{QueryError, SeriesRef, SeriesSet};
use leadline_model::sample::{Sample, Samples, Timestamp};
use leadline_model::target::OwnerId;
use std::ops::Range;
use std::sync::Arc;

/// The times that a selection reads, ms, both included, and what of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) mint: Timestamp,
    pub(super) maxt: Timestamp,
    /// Whether of numbers the newest is enough.
    pub(super) newest: bool,
}

/// Series as they were at one moment.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    series: Vec<FrozenSeries>,
    /// What they are called and how they are grouped.
    pub(super) matched: Arc<Matched>,
    /// What came in order before this time (ms) is in blocks.
    floor: Timestamp,
    /// What few series have besides the end of an open chunk.
    others: Vec<Others>,
    /// Closed chunks of all series, shared with the head.
    closed: Vec<Closed>,
    /// Open chunks of all series, copied.
    tails: Vec<u8>,
    /// Where those begin that were not copied from their beginning.
    marks: Vec<Mark>,
    /// Chunks of samples that came out of order.
    late: Vec<Closed>,
    /// Where closed chunks are that are on the disk.
    files: Option<Arc<Files>>,
    /// What was read of them.
    near: Near,
    /// Whether the chunks are worth keeping for who asks next.
    keep: bool,
}

/// A series. Selections hold many: less than a cache line each.
#[derive(Debug, Clone, Copy)]
struct FrozenSeries {
    /// Where in [`Frozen::tails`] its part begins.
    tail: usize,
    /// The newest sample of all.
    newest: (Timestamp, f64),
    /// Its place in [`Matched::found`].
    place: u32,
    /// Who wrote last; [`NO_OWNER`] where nobody has.
    owner: u32,
    /// Where in [`Frozen::marks`] the tail's begin is, plus one; 0 where it is a whole chunk.
    mark: u32,
    /// Where in [`Frozen::others`] its entry is, plus one; 0 where it has none.
    others: u32,
    /// Bytes of its tail.
    tail_len: u16,
    /// Whether the newest sample is a number.
    ends_in_number: bool,
}

/// What a series has besides the end of an open chunk of floats.
#[derive(Debug, Default)]
struct Others {
    closed: Range<usize>,
    late: Range<usize>,
    deleted: Option<Intervals>,
}

impl Others {
    fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.late.is_empty() && self.deleted.is_none()
    }

    fn deletes(&self, t: Timestamp) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| deleted.contains(t))
    }
}

impl SeriesSet for Frozen {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, i: usize) -> Labels {
        let series = self.series.get(i);
        let labels = series.and_then(|series| self.matched.labels(series.place));
        labels.cloned().unwrap_or_default()
    }

    fn owner(&self, i: usize) -> Option<OwnerId> {
        let owner = self.series.get(i)?.owner;
        (owner != NO_OWNER).then_some(OwnerId(owner))
    }

    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
        into.clear();
        let Some(series) = self.series.get(i) else {
            return Ok(());
        };
        let read = match self.others_of(series) {
            None => self
                .decode_tail(series, mint.max(self.floor), maxt, into)
                .map_err(Unreadable::from),
            Some(others) => self.read_parts((i, series, others), mint, maxt, into),
        };
        read.map_err(|e| self.damaged(i, &e))
    }

    fn read_histograms(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        into.clear();
        let Some(series) = self.series.get(i) else {
            return Ok(());
        };
        let Some(others) = self.others_of(series) else {
            return Ok(());
        };
        if self.is_mixed(others) {
            for point in self
                .points((i, series, others), mint, maxt)
                .map_err(|e| self.damaged(i, &e))?
            {
                if let Value::Histogram(h) = point.v {
                    into.push(HistogramSample { t: point.t, h });
                }
            }
            return Ok(());
        }
        let from = mint.max(self.floor);
        for chunk in self.closed[others.closed.clone()]
            .iter()
            .filter(|c| !c.encoding.is_float())
        {
            self.decode((i, chunk), from, maxt, |bytes| {
                decode_histograms(chunk.encoding, bytes, from, maxt, into)
            })
            .map_err(|e| self.damaged(i, &e))?;
        }
        if let Some(deleted) = &others.deleted {
            into.retain(|sample| !deleted.contains(sample.t));
        }
        Ok(())
    }

    fn newest(&self, i: usize, mint: Timestamp, maxt: Timestamp) -> Result<Option<Sample>, QueryError> {
        let Some(series) = self.series.get(i) else {
            return Ok(None);
        };
        let (t, v) = series.newest;
        let told = series.ends_in_number && t <= maxt;
        let others = self.others_of(series);
        if told && others.is_none_or(|others| others.late.is_empty() && !others.deletes(t)) {
            return Ok((t >= mint.max(self.floor)).then_some(Sample { t, v }));
        }
        let mut samples = Samples::default();
        self.read(i, mint, maxt, &mut samples)?;
        let last = samples.t.last().zip(samples.v.last());
        Ok(last.map(|(&t, &v)| Sample { t, v }))
    }
}

/// Why a chunk cannot be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Frozen {
    /// No series yet, room for `room`. What came in order before `floor` (ms) is in blocks; chunks on the disk are in
    /// `files`.
    pub(super) fn with_capacity(room: usize, floor: Timestamp, files: Option<Arc<Files>>) -> Self {
        Self {
            series: Vec::with_capacity(room),
            floor,
            files,
            ..Self::default()
        }
    }

    /// The series that were `matched`, brought into the order that was wanted.
    pub(super) fn of(mut self, matched: Arc<Matched>) -> Self {
        let chunks = self.closed.len() + self.late.len();
        self.keep = self.files.as_ref().is_some_and(|files| files.are_worth_keeping(chunks));
        if !matched.order.is_empty() {
            let mut copied = vec![u32::MAX; matched.found.len()];
            for (at, series) in (0..).zip(&self.series) {
                copied[series.place as usize] = at;
            }
            let at = |place: &u32| copied.get(*place as usize).copied();
            let order = matched.order.iter().filter_map(at);
            self.series = order.filter_map(|at| self.series.get(at as usize).copied()).collect();
        }
        self.matched = matched;
        self
    }

    /// For each series what `told` says of it, in the order of [`Matched::found`]; nothing where that says nothing.
    pub(super) fn each_of(&self, told: &Arc<[u32]>) -> Arc<[u32]> {
        let all = self.series.len() == self.matched.found.len() && self.matched.order.is_empty();
        if all || told.is_empty() {
            return Arc::clone(told);
        }
        let of = |series: &FrozenSeries| told.get(series.place as usize).copied();
        self.series.iter().filter_map(of).collect()
    }

    #[inline]
    fn others_of(&self, series: &FrozenSeries) -> Option<&Others> {
        self.others.get((series.others as usize).checked_sub(1)?)
    }

    #[cold]
    fn damaged(&self, i: usize, e: &Unreadable) -> QueryError {
        QueryError::Corrupt(format!("series {}: {e}", self.labels(i)))
    }

    /// Appends what the copied end of the open chunk has with `from <= t <= maxt` (ms).
    #[inline]
    fn decode_tail(
        &self,
        series: &FrozenSeries,
        from: Timestamp,
        maxt: Timestamp,
        into: &mut Samples,
    ) -> Result<(), ChunkError> {
        let tail = &self.tails[series.tail..series.tail + usize::from(series.tail_len)];
        let mark = (series.mark as usize).checked_sub(1).and_then(|at| self.marks.get(at));
        match mark {
            Some(mark) => decode_since(mark, tail, from, maxt, into),
            None if tail.is_empty() => Ok(()),
            None => decode_xor(tail, from, maxt, into),
        }
    }

    /// [`SeriesSet::read`] of a series that has more than the end of an open chunk.
    fn read_parts(
        &self,
        (i, series, others): (usize, &FrozenSeries, &Others),
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Samples,
    ) -> Result<(), Unreadable> {
        if self.is_mixed(others) {
            for point in self.points((i, series, others), mint, maxt)? {
                if let Value::Float(v) = point.v {
                    into.push(point.t, v);
                }
            }
            return Ok(());
        }
        let from = mint.max(self.floor);
        for chunk in self.closed[others.closed.clone()]
            .iter()
            .filter(|c| c.encoding.is_float())
        {
            self.floats((i, chunk), (from, maxt), into)?;
        }
        self.decode_tail(series, from, maxt, into)?;
        let mut late = Samples::default();
        for chunk in &self.late[others.late.clone()] {
            late.clear();
            self.floats((i, chunk), (mint, maxt), &mut late)?;
            merge(into, &late);
        }
        if let Some(deleted) = &others.deleted {
            deleted.cut(into);
        }
        Ok(())
    }

    /// Appends the floats of a chunk of series i with `mint <= t <= maxt` (ms), from those that are kept if they are, and
    /// else into them.
    fn floats(
        &self,
        (i, chunk): (usize, &Closed),
        (mint, maxt): (Timestamp, Timestamp),
        into: &mut Samples,
    ) -> Result<(), Unreadable> {
        let stored = self.files.as_deref().zip(chunk.place());
        let Some((files, place)) = stored.filter(|_| chunk.encoding == Encoding::Xor && chunk.overlaps(mint, maxt))
        else {
            return self.decode((i, chunk), mint, maxt, |bytes| {
                decode(chunk.encoding, bytes, mint, maxt, into)
            });
        };
        if let Some(kept) = files.kept(place) {
            kept.append((mint, maxt), into);
            return Ok(());
        }
        self.decode((i, chunk), mint, maxt, |bytes| {
            let decoded = match self.keep {
                true => Decoded::read(chunk.encoding, bytes, (mint, maxt), into),
                false => None,
            };
            match decoded {
                Some(decoded) => files.keep(place, decoded),
                None => decode(chunk.encoding, bytes, mint, maxt, into)?,
            }
            Ok(())
        })
    }

    /// Lets `take` read the bytes of a chunk of series i, if it may have samples with `mint <= t <= maxt` (ms).
    fn decode(
        &self,
        (i, chunk): (usize, &Closed),
        mint: Timestamp,
        maxt: Timestamp,
        take: impl FnOnce(&[u8]) -> Result<(), ChunkError>,
    ) -> Result<(), Unreadable> {
        if !chunk.overlaps(mint, maxt) {
            return Ok(());
        }
        match (&chunk.data, &self.files) {
            (Data::Memory(data), _) => take(data)?,
            (Data::Disk(place), Some(files)) => {
                let next = |most| self.next_places(i, *place, (mint, maxt), most);
                self.near.with(files, *place, next, take)??;
            }
            (Data::Disk(_), None) => {}
        }
        Ok(())
    }

    /// The places of so many chunks at most that are read in a time (ms) behind each other: that at `place`, of series i, and
    /// what follows it there and in the series behind it.
    fn next_places(&self, i: usize, place: u64, (mint, maxt): (Timestamp, Timestamp), most: usize) -> Vec<u64> {
        let series = self.series.get(i..).unwrap_or_default();
        let others = series.iter().filter_map(|series| self.others_of(series));
        let chunks = others.flat_map(|others| {
            let closed = self.closed.get(others.closed.clone()).unwrap_or_default();
            closed
                .iter()
                .chain(self.late.get(others.late.clone()).unwrap_or_default())
        });
        let places = chunks.filter_map(|chunk| match chunk.data {
            Data::Disk(place) if chunk.overlaps(mint, maxt) => Some(place),
            Data::Disk(_) | Data::Memory(_) => None,
        });
        places.skip_while(|p| *p != place).take(most).collect()
    }

    /// Whether something of a series came out of order and not all of it is floats.
    fn is_mixed(&self, others: &Others) -> bool {
        let closed = &self.closed[others.closed.clone()];
        let late = &self.late[others.late.clone()];
        !late.is_empty() && closed.iter().chain(late).any(|chunk| !chunk.encoding.is_float())
    }

    /// All samples of a series with `mint <= t <= maxt` (ms), of either kind. Of those at one time that stays which came in
    /// order, else that which came first.
    fn points(
        &self,
        (i, series, others): (usize, &FrozenSeries, &Others),
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<Point>, Unreadable> {
        let from = mint.max(self.floor);
        let (mut points, mut decoded) = (Vec::new(), Vec::new());
        let mut rank = 0;
        let mut add = |decoded: &mut Vec<Point>| {
            points.extend(decoded.drain(..).map(|point| (point, rank)));
            rank += 1;
        };
        for chunk in &self.closed[others.closed.clone()] {
            self.decode((i, chunk), from, maxt, |bytes| {
                points::decode(chunk.encoding, bytes, from, maxt, &mut decoded)
            })?;
            add(&mut decoded);
        }
        let mut samples = Samples::default();
        self.decode_tail(series, from, maxt, &mut samples)?;
        let floats = samples.t.into_iter().zip(samples.v);
        decoded.extend(floats.map(|(t, v)| Point { t, v: Value::Float(v) }));
        add(&mut decoded);
        for chunk in &self.late[others.late.clone()] {
            self.decode((i, chunk), mint, maxt, |bytes| {
                points::decode(chunk.encoding, bytes, mint, maxt, &mut decoded)
            })?;
            add(&mut decoded);
        }
        points::join(&mut points);
        let left = points.into_iter().map(|(point, _)| point);
        Ok(left.filter(|point| !others.deletes(point.t)).collect())
    }

    /// Copies what the series of `rows`, which is empty then, hold in a time. Their open chunks lie anywhere in memory: all
    /// are looked at before the first is copied, so that the processor waits for them together and not for one after the
    /// other.
    pub(super) fn add_all(&mut self, rows: &mut Vec<(&Stripe, usize, (u32, SeriesRef))>, times: Times) {
        if !times.newest {
            let look = |sum: u8, &(stripe, row, _): &(&Stripe, usize, _)| sum ^ stripe.hot[row].open.look();
            std::hint::black_box(rows.iter().fold(0, look));
        }
        for (stripe, row, found) in rows.drain(..) {
            self.add(stripe, row, found, times);
        }
    }

    /// Copies what a series holds in `times`; nothing when it holds nothing there.
    fn add(&mut self, stripe: &Stripe, row: usize, (place, series): (u32, SeriesRef), times: Times) {
        let (hot, cold) = (&stripe.hot[row], &stripe.cold[row]);
        let Times { mint, maxt, newest } = times;
        let from = mint.max(self.floor);
        let others = self.copy_others(stripe, row, series, (mint, maxt));
        let mut series = FrozenSeries {
            tail: self.tails.len(),
            newest: (hot.open.last_t(), f64::from_bits(hot.open.last_bits())),
            place,
            owner: hot.owner,
            mark: 0,
            others: 0,
            tail_len: 0,
            ends_in_number: hot.open.last_bits() != UNKNOWN_BITS && !stripe.ends_in_histogram(row),
        };
        let open = hot.open_overlaps(cold, from, maxt);
        // The newest sample is at hand: where nothing else can matter, the chunk need not be touched.
        if open && !(newest && hot.open.last_t() <= maxt && others.is_empty()) {
            if let Some(mark) = hot.open.copy_since(from, &mut self.tails) {
                self.marks.push(mark);
                series.mark = self.marks.len() as u32;
            }
            series.tail_len = (self.tails.len() - series.tail) as u16;
        }
        if !open && others.closed.is_empty() && others.late.is_empty() {
            return;
        }
        if !others.is_empty() {
            self.others.push(others);
            series.others = self.others.len() as u32;
        }
        self.series.push(series);
    }

    /// Copies what a series has in a time (ms) besides its open chunk of floats, and what was deleted of it.
    fn copy_others(
        &mut self,
        stripe: &Stripe,
        row: usize,
        series: SeriesRef,
        (mint, maxt): (Timestamp, Timestamp),
    ) -> Others {
        let (hot, cold) = (&stripe.hot[row], &stripe.cold[row]);
        let from = mint.max(self.floor);
        let (closed, late) = (self.closed.len(), self.late.len());
        // What is closed came before what is open: where that goes back far enough, the list need not be touched.
        if hot.open.samples() == 0 || cold.open_from > from {
            self.closed.extend(cold.closed.overlapping(from, maxt));
        }
        self.closed
            .extend(stripe.open_histograms(row).and_then(|open| open.copy(from, maxt)));
        let mut deleted = None;
        if !(stripe.late.is_empty() && stripe.deleted.is_empty())
            && let Some(number) = number_of(series)
        {
            if let Some(found) = stripe.late.get(&number) {
                self.late.append(&mut found.copy(mint, maxt));
            }
            deleted = stripe.deleted.get(&number).cloned();
        }
        Others {
            closed: closed..self.closed.len(),
            late: late..self.late.len(),
            deleted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_series_takes_less_than_a_cache_line() {
        assert_eq!(size_of::<FrozenSeries>(), 48);
    }
}
