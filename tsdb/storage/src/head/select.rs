//! Giving series out.

use super::Head;
use super::bound;
use super::chunks_head::{Files, Near};
use super::index::Index;
use super::late::merge;
use super::postings::Id;
use super::resolve::resolve;
use super::series::{Closed, Data};
use super::stripe::{STRIPES, Stripe, number_of, stripe_of};
use crate::chunk::{Mark, decode, decode_histograms, decode_since, decode_xor};
use crate::error::{ChunkError, StorageError};
use crate::interval::Intervals;
use crate::points::{self, Point, Value};
use crate::stats::Counters;
use leadline_model::exemplar::Exemplar;
use leadline_model::histogram::HistogramSample;
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{Generation, QueryError, Queryable, SeriesRef, SeriesSet};
use leadline_model::sample::{Sample, Samples, Timestamp};
use leadline_model::target::OwnerId;
use parking_lot::RwLockReadGuard;
use rapidhash::RapidHashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How often a selection begins again because series came or went meanwhile, before it keeps the index locked.
const RETRIES: usize = 3;

/// Series as they were at one moment.
#[derive(Debug, Default)]
struct Frozen {
    series: Vec<FrozenSeries>,
    /// What came in order before this time (ms) is in blocks.
    floor: Timestamp,
    /// Closed chunks of all series, shared with the head.
    closed: Vec<Closed>,
    /// Open chunks of all series, copied.
    tails: Vec<u8>,
    /// Where those begin that were not copied from their beginning.
    marks: Vec<Mark>,
    /// What of them was deleted.
    deleted: Vec<Intervals>,
    /// Chunks of samples that came out of order.
    late: Vec<Closed>,
    /// Where closed chunks are that are on the disk.
    files: Option<Arc<Files>>,
    /// What was read of them.
    near: Near,
}

#[derive(Debug)]
struct FrozenSeries {
    series: SeriesRef,
    id: Id,
    owner: Option<OwnerId>,
    /// Where in [`Frozen::deleted`] its deletions are, plus one; 0 where it has none.
    deleted: u32,
    labels: Labels,
    /// The newest sample of all; none where that is a histogram.
    newest: Option<Sample>,
    closed: Range<usize>,
    late: Range<usize>,
    tail: Range<usize>,
    /// Where in [`Frozen::marks`] the tail's begin is, plus one; 0 where it is a whole chunk.
    mark: u32,
}

impl SeriesSet for Frozen {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, i: usize) -> Labels {
        self.series.get(i).map(|s| s.labels.clone()).unwrap_or_default()
    }

    fn owner(&self, i: usize) -> Option<OwnerId> {
        self.series.get(i).and_then(|s| s.owner)
    }

    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
        into.clear();
        let Some(series) = self.series.get(i) else {
            return Ok(());
        };
        let damaged = |e: Unreadable| QueryError::Corrupt(format!("series {}: {e}", series.labels));
        if self.is_mixed(series) {
            for point in self.points(series, mint, maxt).map_err(damaged)? {
                if let Value::Float(v) = point.v {
                    into.push(point.t, v);
                }
            }
            return Ok(());
        }
        let from = mint.max(self.floor);
        for chunk in self.closed[series.closed.clone()]
            .iter()
            .filter(|c| c.encoding.is_float())
        {
            self.decode(chunk, from, maxt, |bytes| {
                decode(chunk.encoding, bytes, from, maxt, into)
            })
            .map_err(damaged)?;
        }
        if !series.tail.is_empty() {
            self.decode_tail(series, from, maxt, into)
                .map_err(|e| damaged(e.into()))?;
        }
        let mut late = Samples::default();
        for chunk in &self.late[series.late.clone()] {
            late.clear();
            self.decode(chunk, mint, maxt, |bytes| {
                decode(chunk.encoding, bytes, mint, maxt, &mut late)
            })
            .map_err(damaged)?;
            merge(into, &late);
        }
        if let Some(deleted) = self.deleted_of(series) {
            deleted.cut(into);
        }
        Ok(())
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
        let damaged = |e: Unreadable| QueryError::Corrupt(format!("series {}: {e}", series.labels));
        if self.is_mixed(series) {
            for point in self.points(series, mint, maxt).map_err(damaged)? {
                if let Value::Histogram(h) = point.v {
                    into.push(HistogramSample { t: point.t, h });
                }
            }
            return Ok(());
        }
        let from = mint.max(self.floor);
        for chunk in self.closed[series.closed.clone()]
            .iter()
            .filter(|c| !c.encoding.is_float())
        {
            self.decode(chunk, from, maxt, |bytes| {
                decode_histograms(chunk.encoding, bytes, from, maxt, into)
            })
            .map_err(damaged)?;
        }
        if let Some(deleted) = self.deleted_of(series) {
            into.retain(|sample| !deleted.contains(sample.t));
        }
        Ok(())
    }

    fn newest(&self, i: usize, mint: Timestamp, maxt: Timestamp) -> Result<Option<Sample>, QueryError> {
        let Some(series) = self.series.get(i) else {
            return Ok(None);
        };
        if let Some(newest) = series.newest
            && newest.t <= maxt
            && series.late.is_empty()
            && !self.deleted_of(series).is_some_and(|d| d.contains(newest.t))
        {
            return Ok((newest.t >= mint.max(self.floor)).then_some(newest));
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
    fn deleted_of(&self, series: &FrozenSeries) -> Option<&Intervals> {
        self.deleted.get((series.deleted as usize).checked_sub(1)?)
    }

    fn mark_of(&self, series: &FrozenSeries) -> Option<&Mark> {
        self.marks.get((series.mark as usize).checked_sub(1)?)
    }

    /// Appends what the copied end of the open chunk has with `from <= t <= maxt` (ms).
    fn decode_tail(
        &self,
        series: &FrozenSeries,
        from: Timestamp,
        maxt: Timestamp,
        into: &mut Samples,
    ) -> Result<(), ChunkError> {
        let tail = &self.tails[series.tail.clone()];
        match self.mark_of(series) {
            Some(mark) => decode_since(mark, tail, from, maxt, into),
            None => decode_xor(tail, from, maxt, into),
        }
    }

    /// Lets `take` read the bytes of a chunk that may have samples with `mint <= t <= maxt` (ms).
    fn decode(
        &self,
        chunk: &Closed,
        mint: Timestamp,
        maxt: Timestamp,
        take: impl FnOnce(&[u8]) -> Result<(), ChunkError>,
    ) -> Result<(), Unreadable> {
        if !chunk.overlaps(mint, maxt) {
            return Ok(());
        }
        match (&chunk.data, &self.files) {
            (Data::Memory(data), _) => take(data)?,
            (Data::Disk(place), Some(files)) => take(&self.near.read(files, *place)?)?,
            (Data::Disk(_), None) => {}
        }
        Ok(())
    }

    /// Whether something of a series came out of order and not all of it is floats.
    fn is_mixed(&self, series: &FrozenSeries) -> bool {
        let all = || {
            self.closed[series.closed.clone()]
                .iter()
                .chain(&self.late[series.late.clone()])
        };
        !series.late.is_empty() && all().any(|chunk| !chunk.encoding.is_float())
    }

    /// All samples of a series with `mint <= t <= maxt` (ms), of either kind. Of those at one time that stays which came in
    /// order, else that which came first.
    fn points(&self, series: &FrozenSeries, mint: Timestamp, maxt: Timestamp) -> Result<Vec<Point>, Unreadable> {
        let from = mint.max(self.floor);
        let (mut points, mut decoded) = (Vec::new(), Vec::new());
        let mut rank = 0;
        let mut add = |decoded: &mut Vec<Point>| {
            points.extend(decoded.drain(..).map(|point| (point, rank)));
            rank += 1;
        };
        for chunk in &self.closed[series.closed.clone()] {
            self.decode(chunk, from, maxt, |bytes| {
                points::decode(chunk.encoding, bytes, from, maxt, &mut decoded)
            })?;
            add(&mut decoded);
        }
        if !series.tail.is_empty() {
            let mut samples = Samples::default();
            self.decode_tail(series, from, maxt, &mut samples)?;
            let floats = samples.t.into_iter().zip(samples.v);
            decoded.extend(floats.map(|(t, v)| Point { t, v: Value::Float(v) }));
            add(&mut decoded);
        }
        for chunk in &self.late[series.late.clone()] {
            self.decode(chunk, mint, maxt, |bytes| {
                points::decode(chunk.encoding, bytes, mint, maxt, &mut decoded)
            })?;
            add(&mut decoded);
        }
        points::join(&mut points);
        let deleted = self.deleted_of(series);
        let left = points.into_iter().map(|(point, _)| point);
        Ok(left
            .filter(|point| !deleted.is_some_and(|d| d.contains(point.t)))
            .collect())
    }

    /// Copies what `series` holds between `mint` and `maxt` (ms); nothing when it holds nothing there.
    fn add(&mut self, stripe: &Stripe, row: usize, found: (Id, SeriesRef), mint: Timestamp, maxt: Timestamp) {
        let (hot, cold) = (&stripe.hot[row], &stripe.cold[row]);
        let from = mint.max(self.floor);
        let (closed, late, tail) = (self.closed.len(), self.late.len(), self.tails.len());
        // What is closed came before what is open: where that goes back far enough, the list need not be touched.
        if hot.open.samples() == 0 || cold.open_from > from {
            self.closed
                .extend(cold.closed.iter().filter(|c| c.overlaps(from, maxt)).cloned());
        }
        self.closed
            .extend(stripe.open_histograms(row).and_then(|open| open.copy(from, maxt)));
        let marks = self.marks.len();
        if hot.open_overlaps(cold, from, maxt) {
            self.marks.extend(hot.open.copy_since(from, &mut self.tails));
        }
        if !stripe.late.is_empty()
            && let Some(found) = number_of(found.1).and_then(|number| stripe.late.get(&number))
        {
            self.late.append(&mut found.copy(mint, maxt));
        }
        if self.closed.len() > closed || self.late.len() > late || self.tails.len() > tail {
            self.series.push(FrozenSeries {
                series: found.1,
                id: found.0,
                owner: hot.owner(),
                deleted: copy_deleted(stripe, found.1, &mut self.deleted),
                labels: Labels::default(),
                newest: (!stripe.ends_in_histogram(row)).then(|| Sample {
                    t: hot.open.last_t(),
                    v: f64::from_bits(hot.open.last_bits()),
                }),
                closed: closed..self.closed.len(),
                late: late..self.late.len(),
                tail: tail..self.tails.len(),
                mark: if self.marks.len() > marks {
                    self.marks.len() as u32
                } else {
                    0
                },
            });
        }
    }
}

/// Copies a series' deletions and returns their place in `into`, plus one; 0 where there are none.
fn copy_deleted(stripe: &Stripe, series: SeriesRef, into: &mut Vec<Intervals>) -> u32 {
    if stripe.deleted.is_empty() {
        return 0;
    }
    match number_of(series).and_then(|number| stripe.deleted.get(&number)) {
        Some(deleted) => {
            into.push(deleted.clone());
            into.len() as u32
        }
        None => 0,
    }
}

/// The stripes of `series`, locked in ascending order.
fn lock_stripes<'a>(
    head: &'a Head,
    series: impl Iterator<Item = SeriesRef>,
) -> Vec<Option<RwLockReadGuard<'a, Stripe>>> {
    let set = series.fold(0u64, |set, s| set | 1 << stripe_of(s));
    (0..STRIPES)
        .map(|i| (set >> i & 1 == 1).then(|| head.stripes[i].read()))
        .collect()
}

/// Calls `visit` with every series that its stripe still holds.
fn each_row(
    stripes: &[Option<RwLockReadGuard<'_, Stripe>>],
    found: &[(Id, SeriesRef)],
    mut visit: impl FnMut(&Stripe, usize, (Id, SeriesRef)),
) {
    let mut guess = [0usize; STRIPES];
    for &(id, series) in found {
        let at = stripe_of(series);
        let Some(stripe) = stripes.get(at).and_then(Option::as_deref) else {
            continue;
        };
        if let Some(row) = number_of(series).and_then(|number| stripe.row(number, guess[at])) {
            guess[at] = row + 1;
            visit(stripe, row, (id, series));
        }
    }
}

fn find(index: &Index, matchers: &[Matcher]) -> Vec<(Id, SeriesRef)> {
    resolve(index, matchers)
        .into_iter()
        .map(|id| (id, index.series(id)))
        .collect()
}

impl Head {
    /// Finds the series, lets `look` see them with their stripes locked, and `name` what it made of them with the
    /// index locked, in a state of the index that did not change in between: a commit that created series is seen
    /// whole or not at all.
    fn visit<T>(
        &self,
        matchers: &[Matcher],
        look: impl Fn(&[Option<RwLockReadGuard<'_, Stripe>>], &[(Id, SeriesRef)]) -> T,
        name: impl FnOnce(&Index, &mut T),
    ) -> T {
        Counters::add(&self.counters.selects, 1);
        for _ in 0..RETRIES {
            let (found, version) = {
                let index = self.index.read();
                (find(&index, matchers), index.version)
            };
            let mut made = {
                let stripes = lock_stripes(self, found.iter().map(|f| f.1));
                look(&stripes, &found)
            };
            let index = self.index.read();
            if index.version == version {
                name(&index, &mut made);
                return made;
            }
            Counters::add(&self.counters.retries, 1);
        }
        let stripes: Vec<_> = self.stripes.iter().map(|s| Some(s.read())).collect();
        let index = self.index.read();
        let mut made = look(&stripes, &find(&index, matchers));
        name(&index, &mut made);
        made
    }

    /// Gives the frozen series their labels, from the cache where it has them.
    fn name_series(&self, index: &Index, series: &mut [FrozenSeries]) {
        let room = self.settings.label_cache as usize;
        let mut missing: Vec<usize> = Vec::new();
        {
            let cache = self.labels.read();
            for (i, s) in series.iter_mut().enumerate() {
                match cache.get(&s.series.0) {
                    Some(labels) => s.labels = labels.clone(),
                    None => missing.push(i),
                }
            }
        }
        for &i in &missing {
            series[i].labels = index.labels(series[i].id);
        }
        if !missing.is_empty() && missing.len() <= room {
            let mut cache = self.labels.write();
            if cache.len() + missing.len() > room {
                *cache = RapidHashMap::default();
            }
            cache.extend(missing.iter().map(|&i| (series[i].series.0, series[i].labels.clone())));
        }
    }

    /// The numbers of the series that match and may have samples with `mint <= t <= maxt` (ms), handed to `name`.
    fn with_ids<R>(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        name: impl FnOnce(&Index, &[Id]) -> R,
    ) -> Option<R> {
        let mut result = None;
        self.visit(
            matchers,
            |stripes, found| {
                let mut ids = Vec::with_capacity(found.len());
                each_row(stripes, found, |stripe, row, (id, _)| {
                    if stripe.overlaps(row, mint, maxt) {
                        ids.push(id);
                    }
                });
                ids
            },
            |index, ids| result = Some(name(index, ids)),
        );
        result
    }
}

impl Queryable for Head {
    fn at_most(&self, matchers: &[Matcher], _mint: Timestamp) -> Option<usize> {
        Some(bound::at_most(&self.index.read(), matchers))
    }

    fn select(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        self.check_replayed(mint)?;
        let mut frozen = self.visit(
            matchers,
            |stripes, found| {
                let mut frozen = Frozen {
                    series: Vec::with_capacity(found.len()),
                    // While the stripes are held: all their chunks are in these files.
                    files: self.files(),
                    floor: self.floor.load(Ordering::Acquire),
                    ..Frozen::default()
                };
                each_row(stripes, found, |stripe, row, found| {
                    frozen.add(stripe, row, found, mint, maxt);
                });
                frozen
            },
            |index, frozen| self.name_series(index, &mut frozen.series),
        );
        if sorted {
            frozen.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        Ok(Box::new(frozen))
    }

    fn label_names(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<Vec<String>, QueryError> {
        self.check_replayed(mint)?;
        let names = self.with_ids(matchers, mint, maxt, |index, ids| {
            let mut seen = vec![false; index.pairs.names().len()];
            for pair in ids.iter().flat_map(|&id| index.pairs_of(id)) {
                seen[index.pairs.pair(pair).name as usize] = true;
            }
            let names = index.pairs.names().iter().zip(seen).filter(|(_, seen)| *seen);
            names.map(|(name, _)| name.text.to_string()).collect::<Vec<_>>()
        });
        let mut names = names.unwrap_or_default();
        names.sort_unstable();
        Ok(names)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<String>, QueryError> {
        self.check_replayed(mint)?;
        let values = self.with_ids(matchers, mint, maxt, |index, ids| {
            let Some(wanted) = index.pairs.name_id(name) else {
                return Vec::new();
            };
            let mut pairs: Vec<_> = ids
                .iter()
                .filter_map(|&id| index.pairs_of(id).find(|&pair| index.pairs.pair(pair).name == wanted))
                .collect();
            pairs.sort_unstable();
            pairs.dedup();
            pairs
                .into_iter()
                .map(|pair| index.pairs.pair(pair).value.to_string())
                .collect::<Vec<_>>()
        });
        let mut values = values.unwrap_or_default();
        values.sort_unstable();
        Ok(values)
    }

    fn exemplars(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, QueryError> {
        let index = self.index.read();
        let ring = self.exemplars.read();
        let found = find(&index, matchers)
            .into_iter()
            .map(|(id, series)| (id, ring.of(series.0, mint, maxt)));
        let with_some = found.filter(|(_, exemplars)| !exemplars.is_empty());
        let mut all: Vec<_> = with_some.map(|(id, exemplars)| (index.labels(id), exemplars)).collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }
}
